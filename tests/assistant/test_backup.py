"""Backups of a running program, and the way back."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant import backup, doctor
from assistant import state as folders
from assistant.documents.ingest import Library
from assistant.errors import BusyError, FielError, InputError
from assistant.records import SHARED
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.search import Search
from assistant.retrieval.vectors import Vectors
from assistant.settings import Limits, Retrieval, Settings
from assistant.store import gate, runs
from assistant.store.database import Database, open_database, sqlite_url
from tests.conftest import People


def add(library: Library, people: People, name: str, text: str) -> None:
    library.add(name, io.BytesIO(text.encode()), scope=SHARED, person=people.admin)


def found_in(state: Path, embedder: Embedder, question: str) -> str:
    """What a program that starts on this folder finds."""
    database, vectors = open_database(sqlite_url(state / "fiel.db")), Vectors(state / "vectors", None)
    library = Library(database=database, vectors=vectors, embedder=embedder, folder=state, limits=Limits())
    library.start()
    assert library.wait_idle(60)
    search = Search(database=database, vectors=vectors, embedder=embedder, settings=Retrieval())
    text = " ".join(passage.text for passage in search.search(question, scopes=(SHARED,)).passages)
    library.close()
    vectors.close()
    database.close()
    return text


@pytest.fixture
def filled(library: Library, people: People, state: Path) -> Path:
    add(library, people, "lamp.md", "The reading lamp takes a bulb of eleven watts.")
    assert library.wait_idle(60)
    version = state / "adapters" / "v1-x"
    version.mkdir(parents=True)
    (version / "adapter_model.safetensors").write_bytes(b"weights")
    return state


def test_a_backup_taken_while_documents_come_in_is_whole(
    *, filled: Path, library: Library, vectors: Vectors, people: People, embedder: Embedder, tmp_path: Path
) -> None:
    stop = threading.Event()

    def keep_adding() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            add(library, people, f"note{n}.md", f"Note number {n} tells of harbour pilot {n}.")

    adding = threading.Thread(target=keep_adding)
    adding.start()
    shares: list[float] = []
    made = backup.back_up(filled, tmp_path / "backups", vectors=vectors, told=shares.append)
    stop.set()
    adding.join()
    library.close()
    backup.verify(made)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert (made / "adapters" / "v1-x" / "adapter_model.safetensors").read_bytes() == b"weights"

    fresh = tmp_path / "fresh"
    assert backup.restore(made, fresh) is None
    assert "eleven watts" in found_in(fresh, embedder, "How many watts does the bulb take?")
    assert not list((tmp_path / "backups").glob("*.part"))


def test_restoring_keeps_what_was_there(
    *, filled: Path, library: Library, vectors: Vectors, people: People, embedder: Embedder, tmp_path: Path
) -> None:
    made = backup.back_up(filled, tmp_path / "backups", vectors=vectors)
    add(library, people, "kettle.md", "The kettle holds two litres of water.")
    assert library.wait_idle(60)
    library.close()
    vectors.close()
    before = backup.restore(made, filled)
    assert before is not None
    assert (before / "fiel.db").exists()
    assert "two litres" not in found_in(filled, embedder, "How much does the kettle hold?")
    assert "eleven watts" in found_in(filled, embedder, "How many watts does the bulb take?")


def test_restoring_gives_no_ticket_back(
    *, filled: Path, library: Library, vectors: Vectors, database: Database, tmp_path: Path
) -> None:
    made = backup.back_up(filled, tmp_path / "backups", vectors=vectors)
    with database.write() as session:
        run = runs.add(session, kind="cycle", seed=0)
        spent = gate.take_ticket(session, run.id, dataset_hash="d")
    library.close()
    vectors.close()
    database.close()
    backup.restore(made, filled)
    restored = open_database(sqlite_url(filled / "fiel.db"))
    with restored.write() as session:
        assert [ticket.run_id for ticket in gate.tickets(session)] == [spent.run_id]
        assert runs.add(session, kind="cycle", seed=0).id > run.id, "or it would have that ticket"
    restored.close()


@pytest.mark.parametrize("damage", ["changed", "missing", "more", "manifest"])
def test_a_damaged_backup_is_refused_and_nothing_is_touched(
    damage: str, filled: Path, vectors: Vectors, tmp_path: Path
) -> None:
    made = backup.back_up(filled, tmp_path / "backups", vectors=vectors)
    victim = made / "adapters" / "v1-x" / "adapter_model.safetensors"
    if damage == "changed":
        victim.write_bytes(b"other")
    elif damage == "missing":
        victim.unlink()
    elif damage == "more":
        (made / "more").touch()
    else:
        (made / "manifest.json").write_text("{")
    target = tmp_path / "target"
    with pytest.raises(InputError, match="backup"):
        backup.restore(made, target)
    assert not target.exists()


def test_a_state_folder_in_use_is_not_restored(filled: Path, vectors: Vectors, tmp_path: Path) -> None:
    made = backup.back_up(filled, tmp_path / "backups", vectors=vectors)
    with folders.owned(filled), pytest.raises(BusyError):
        backup.restore(made, filled)


def test_a_restore_that_was_cut_off_keeps_the_program_from_starting(
    filled: Path, vectors: Vectors, tmp_path: Path
) -> None:
    made = backup.back_up(filled, tmp_path / "backups", vectors=vectors)
    target = tmp_path / "target"
    target.mkdir()
    folders.set_restoring(target, going_on=True)
    with pytest.raises(FielError, match="restore"), folders.owned(target):
        pass
    backup.restore(made, target)
    with folders.owned(target):
        assert (target / "fiel.db").exists()


def test_a_backup_that_cannot_be_written_leaves_nothing(filled: Path, vectors: Vectors, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FielError, match="cannot be written"):
        backup.back_up(filled, tmp_path / "file", vectors=vectors)


def findings(state: Path) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine(Settings(state=state))}


def test_the_doctor_finds_nothing_wrong_with_what_is_well(filled: Path, tmp_path: Path) -> None:
    assert findings(filled)["documents"].told == "1, of which 0 cannot be read"
    assert all(finding.well for finding in findings(tmp_path / "empty").values())


def test_the_doctor_finds_what_is_lost_and_says_what_to_do(
    filled: Path, library: Library, people: People, open_library: Callable[..., Library]
) -> None:
    add(library, people, "broken.pdf", "%PDF-1.7 and nothing else")
    assert library.wait_idle(60)
    assert not findings(filled)["documents"].well
    for original in (filled / "originals").iterdir():
        original.unlink()
    lost = findings(filled)["documents"]
    assert (lost.well, "lamp.md" in lost.told, "Add these files again" in lost.remedy) == (False, True, True)
    said: list[str] = []
    assert doctor.report(Settings(state=filled), said.append) == 1
    assert any(line.startswith("NOT WELL") for line in said)


def test_the_doctor_tells_a_broken_store(tmp_path: Path) -> None:
    (tmp_path / "fiel.db").write_bytes(b"this is no database, but it is long enough to look at as if it were one")
    look = doctor.examine(Settings(state=tmp_path))
    store = next(finding for finding in look if finding.what == "store")
    assert (store.well, "restore" in store.remedy) == (False, True)


def test_vllm_that_does_not_answer_is_told(tmp_path: Path) -> None:
    look = doctor.examine(Settings(state=tmp_path, vllm_url="http://127.0.0.1:9, http://127.0.0.1:x"))
    engine = next(finding for finding in look if finding.what == "engine")
    assert (engine.well, engine.told) == (False, "no answer from http://127.0.0.1:9, http://127.0.0.1:x")


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = next(iter(doctor.examine(Settings(state=tmp_path, model=str(tmp_path / "none")))))
    assert (found.what, found.well) == ("model", False)
    assert json.dumps(found.remedy)
