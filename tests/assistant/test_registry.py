"""The registry when things go wrong: the disk is full, or who adds has lost its run."""

from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from assistant.engines import plain
from assistant.errors import LeaseLostError, ModelError
from assistant.registry import Registry
from assistant.store import adapters, runs
from assistant.store.database import Database
from assistant.store.tables import RunRow

MB = 1_000_000


@pytest.fixture
def registry(database: Database, state: Path) -> Registry:
    return Registry(database, state / "adapters")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """As a trainer leaves it: weights of 4 MB and a manifest of 12 MB."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / plain.CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 4, "bias": "none"}))
    (folder / plain.WEIGHTS).write_bytes(bytes(4 * MB))
    (folder / plain.MANIFEST).write_text(json.dumps({"curves": "x" * 12 * MB}))
    return folder


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """The system refuses every file that would become larger, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [2 * MB, 8 * MB], ids=["for half the weights", "for half the manifest"])
def test_a_full_disk_adds_nothing_and_says_so(registry: Registry, database: Database, made: Path, room: int) -> None:
    with room_for(room), pytest.raises(ModelError, match="cannot be added"):
        registry.add(made, base="tiny", prompt_version="1")
    assert list(registry.folder.iterdir()) == []
    with database.read() as session:
        assert adapters.every(session) == []
    added = registry.add(made, base="tiny", prompt_version="1")
    registry.verify(added.version)
    assert added.version.startswith("v1-"), "no number is lost"


def test_weights_that_were_changed_with_their_manifest_are_found_out(registry: Registry, made: Path) -> None:
    added = registry.add(made, base="tiny", prompt_version="1")
    folder = registry.path(added.version)
    other = hashlib.sha256(b"other").hexdigest()
    (folder / plain.WEIGHTS).write_bytes(b"other")
    manifest = json.loads((folder / plain.MANIFEST).read_text())
    manifest["files"][plain.WEIGHTS] = f"sha256:{other}"
    (folder / plain.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="not those that were added"):
        registry.verify(added.version)


def test_who_was_taken_for_dead_adds_no_second_version(registry: Registry, database: Database, made: Path) -> None:
    with database.write() as session:
        slow = runs.claim(session, runs.add(session, kind="train", seed=0).id)
        session.execute(update(RunRow).values(heartbeat=datetime.now(UTC) - runs.PATIENCE))
    with database.write() as session:
        now = runs.claim(session, slow.id)
    added = registry.add(made, base="tiny", prompt_version="1", run=now)
    assert added.run_id == now.id
    with pytest.raises(LeaseLostError):
        registry.add(made, base="tiny", prompt_version="1", run=slow)
    assert [path.name for path in registry.folder.iterdir()] == [added.version]
    with database.read() as session:
        assert adapters.every(session) == [added]
