"""What models answer to the validation questions, as they would be served, and how faithful a judge finds that."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from assistant import prompts
from assistant.engines.base import Engine, Sampling
from assistant.entailment import Judge
from assistant.records import Message
from trainer.answers import Answer, faithful

_AT_ONCE = 32


async def answers(
    path: Path,
    engine: Engine,
    models: Mapping[str, str | None],
    *,
    judge: Judge,
    max_tokens: int,
    told: Callable[[str, int, int], None],
) -> list[dict[str, Any]]:
    """For each question that has an answer its ``exchange``, the ``texts`` that the models answer, by name, and under
    each model's name how faithful that is.

    ``path`` is the ``validation.jsonl`` of a dataset. Empty and refused answers count 0.
    """
    with path.open(encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if not prompts.is_refusal(row["completion"])]
    found: list[dict[str, Any]] = [{"exchange": row["exchange"], "texts": {}} for row in rows]
    sampling = Sampling(max_tokens=max_tokens)
    for name, version in models.items():
        for first in range(0, len(rows), _AT_ONCE):
            told(f"validation answers of the {name}", first, len(rows))
            part = range(first, min(first + _AT_ONCE, len(rows)))
            asked = [[Message(**message) for message in rows[n]["prompt"]] for n in part]
            texts = await engine.generate_many(asked, sampling=sampling, adapter=version)
            for n, text in zip(part, texts, strict=True):
                found[n]["texts"][name] = text.strip()
                found[n][name] = faithful(Answer(text.strip(), ended=True), rows[n]["passages"], judge)
    return found
