"""What the command line and whoever watches over the program ask: health, status, and reading local folders."""

from __future__ import annotations

import asyncio
import json
import platform
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import text

import assistant
from assistant import backup, prompts
from assistant.api import errors
from assistant.api.dependencies import Body, Me, Parts, Text, current_admin
from assistant.documents.ingest import Summary, upload_scope
from assistant.errors import FielError, InputError, NotAllowedError
from assistant.records import DocumentStatus, Person
from assistant.services import Services
from assistant.store import exchanges

router = APIRouter(tags=["system"])


class IngestBody(Body):
    path: Annotated[Text, Field(min_length=1, max_length=4096)]
    """An absolute path of a file or folder on this machine."""


@router.get("/healthz")
def health(services: Parts) -> dict[str, str]:
    """200 while the program can answer."""
    with services.database.read() as session:
        session.execute(text("SELECT 1"))
    return {"status": "ok"}


@router.get("/api/status", dependencies=[Depends(current_admin)])
def status(services: Parts, person: Me) -> dict[str, Any]:
    """What runs, and how much it holds."""
    documents = services.library.documents(person)
    counts = Counter(document.status for document in documents)
    with services.database.read() as session:
        logged = exchanges.count(session)
    return {
        "version": assistant.__version__,
        "python": platform.python_version(),
        "model": None if services.engine.notice else services.engine.model,
        "notice": services.engine.notice,
        "adapter": services.adapters.live,
        "problem": services.adapters.problem,
        "prompt_version": prompts.VERSION,
        "embedding_model": services.settings.retrieval.embedding_model,
        "documents": {status.value: counts[status] for status in DocumentStatus if status != DocumentStatus.DELETING},
        "sentences": sum(document.sentences for document in documents),
        "queue": counts[DocumentStatus.QUEUED] + counts[DocumentStatus.INDEXING],
        "exchanges": logged,
        "state": str(services.settings.state),
        "state_bytes": _size(services.settings.state),
    }


@router.post("/api/ingest", response_class=StreamingResponse)
async def ingest(
    body: IngestBody,
    request: Request,
    services: Parts,
    person: Me,
    authorization: Annotated[str, Header()] = "",
) -> StreamingResponse:
    """Brings in a file or folder of this machine; again: what is new, changed or gone.

    Only for who can read the token that the running program keeps in its state folder (``Authorization: Bearer …``).
    Streams JSON Lines: ``{"progress": 0.4}`` …, then ``{"summary": {"new", "changed", "gone", "unchanged", "skipped",
    "failed": [{"name", "reason"}]}}`` or, if it broke off, ``{"error": …}``.
    """
    path = _local(body.path, request, authorization)
    events = _sync(path, services, person)
    first = await anext(events)  # before the response begins, so that a wrong path gets a status of its own
    return StreamingResponse(_lines(first, events), media_type="application/jsonl")


class BackupBody(Body):
    path: Annotated[Text, Field(min_length=1, max_length=4096)]
    """An absolute path of a folder on this machine; the backup becomes a folder in it."""


@router.post("/api/backup")
def back_up(
    body: BackupBody, request: Request, services: Parts, authorization: Annotated[str, Header()] = ""
) -> dict[str, str]:
    """Copies all that the program keeps, while it runs. Only for who can read the token in its state folder."""
    path = _local(body.path, request, authorization)
    made = backup.back_up(services.settings.state, path, vectors=services.vectors)
    return {"path": str(made)}


def _local(given: str, request: Request, authorization: str) -> Path:
    """A path of this machine, for who proves to be its command line."""
    token: str | None = request.app.state.local_token
    if token is None or not secrets.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
        raise NotAllowedError("Files of this machine are used only by its command line. Upload them instead.")
    path = Path(given)
    if not path.is_absolute():
        raise InputError("The path must be absolute.")
    return path


async def _sync(path: Path, services: Services, person: Person) -> AsyncGenerator[dict[str, Any], None]:
    """Runs to its end even when nobody listens any more."""
    loop = asyncio.get_running_loop()
    shares: asyncio.Queue[float | None] = asyncio.Queue()

    def sync() -> Summary:
        try:
            return services.library.sync(
                path,
                scope=upload_scope(person),
                person=person,
                on_progress=lambda share: _tell(loop, shares, share),
            )
        finally:
            _tell(loop, shares, None)

    running = asyncio.create_task(asyncio.to_thread(sync))
    while (share := await shares.get()) is not None:
        yield {"progress": share}
    summary = asdict(await running)
    summary["failed"] = [{"name": name, "reason": reason} for name, reason in summary["failed"]]
    yield {"summary": summary}


def _tell(loop: asyncio.AbstractEventLoop, shares: asyncio.Queue[float | None], share: float | None) -> None:
    loop.call_soon_threadsafe(shares.put_nowait, share)


async def _lines(first: dict[str, Any], events: AsyncGenerator[dict[str, Any], None]) -> AsyncIterator[str]:
    yield json.dumps(first) + "\n"
    try:
        async for event in events:
            yield json.dumps(event, ensure_ascii=False) + "\n"
    except FielError as error:
        _, kind = errors.describe(error)
        yield json.dumps(errors.body(str(error), kind), ensure_ascii=False) + "\n"


def _size(folder: Path) -> int:
    """Bytes of all files below the folder; those that vanish meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
