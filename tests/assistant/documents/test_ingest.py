import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.documents.ingest import Library, Summary, upload_scope
from assistant.errors import BusyError, InputError, NotAllowedError, NotFoundError
from assistant.records import SHARED, Document, DocumentStatus, Person
from assistant.retrieval.search import Search
from assistant.settings import Limits
from assistant.store.database import Database
from assistant.store.tables import DocumentRow
from tests.assistant.documents import files
from tests.conftest import People

HARBOUR = "The harbour of Setúbal was dredged in 1923. Forty ships can moor there."
BAKERY = "The bakery opens at six in the morning. On Sundays it sells honey bread."
LONG = "\n\n".join(f"Line {n} of the log says that ship {n * 7} left the harbour." for n in range(600))


def add(library: Library, text: str, person: Person, name: str = "notes.txt") -> Document:
    return library.add(name, io.BytesIO(text.encode()), scope=upload_scope(person), person=person)


def found(search: Search, query: str, person: Person) -> str:
    passages = search.search(query, scopes=(SHARED, person.scope)).passages
    return " ".join(passage.text for passage in passages)


def test_a_file_becomes_findable(
    library: Library, search: Search, people: People, assert_consistent: Callable[[], None]
) -> None:
    queued = add(library, HARBOUR, people.ana)
    assert queued.status is DocumentStatus.QUEUED
    assert library.wait_idle(60)
    document, sentences = library.text(queued.id, person=people.ana)
    assert (document.status, document.progress, document.reason) == (DocumentStatus.READY, 1.0, None)
    assert "".join(sentence.text for sentence in sentences) == HARBOUR
    assert library.original(queued.id, person=people.ana)[1].read_text() == HARBOUR
    assert "dredged in 1923" in found(search, "When was the harbour dredged?", people.ana)
    assert found(search, "When was the harbour dredged?", people.rui) == ""
    assert_consistent()


def test_pages_without_text_are_counted(library: Library, people: People) -> None:
    scanned = files.pdf(["The harbour was dredged in 1923."], [], ["Forty ships can moor there."], [])
    document = library.add("scan.pdf", io.BytesIO(scanned), scope=SHARED, person=people.admin)
    assert library.wait_idle(60)
    document = library.document(document.id, person=people.admin)
    assert (document.status, document.pages, document.empty_pages) == (DocumentStatus.READY, 4, 2)


def test_a_name_never_becomes_a_path(library: Library, people: People, state: Path) -> None:
    document = add(library, HARBOUR, people.ana, name="../../\u202eetc/cron\n.d.txt")
    library.wait_idle()
    assert library.document(document.id, person=people.ana).status is DocumentStatus.READY
    assert [path.name for path in (state / "originals").iterdir()] == [document.file]
    assert document.name == "../../ etc/cron .d.txt"


def test_what_cannot_be_added_leaves_nothing(
    open_library: Callable[..., Library], people: People, state: Path, tmp_path: Path
) -> None:
    library = open_library(Limits(file_mb=1))
    for content in (b"", b"x" * (1024**2 + 1)):
        with pytest.raises(InputError):
            library.add("a.txt", io.BytesIO(content), scope=people.ana.scope, person=people.ana)
    with pytest.raises(InputError, match="cannot be read"):
        library.add("a.txt", tmp_path / "nowhere", scope=people.ana.scope, person=people.ana)
    with pytest.raises(NotAllowedError):
        library.add("a.txt", io.BytesIO(b"x"), scope=SHARED, person=people.ana)
    assert list((state / "originals").iterdir()) == []
    assert library.documents(people.ana) == []


def test_the_same_content_is_kept_once_for_each_owner(
    library: Library, search: Search, people: People, assert_consistent: Callable[[], None]
) -> None:
    first = add(library, HARBOUR, people.ana)
    assert add(library, HARBOUR, people.ana, name="copy.md").id == first.id
    other = add(library, HARBOUR, people.rui)
    assert other.id != first.id
    library.wait_idle()
    library.remove(first.id, person=people.ana)
    again = add(library, HARBOUR, people.ana)  # at once, while the first is still being deleted
    assert again.id not in {first.id, other.id}
    library.wait_idle()
    assert "1923" in found(search, "harbour", people.rui)
    assert "1923" in found(search, "harbour", people.ana)
    assert_consistent()


