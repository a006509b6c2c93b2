"""The state folder: one process at a time owns it, and tells the others where to find it.

Two owners of an embedded Chroma folder lose rows silently, so whoever opens the state takes the lock first.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.errors import BusyError, FielError

CARD, LEFT_OUT = "card.json", "left_out.jsonl"
"""Of the dataset of a run: figures and ids, no texts."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running program: its loopback address, and the token that proves that a caller may read the state folder."""

    address: str
    pid: int
    token: str


def new_token() -> str:
    return secrets.token_urlsafe(32)


@contextmanager
def owned(folder: Path, *, restoring: bool = False) -> Iterator[None]:
    """Makes the folder if need be and owns it until the end of the block, or of the process, however that comes.

    Raises BusyError when another process owns it, FielError when it cannot be written, or when a backup was being put
    into it and was cut off, unless ``restoring``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise FielError(f"The state folder {folder} cannot be written: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"Another Fiel is using {folder}. Stop it first, or use another --state folder.") from None
        if not restoring and _mark(folder).exists():
            raise FielError(f"Putting a backup into {folder} was cut off. Do it again: launch.py restore BACKUP")
        yield


def set_restoring(folder: Path, *, going_on: bool) -> None:
    """Notes that a backup is being put into the folder, or that this is done."""
    if going_on:
        _mark(folder).touch()
    else:
        _mark(folder).unlink(missing_ok=True)


@contextmanager
def announced(folder: Path, server: Server) -> Iterator[None]:
    """Until the end of the block, other processes of the same user are told where the owner of the folder listens."""
    temporary = folder / "server.json.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        # Held as long as the process lives: an announcement that is not locked was left by one that was killed.
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(asdict(server), file)
        file.flush()
        temporary.replace(_announcement(folder))
        try:
            yield
        finally:
            _announcement(folder).unlink(missing_ok=True)


def running_server(folder: Path) -> Server | None:
    """The server that owns the folder and can be asked, or None."""
    try:
        with _announcement(folder).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Server(**json.load(file))
    except FileNotFoundError:
        pass
    return None


def _announcement(folder: Path) -> Path:
    return folder / "server.json"


def _mark(folder: Path) -> Path:
    return folder / "restoring"


def clear_run(folder: Path) -> None:
    """Removes what people wrote from the folder where a run worked; the card of its dataset stays."""
    for path in (*folder.glob("*"), *folder.glob("dataset/*")):
        if path.name in {"dataset", CARD, LEFT_OUT}:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
