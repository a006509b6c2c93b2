"""The work folder of a training: what a process that goes on after a kill need not do again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from assistant.errors import InputError
from trainer.rates import Try


@dataclass(slots=True)
class Work:
    """What a training has done so far, on disk: finished tries here, checkpoints in folders beside."""

    folder: Path
    fingerprint: str
    tries: list[Try] = field(default_factory=list)
    base: Mapping[str, Any] | None = None

    @classmethod
    def open(cls, out: Path, fingerprint: str) -> Self:
        """Goes on where a training with the same fingerprint was cut off; what is left of others is removed."""
        if out.exists():
            raise InputError(f"{out} is there already; adapters never change.")
        folder = out.with_name(f"work-{out.name}")
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            if state["fingerprint"] == fingerprint:
                return cls(folder, fingerprint, [Try(**each) for each in state["tries"]], state["base"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # there is none, or a kill left half of one
        if os.environ.get("RANK", "0") != "0":
            return cls(folder, fingerprint)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        work = cls(folder, fingerprint)
        work._save()
        return work

    def add(self, attempt: Try) -> None:
        self.tries.append(attempt)
        self._save()

    def note_base(self, measured: Mapping[str, Any]) -> None:
        """What the base model reaches without an adapter."""
        self.base = measured
        self._save()

    def _save(self) -> None:
        if os.environ.get("RANK", "0") != "0":
            return
        tries = [asdict(each) for each in self.tries]
        state = {"fingerprint": self.fingerprint, "tries": tries, "base": self.base}
        write_whole(self.folder / "state.json", state)


def write_whole(path: Path, value: Mapping[str, Any]) -> None:
    """Writes JSON so that ``path`` is what it was or what it is to be, whenever the process is killed."""
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


class Rates:
    """The learning rate that was found best for a base model, and how many examples there were then."""

    def __init__(self, path: Path, base: str) -> None:
        self._path = path
        self._base = base
        self._all: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    @property
    def examples(self) -> int | None:
        return self._all.get(self._base, {}).get("examples")

    @property
    def rate(self) -> float | None:
        return self._all.get(self._base, {}).get("rate")

    def note(self, examples: int, rate: float) -> None:
        self._all[self._base] = {"examples": examples, "rate": rate}
        write_whole(self._path, self._all)