def test_nobody_reaches_what_is_not_theirs(library: Library, people: People) -> None:
    private, shared = add(library, HARBOUR, people.ana), add(library, BAKERY, people.admin)
    for stranger in (people.rui, people.admin):
        with pytest.raises(NotFoundError):
            library.remove(private.id, person=stranger)
        with pytest.raises(NotFoundError):
            library.original(private.id, person=stranger)
        with pytest.raises(NotFoundError):
            library.text(private.id, person=stranger)
        assert [document.id for document in library.documents(stranger)] == [shared.id]
    with pytest.raises(NotAllowedError):
        library.remove(shared.id, person=people.ana)
    with pytest.raises(NotAllowedError):
        library.retry(shared.id, person=people.ana)


def test_a_deleted_document_is_gone_everywhere(
    library: Library, search: Search, people: People, state: Path, assert_consistent: Callable[[], None]
) -> None:
    document = add(library, HARBOUR, people.ana)
    kept = add(library, BAKERY, people.ana)
    library.wait_idle()
    library.remove(document.id, person=people.ana)
    with pytest.raises(NotFoundError):
        library.document(document.id, person=people.ana)
    assert "harbour" not in found(search, "harbour dredged", people.ana)
    library.wait_idle()
    assert [path.name for path in (state / "originals").iterdir()] == [kept.file]
    assert_consistent()


def test_a_failure_has_a_reason_and_can_be_tried_again(
    library: Library, people: People, assert_consistent: Callable[[], None]
) -> None:
    bad = add(library, "%PDF-1.7 and nothing more", people.ana, name="bad.pdf")
    good = add(library, HARBOUR, people.ana)
    library.wait_idle()
    failed = library.document(bad.id, person=people.ana)
    assert failed.status is DocumentStatus.FAILED
    assert "PDF" in (failed.reason or "")
    assert library.document(good.id, person=people.ana).status is DocumentStatus.READY
    with pytest.raises(InputError):
        library.retry(good.id, person=people.ana)

    library.original(bad.id, person=people.ana)[1].write_text(BAKERY)
    library.retry(bad.id, person=people.ana)
    library.wait_idle()
    retried = library.document(bad.id, person=people.ana)
    assert (retried.status, retried.reason) == (DocumentStatus.READY, None)
    assert_consistent()


def test_a_lost_original_is_a_failure_with_a_reason(
    open_library: Callable[..., Library], people: People, state: Path
) -> None:
    library = open_library()
    document = add(library, HARBOUR, people.ana)
    (state / "originals" / document.file).unlink()
    (state / "originals" / "left-by-a-kill.part").touch()
    library.start()
    library.wait_idle()
    assert "Add it again" in (library.document(document.id, person=people.ana).reason or "")
    assert list((state / "originals").iterdir()) == []
    library.close()


