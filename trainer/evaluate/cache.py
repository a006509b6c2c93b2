"""What was computed already, kept by what it was computed from: a run that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from threading import Lock
from typing import Any, Protocol


def key(*parts: object) -> str:
    """A key for whatever depends on ``parts``, which JSON can hold, and on nothing else."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Kept(Protocol):
    """Records by key: ``get`` gives None for an unknown one, ``put`` keeps the first."""

    def get(self, key: str) -> Any: ...

    def put(self, key: str, record: object) -> None: ...


class Cache:
    """Records by key in an SQLite file, each written whole or not at all. Safe between threads and processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=60)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, body TEXT NOT NULL)")

    def get(self, key: str) -> Any:
        """The record, or None."""
        with self._lock:
            row = self._connection.execute("SELECT body FROM records WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, key: str, record: object) -> None:
        """Keeps the record; the first one stays."""
        body = json.dumps(record)  # ASCII: a language model may answer with halves of characters
        with self._lock:
            self._connection.execute("INSERT OR IGNORE INTO records VALUES (?, ?)", (key, body))

    def count(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM records").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()
