"""The files that people added, kept as they came under random names: a name from outside never becomes a path."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from assistant.errors import InputError

_CHUNK = 1 << 20
_UNFINISHED = ".part"


@dataclass(frozen=True, slots=True)
class Original:
    """A stored file: the ``key`` to find it by, the hash of its content after the algorithm's name, its bytes."""

    key: str
    content_hash: str
    size: int


class Originals:
    """The folder of originals, made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def store(self, content: BinaryIO, *, limit: int) -> Original:
        """Copies ``content``; once this returns, the copy survives a power cut.

        Raises InputError if it is empty or has more than ``limit`` bytes; then nothing stays behind.
        """
        key = secrets.token_hex(16)
        unfinished = self._folder / (key + _UNFINISHED)
        digest, size = hashlib.sha256(), 0
        try:
            with unfinished.open("xb") as file:
                while chunk := content.read(_CHUNK):
                    size += len(chunk)
                    if size > limit:
                        raise InputError(f"The file has more than the {limit / 1e6:,.0f} MB allowed. Split it.")
                    digest.update(chunk)
                    file.write(chunk)
                if not size:
                    raise InputError("The file is empty.")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.path(key))
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        self._sync_folder()
        return Original(key, f"sha256:{digest.hexdigest()}", size)

    def path(self, key: str) -> Path:
        return self._folder / key

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> None:
        """Deletes what a kill left behind: copies cut off, and files whose key is not ``known``. Nothing may be stored
        meanwhile."""
        for path in self._folder.iterdir():
            if path.name not in known:
                path.unlink()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def content_hash(path: Path) -> str:
    """The hash of a file's content as ``Original.content_hash`` has it. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
