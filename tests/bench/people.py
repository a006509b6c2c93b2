"""Simulated people over the program's HTTP API: they put documents in, ask, and press the button that trains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from tests.bench.chats import Program

AT_ONCE = 2
"""People who ask at the same time."""
FREE = {
    "review__mode": "automatic",
    "review__new_days": "0",
    "review__ratings_a_day": "100000",
    "review__ratings_a_minute": "100000",
    "training__niceness": "0",
}
"""Settings under which one account may rate as much as hundreds of people would."""
_LOOK = 1.0


async def put_in(fiel: Program, documents: dict[str, bytes]) -> None:
    """Adds the documents, by name, and waits until all are ready."""
    for name, content in documents.items():
        (await fiel.http.post("/api/documents", files={"files": (name, content)})).raise_for_status()
    while True:
        listed = (await fiel.get("/api/documents"))["documents"]
        if all(document["status"] == "ready" for document in listed):
            return
        await asyncio.sleep(_LOOK)


async def ask(fiel: Program, questions: Sequence[str]) -> list[dict[str, Any]]:
    """The exchanges, as the log has them, in the order of the questions."""
    waiting = iter(enumerate(questions))
    found: dict[int, dict[str, Any]] = {}

    async def person() -> None:
        for n, question in waiting:
            body = {"model": "fiel", "messages": [{"role": "user", "content": question}]}
            said = (await fiel.http.post("/v1/chat/completions", json=body)).raise_for_status().json()
            found[n] = await fiel.get(f"/api/exchanges/{said['exchange_id']}")

    await asyncio.gather(*(person() for _ in range(AT_ONCE)))
    return [found[n] for n in range(len(questions))]


async def train(fiel: Program, *, told: Callable[[str], None]) -> dict[str, Any]:
    """An admin presses the button and waits; returns the run. ``told`` hears of each stage."""
    asked = (await fiel.http.post("/api/training/runs", json={})).raise_for_status().json()
    stage = None
    while True:
        found = await fiel.get(f"/api/training/runs/{asked['id']}")
        if found["stage"] not in (stage, None):
            stage = found["stage"]
            told(stage)
        if found["status"] not in ("waiting", "running"):
            return found
        await asyncio.sleep(_LOOK)