def test_a_folder_is_brought_in_again_only_where_it_differs(
    library: Library, search: Search, people: People, tmp_path: Path, assert_consistent: Callable[[], None]
) -> None:
    folder = tmp_path / "folder"
    (folder / "deep" / ".git").mkdir(parents=True)
    (folder / "harbour.md").write_text(HARBOUR)
    (folder / "deep" / "bakery.txt").write_text(BAKERY)
    (folder / "bad.docx").write_bytes(b"PK\x03\x04 broken")
    (folder / "empty.txt").touch()
    (folder / "deep" / ".git" / "config.txt").write_text("hidden")
    (folder / ".hidden.txt").write_text("hidden")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "secret.txt").write_text("The secret is elsewhere.")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(folder / "pipe.txt")  # which would be read without end

    shares: list[float] = []
    first = library.sync(folder, scope=SHARED, person=people.admin, on_progress=shares.append)
    assert (first.new, first.changed, first.gone, first.unchanged, first.skipped) == (3, 0, 0, 0, 4)
    assert [name for name, _ in first.failed] == ["empty.txt", "bad.docx"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert [d.name for d in library.documents(people.ana)] == ["bad.docx", "deep/bakery.txt", "harbour.md"]

    second = library.sync(folder, scope=SHARED, person=people.admin)
    assert (second.new, second.changed, second.gone, second.unchanged) == (0, 0, 0, 3)

    old = next(d for d in library.documents(people.admin) if d.name == "harbour.md")
    (folder / "harbour.md").write_text(HARBOUR.replace("1923", "1931"))
    (folder / "deep" / "bakery.txt").unlink()
    (folder / "bad.docx").unlink()
    (folder / "new.txt").write_text("The lighthouse blinks twice a minute.")
    third = library.sync(folder, scope=SHARED, person=people.admin)
    assert (third.new, third.changed, third.gone, third.unchanged) == (1, 1, 2, 0)
    library.wait_idle()
    new = next(d for d in library.documents(people.admin) if d.name == "harbour.md")
    assert (new.lineage, new.id != old.id) == (old.lineage, True)
    assert "1931" in found(search, "When was the harbour dredged?", people.ana)
    assert "1923" not in found(search, "When was the harbour dredged?", people.ana)
    assert "honey" not in found(search, "What does the bakery sell?", people.ana)
    assert_consistent()


def test_a_moved_file_and_a_remaining_copy_stay(library: Library, people: People, tmp_path: Path) -> None:
    def names() -> list[str]:
        library.wait_idle()
        return [document.name for document in library.documents(people.admin)]

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text(HARBOUR)
    (folder / "b.txt").write_text(HARBOUR)
    library.sync(folder, scope=SHARED, person=people.admin)
    assert names() == ["a.txt"]
    (folder / "a.txt").unlink()
    library.sync(folder, scope=SHARED, person=people.admin)
    assert names() == ["b.txt"]
    (folder / "b.txt").rename(folder / "c.txt")
    assert library.sync(folder, scope=SHARED, person=people.admin) == Summary(unchanged=1)
    assert names() == ["c.txt"]
    with pytest.raises(InputError):
        library.sync(folder / "nowhere", scope=SHARED, person=people.admin)


def test_the_old_version_stays_until_the_new_one_is_ready(
    library: Library, search: Search, people: People, tmp_path: Path, assert_consistent: Callable[[], None]
) -> None:
    file = tmp_path / "notes.txt"

    def write(content: bytes) -> Summary:
        file.write_bytes(content)
        summary = library.sync(file, scope=people.ana.scope, person=people.ana)
        library.wait_idle()
        return summary

    write(HARBOUR.encode())
    broken = write(b"%PDF-1.7 broken")
    assert (broken.changed, len(broken.failed)) == (1, 1)
    assert "1923" in found(search, "harbour", people.ana)
    write(HARBOUR.encode())  # back as it was: the broken version is of no use any more
    assert [d.status for d in library.documents(people.ana)] == [DocumentStatus.READY]
    write(b"%PDF-1.7 broken again")
    write(BAKERY.encode())
    assert [d.status for d in library.documents(people.ana)] == [DocumentStatus.READY]
    assert "1923" not in found(search, "harbour", people.ana)
    assert_consistent()


def test_a_document_is_deleted_while_it_is_indexed(
    library: Library, people: People, state: Path, tmp_path: Path, assert_consistent: Callable[[], None]
) -> None:
    (tmp_path / "long.txt").write_text(LONG)
    seen: list[float] = []

    def delete_once_begun(share: float) -> None:
        document = library.documents(people.ana)[:1]
        if document and document[0].status is DocumentStatus.INDEXING:
            seen.append(document[0].progress)
            library.remove(document[0].id, person=people.ana)

    library.sync(tmp_path / "long.txt", scope=people.ana.scope, person=people.ana, on_progress=delete_once_begun)
    assert library.wait_idle(60)
    assert len(seen) == 1
    assert library.documents(people.ana) == []
    assert list((state / "originals").iterdir()) == []
    assert_consistent()


def test_closing_interrupts_and_the_next_start_goes_on(
    open_library: Callable[..., Library], people: People, tmp_path: Path, assert_consistent: Callable[[], None]
) -> None:
    (tmp_path / "long.txt").write_text(LONG)
    library = open_library()
    library.start()

    def close_once_begun(share: float) -> None:
        if library.documents(people.ana)[0].status is DocumentStatus.INDEXING:
            library.close()

    with pytest.raises(BusyError):
        library.sync(tmp_path / "long.txt", scope=people.ana.scope, person=people.ana, on_progress=close_once_begun)
    library = open_library()
    library.start()
    assert library.wait_idle(120)
    assert library.documents(people.ana)[0].status is DocumentStatus.READY
    assert_consistent()


def test_another_embedding_model_indexes_all_again(
    open_library: Callable[..., Library], database: Database, people: People, assert_consistent: Callable[[], None]
) -> None:
    library = open_library()
    library.start()
    document = add(library, HARBOUR, people.ana)
    library.wait_idle()
    first = library.document(document.id, person=people.ana)
    library.close()
    with database.write() as session:
        session.get_one(DocumentRow, document.id).embedding = "another"
    library = open_library()
    library.start()
    library.wait_idle()
    again = library.document(document.id, person=people.ana)
    assert (again.status, again.embedding, again.generation) == (DocumentStatus.READY, first.embedding, 2)
    assert_consistent()
