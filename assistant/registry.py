"""Adapters on disk: one folder for each version, written once and never changed.

``manifest.json`` is written last and the folder moved to its place as a whole, so a folder that is there is complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from assistant.engines import plain
from assistant.errors import ModelError
from assistant.records import Adapter, Run
from assistant.store import adapters, runs
from assistant.store.database import Database

_FILES = (plain.CONFIG, plain.WEIGHTS)


@dataclass(frozen=True, slots=True)
class Registry:
    """The adapters of a state folder, on disk and in the store. Any process may use it."""

    database: Database
    folder: Path

    def path(self, version: str) -> Path:
        return self.folder / version

    def add(
        self,
        source: Path,
        *,
        base: str,
        prompt_version: str,
        origin: str = "",
        run: Run | None = None,
        dataset_hash: str = "",
        exchange_ids: Iterable[str] = (),
    ) -> Adapter:
        """Copies a trained adapter in as a new version; ``source`` stays as it is, its manifest is kept in the new one.

        A manifest that names a model that is ``remote`` stands for that model: there are no weights here.

        ``base`` is the engine's ``model`` that it was trained for, ``exchange_ids`` are what it learnt from, ``run`` is
        the run that made it, as its process claimed it.
        Raises ModelError when it could not be served or the disk is full, and LeaseLostError when the run is another
        process's by now.
        """
        training = plain.read_json(source / plain.MANIFEST) if (source / plain.MANIFEST).is_file() else {}
        if remote := training.get("remote"):
            files: tuple[str, ...] = ()
        else:
            plain.check(plain.read_json(source / plain.CONFIG), name=source.name)
            files = _FILES
        incoming = self.folder / f"incoming-{uuid4().hex}"
        incoming.mkdir(parents=True)
        try:
            for name in files:
                shutil.copyfile(source / name, incoming / name)
            hashes = _hashes(incoming, files)
            weights = hashes[plain.WEIGHTS] if files else _digest(str(remote))
            with self.database.write() as session:
                if run is not None:  # who was taken for dead must not add a second version
                    runs.report(session, run.id, token=run.token)
                number = adapters.next_number(session)
                adapter = adapters.add(
                    session,
                    number=number,
                    version=f"v{number}-{weights.removeprefix('sha256:')[:8]}",
                    base=base,
                    prompt_version=prompt_version,
                    weights_hash=weights,
                    origin=origin,
                    run_id=run.id if run is not None else None,
                    dataset_hash=dataset_hash,
                )
                adapters.record_exchanges(session, adapter.version, exchange_ids)
                _write_manifest(incoming, adapter, hashes, training=training)
                # What a kill left here between the move and the commit was never served, and has the same weights.
                shutil.rmtree(self.path(adapter.version), ignore_errors=True)
                incoming.rename(self.path(adapter.version))
        except OSError as error:
            raise ModelError(f"The adapter {source.name} cannot be added: {error}") from error
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return adapter

    def verify(self, version: str) -> None:
        """Raises ModelError when the version's folder is missing or is not what was added, NotFoundError without it."""
        with self.database.read() as session:
            added = adapters.get(session, version)
        folder = self.path(version)
        if not (folder / plain.MANIFEST).is_file():
            raise ModelError(f"The adapter {version} is missing: {folder} holds no {plain.MANIFEST}.")
        manifest = plain.read_json(folder / plain.MANIFEST)
        expected = manifest.get("files")
        try:
            found = _hashes(folder, expected or ())
        except OSError as error:
            raise ModelError(f"The adapter {version} is damaged: {error}") from error
        if found != expected or not (found or manifest.get("training", {}).get("remote")):
            raise ModelError(f"The adapter {version} is damaged: its files are not those of its manifest.")
        if found and found.get(plain.WEIGHTS) != added.weights_hash:
            raise ModelError(f"The adapter {version} is damaged: its weights are not those that were added.")


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    hashes = {}
    for name in names:
        with (folder / name).open("rb") as file:
            hashes[name] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return hashes


def _write_manifest(folder: Path, adapter: Adapter, hashes: dict[str, str], *, training: dict[str, Any]) -> None:
    manifest = {
        "version": adapter.version,
        "base": adapter.base,
        "prompt_version": adapter.prompt_version,
        "origin": adapter.origin,
        "files": hashes,
        "training": training,
        "created_at": datetime.now(UTC).isoformat(),
    }
    (folder / plain.MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
