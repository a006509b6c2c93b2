"""The examples of a dataset as tokens, exactly as the model is asked when it serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.engines.template import Template
from assistant.records import Message

IGNORED = -100
"""The label of a token that is read and not learnt."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """An example: what is asked, what is to be answered, and of a validation example the passages as texts."""

    prompt: list[int]
    completion: list[int]
    passages: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)

    @property
    def row(self) -> dict[str, list[int]]:
        """For a trainer: only the answer is learnt."""
        labels = [IGNORED] * len(self.prompt) + self.completion
        return {"input_ids": self.prompt + self.completion, "labels": labels}


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Examples that fit the model's window, and how many are too long for it: nothing is cut."""

    examples: list[Tokens]
    too_long: int

    @property
    def size(self) -> int:
        """Tokens of all examples."""
        return sum(map(len, self.examples))

    @property
    def longest(self) -> int:
        return max(map(len, self.examples), default=0)


def read(path: Path, template: Template, *, window: int) -> Tokenized:
    """The examples of ``train.jsonl``, ``validation.jsonl`` or ``undesirable.jsonl`` of a dataset."""
    examples, too_long = [], 0
    for row in lines(path):
        messages = tuple(Message(**message) for message in row["prompt"])
        found = Tokens(
            template.encoded(messages),
            template.completion(messages, row["completion"]),
            tuple(row.get("passages", ())),
        )
        if len(found) <= window:
            examples.append(found)
        else:
            too_long += 1
    return Tokenized(examples, too_long)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
