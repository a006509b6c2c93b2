"""A program that is killed in the middle of a swap, at a point that is named."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from assistant.adapters import Adapters
from assistant.engines.local import LocalEngine
from assistant.registry import Registry
from assistant.store.database import open_database, sqlite_url

POINTS = ("loaded", "committed", "flipped", "unloaded")


class _Killed(Adapters):
    point = ""

    def _at(self, point: str) -> None:
        if point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    def _commit_promotion(self, version: str, person_id: int | None, reason: str, by_gate: bool) -> None:
        self._at("loaded")
        super()._commit_promotion(version, person_id, reason, by_gate)
        self._at("committed")

    async def _flip(self, version: str | None) -> None:
        await super()._flip(version)
        self._at("flipped")

    async def _unload_idle(self) -> None:
        before = self._engine.adapters
        await super()._unload_idle()
        if self._engine.adapters < before:
            self._at("unloaded")


def swap(state: Path, model: Path, versions: list[str], point: str) -> None:
    """Run in a process of its own: promotes one version after the other, and is killed with the last one."""
    database = open_database(sqlite_url(state / "fiel.db"))
    engine = LocalEngine(str(model))
    swapping = _Killed(database=database, engine=engine, registry=Registry(database, state / "adapters"))

    async def run() -> None:
        for version in versions:
            if version == versions[-1]:
                swapping.point = point
            await swapping.promote(version, person_id=None)
        await swapping.run()

    asyncio.run(run())
