"""A copy of all that the program keeps, taken while it runs; and the way back from it.

What is copied is what a power cut at that moment would leave, which every start copes with: vectors do not change while
the database and they are copied, originals and adapters never change at all. The manifest, with the hash of each
file, is written last, so a folder without one is no backup.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from assistant import state
from assistant.errors import FielError, InputError
from assistant.retrieval.vectors import Vectors

_DATABASE, _VECTORS = "fiel.db", "vectors"
_FOLDERS = ("originals", "adapters", "runs")
_PASSING = ("incoming-*", "work-*", "*.part")
_MANIFEST = "manifest.json"
_RESTORED, _BEFORE = "restored.part", "before-restore"

Progress = Callable[[float], None]


def back_up(source: Path, target: Path, *, vectors: Vectors, told: Progress = lambda _share: None) -> Path:
    """Copies the state folder ``source`` into a new folder within ``target``, whose path is returned.

    To be called by the process that owns the state folder. ``told`` hears the share that is done. Raises FielError when
    it cannot be written; then nothing stays behind.
    """
    name = f"fiel-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    unfinished = target / f"{name}.part"
    try:
        unfinished.mkdir(parents=True, mode=0o700)
        with vectors.unchanging():
            _copy_database(source / _DATABASE, unfinished / _DATABASE)
            _copy_folder(source / _VECTORS, unfinished / _VECTORS)
            _copy_folder(source / "originals", unfinished / "originals")
        told(0.5)
        for folder in _FOLDERS[1:]:
            _copy_folder(source / folder, unfinished / folder)
        told(0.7)
        _write_manifest(unfinished, told)
        unfinished.rename(target / name)
    except OSError as error:
        raise FielError(f"The backup in {target} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target / name


def verify(backup: Path) -> None:
    """Raises InputError when a backup is not whole, naming the first file that is wrong."""
    try:
        manifest = json.loads((backup / _MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, str] = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{backup} is no whole backup: its {_MANIFEST} cannot be read.") from error
    if set(files) != {str(path.relative_to(backup)) for path in _files(backup)}:
        raise InputError(f"{backup} is no whole backup: it does not hold the files that its {_MANIFEST} names.")
    for name, expected in files.items():
        if _hash(backup / name) != expected:
            raise InputError(f"{backup} is damaged: {name} is not what was backed up.")


def restore(backup: Path, folder: Path) -> Path | None:
    """Makes the state folder what it was when the backup was taken; what it held goes into a folder in it.

    What was spent stays spent: the tickets of the gate, and which of its items somebody opened, are carried over.

    Returns that folder, None if there was nothing. Raises InputError for a backup that is not whole, BusyError while a
    program uses the folder, FielError when it cannot be written. A restore that is cut off keeps the program from
    starting until it was done again.
    """
    verify(backup)
    with state.owned(folder, restoring=True):
        copied = folder / _RESTORED
        try:
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(backup, copied)
            verify(copied)
            state.set_restoring(folder, going_on=True)
            before = _put_aside(folder)
            for entry in sorted(copied.iterdir()):
                if entry.name != _MANIFEST:
                    entry.rename(folder / entry.name)
            if before is not None:
                _carry_over(before / _DATABASE, folder / _DATABASE)
            shutil.rmtree(copied)
            state.set_restoring(folder, going_on=False)
        except OSError as error:
            raise FielError(f"The backup cannot be put into {folder}: {error.strerror or error}") from error
    return before


def _put_aside(folder: Path) -> Path | None:
    names = (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", _VECTORS, *_FOLDERS)
    there = [folder / name for name in names if (folder / name).exists()]
    if not there:
        return None
    before = folder / f"{_BEFORE}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    before.mkdir()
    for path in there:
        path.rename(before / path.name)
    return before


def _carry_over(before: Path, restored: Path) -> None:
    """Whoever could get tickets back by restoring an older state could try until chance promotes something."""
    if not before.exists():
        return
    with closing(sqlite3.connect(restored, isolation_level=None)) as database:
        database.execute("ATTACH ? AS past", (str(before),))
        for table in ("tickets", "gate_opened"):
            here, there = (_columns(database, schema, table) for schema in ("main", "past"))
            if shared := ", ".join(name for name in here if name in there and name != "number"):
                database.execute(f"INSERT OR IGNORE INTO main.{table} ({shared}) SELECT {shared} FROM past.{table}")  # noqa: S608
        # No new run may have the number of one that a ticket belongs to.
        latest = [
            row[0]
            for schema in ("main", "past")
            for row in database.execute(f"SELECT seq FROM {schema}.sqlite_sequence WHERE name = 'runs'")  # noqa: S608
        ]
        if latest:
            database.execute("DELETE FROM main.sqlite_sequence WHERE name = 'runs'")
            database.execute("INSERT INTO main.sqlite_sequence (name, seq) VALUES ('runs', ?)", (max(latest),))


def _columns(database: sqlite3.Connection, schema: str, table: str) -> list[str]:
    """None where an older version knew no such table."""
    return [row[1] for row in database.execute(f"PRAGMA {schema}.table_info({table})")]


def _copy_database(source: Path, target: Path) -> None:
    """SQLite's own online backup: consistent, whatever is written meanwhile."""
    try:
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
    except sqlite3.Error as error:
        raise FielError(f"The database cannot be copied: {error}") from error


def _copy_folder(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_PASSING))


def _write_manifest(folder: Path, told: Progress) -> None:
    files = list(_files(folder))
    hashes = {}
    for n, path in enumerate(files, start=1):
        hashes[str(path.relative_to(folder))] = _hash(path)
        told(0.7 + 0.3 * n / len(files))
    manifest = {"created_at": datetime.now(UTC).isoformat(), "files": hashes}
    with (folder / _MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / _MANIFEST)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
