"""Which passages and earlier turns fit the model's window."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from assistant import prompts
from assistant.engines.base import Engine
from assistant.errors import InputError
from assistant.records import Passage, Turn

_log = logging.getLogger(__name__)


async def fit(
    engine: Engine, question: str, found: Sequence[Passage], history: Sequence[Turn], *, answer_tokens: int
) -> tuple[tuple[Passage, ...], tuple[Turn, ...], tuple[int, ...]]:
    """The passages and turns that fit the model's window, and the ranks (from 1) of the passages that had to go.

    Passages go whole, the lowest score first, until one is left; then the earliest turns. If the one is too long
    alone, its best sentence stays, or nothing. Raises InputError where it is the question that leaves too little room.
    """
    room = engine.context_tokens - answer_tokens
    shown = dict(enumerate(found, start=1))
    turns = list(history)
    while True:
        kept = tuple(shown.values())
        messages = prompts.render(question=question, passages=kept, history=turns)
        if await engine.count_tokens(messages) <= room:
            break
        if len(shown) > 1:
            del shown[min(shown, key=lambda rank: shown[rank].score)]
        elif turns:
            turns.pop(0)
        elif any(len(passage.sentences) > 1 for passage in shown.values()):
            shown = {rank: _narrowed(passage) for rank, passage in shown.items()}
        elif shown and await engine.count_tokens(prompts.render(question=question, passages=())) <= room // 2:
            shown.clear()
        else:
            raise InputError("The question is too long for this model. Please shorten it or ask about one thing.")
    left_out = tuple(rank for rank in range(1, len(found) + 1) if rank not in shown)
    if left_out or len(turns) < len(history):
        _log.info("left out for length: passages %s, %d turns", left_out, len(history) - len(turns))
    return kept, tuple(turns), left_out


def _narrowed(passage: Passage) -> Passage:
    """The passage's best sentence alone."""
    index, start, end = next((s for s in passage.sentences if s[0] == passage.best), passage.sentences[0])
    return replace(
        passage,
        text=passage.text[start:end],
        start=passage.start + start,
        end=passage.start + end,
        sentences=((index, 0, end - start),),
        hits=tuple(hit for hit in passage.hits if hit == index),
    )
