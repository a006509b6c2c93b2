"""Has a model answer the items, with an adapter or without, and keeps what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assistant import prompts
from assistant.engines.base import Engine, Sampling
from assistant.errors import EngineError
from trainer.evaluate.cache import Cache, key
from trainer.evaluate.items import Item, passage_of

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Answers:
    """``texts`` in the order of the items; an empty one where the model failed, with the reason under the item's id."""

    texts: list[str]
    problems: dict[str, str]


async def generate(
    items: Sequence[Item],
    engine: Engine,
    adapter: str | None,
    cache: Cache,
    *,
    max_tokens: int,
    told: Callable[[int, int], None] | None = None,
) -> Answers:
    """Greedy answers by ``adapter`` (None: the base model), each kept as soon as it is whole."""
    slots = asyncio.Semaphore(_AT_ONCE)
    problems: dict[str, str] = {}
    done = 0

    async def one(item: Item) -> str:
        nonlocal done
        at = key("answer", engine.model, adapter, prompts.VERSION, max_tokens, item.question, item.passages)
        text: str | None = cache.get(at)
        if text is None:
            async with slots:
                try:
                    text = await _answer(item, engine, adapter, max_tokens)
                    cache.put(at, text)
                except EngineError as error:
                    text, problems[item.id] = "", str(error)
        done += 1
        if told is not None:
            told(done, len(items))
        return text

    return Answers(list(await asyncio.gather(*map(one, items))), problems)


async def _answer(item: Item, engine: Engine, adapter: str | None, max_tokens: int) -> str:
    passages = [passage_of(text, number) for number, text in enumerate(item.passages, start=1)]
    messages = prompts.render(question=item.question, passages=passages)
    stream = engine.stream(messages, sampling=Sampling(max_tokens=max_tokens), adapter=adapter)
    return "".join([delta.text async for delta in stream]).strip()
