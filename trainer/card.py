"""The card of a dataset: what is in it, where it comes from, what was left out and why, and a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

from assistant.errors import InputError
from assistant.state import CARD, LEFT_OUT

FILES = ("train", "validation", "preferences", "undesirable", "retrieval")
"""The files of a dataset, each ``.jsonl``.

``train`` and ``validation``: ``{"exchange", "origin", "language", "document", "prompt": [{"role", "content"}, …],
"completion"}``, and for validation ``passages``, the texts.
``preferences``: ``{"exchange", "prompt", "chosen": [{"role", "content"}], "rejected": [{"role", "content"}]}``, as
TRL's DPO reads it; this program does not.
``undesirable``: ``{"exchange", "prompt", "completion"}``.
``retrieval``: ``{"exchange", "question", "passages": [{"document_id", "start", "end", "wrong"}]}``, for
tuning the retrieval by hand.
``left_out.jsonl`` names every exchange that taught nothing: ``{"exchange", "reason"}``.
"""


@dataclass(slots=True)
class Card:
    """Written last: a folder without it is no dataset. ``left_out`` counts the lines of ``left_out.jsonl`` by reason.

    ``of`` has for the training and the validation examples how many there are of each origin, language and document.
    ``people`` and ``exchanges`` are those behind the training examples.
    """

    seed: int
    prompt_version: str
    judge: str
    settings: dict[str, Any]
    hash: str = ""
    people: int = 0
    exchanges: int = 0
    examples: dict[str, int] = field(default_factory=dict)
    of: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises InputError when the folder holds no whole dataset."""
        try:
            return cls(**json.loads((folder / CARD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{folder} holds no whole dataset: {error}") from error

    def lines(self) -> list[str]:
        """The card for people."""
        shown = [
            f"Dataset {self.hash or 'without content'} (seed {self.seed}, prompt {self.prompt_version}, {self.judge})",
            "  " + ", ".join(f"{name} {count:,}" for name, count in self.examples.items()),
            f"  from {self.exchanges:,} exchanges of {self.people:,} people",
        ]
        for part, counts in self.of.items():
            for by, values in counts.items():
                most = sorted(values.items(), key=lambda item: (-item[1], item[0]))[:8]
                more = f" and {len(values) - 8} more" if len(values) > 8 else ""
                shown.append(f"  {part} by {by}: " + ", ".join(f"{name} {n:,}" for name, n in most) + more)
        shown += [f"  left out, {reason}: {count:,}" for reason, count in sorted(self.left_out.items())]
        return shown


class Writer:
    """Writes the files of a dataset line by line, and counts and hashes what passes by."""

    def __init__(self, folder: Path, card: Card) -> None:
        self._folder = folder
        self._card = card
        self._files: dict[str, TextIO] = {}
        self._hashes = {name: hashlib.sha256() for name in FILES}
        self._counts = dict.fromkeys(FILES, 0)
        self._of = {part: {by: Counter[str]() for by in ("origin", "language", "document")} for part in FILES[:2]}
        self._left_out: Counter[str] = Counter()
        self._people: set[int] = set()
        self._exchanges: set[str] = set()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        for name in FILES:
            self._files[name] = (self._folder / f"{name}.jsonl").open("w", encoding="utf-8")
        self._files[LEFT_OUT] = (self._folder / LEFT_OUT).open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def write(self, name: str, row: dict[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n"
        self._files[name].write(line)
        self._hashes[name].update(line.encode())
        self._counts[name] += 1
        for by, counts in self._of.get(name, {}).items():
            counts[row[by]] += 1

    def learnt(self, exchange_id: str, person_id: int) -> None:
        """Notes who is behind a training example."""
        self._exchanges.add(exchange_id)
        self._people.add(person_id)

    def leave_out(self, exchange_id: str, reason: str) -> None:
        self._files[LEFT_OUT].write(json.dumps({"exchange": exchange_id, "reason": reason}) + "\n")
        self._left_out[reason] += 1

    def finish(self) -> Card:
        """Closes the files and writes the card."""
        self.__exit__()
        whole = hashlib.sha256("".join(self._hashes[name].hexdigest() for name in FILES).encode())
        card = self._card
        card.hash = f"sha256:{whole.hexdigest()}"
        card.people, card.exchanges = len(self._people), len(self._exchanges)
        card.examples = self._counts
        card.of = {part: {by: dict(counts) for by, counts in each.items()} for part, each in self._of.items()}
        card.left_out = dict(self._left_out)
        (self._folder / CARD).write_text(
            json.dumps(asdict(card), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
        return card
