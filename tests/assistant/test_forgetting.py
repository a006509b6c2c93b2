"""What was deleted is in no byte of the state folder any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from assistant.accounts import Accounts
from assistant.documents.ingest import Library
from assistant.errors import NotAllowedError, NotFoundError
from assistant.feedback import Ratings
from assistant.forgetting import Forgetting
from assistant.records import Exchange, Feedback, Person, Role, RunStatus, SentenceSupport, Support
from assistant.settings import Review as Settings
from assistant.store import accounts as store
from assistant.store import adapters, exchanges, forget, runs, support
from assistant.store.database import Database
from assistant.store.tables import ExchangeDocumentRow, ExchangeRow, ForgottenRow, RunRow
from tests.assistant.store.test_exchanges import exchange_of

PLANTED = "Xylothorax"
"""A word that stands nowhere else."""
PASSWORD = "correct horse battery"
ASK_IN = "Where is the {} kept?"


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)


@pytest.fixture
def forgetting(database: Database, library: Library, accounts: Accounts, state: Path) -> Iterator[Forgetting]:
    opened = Forgetting(database=database, library=library, accounts=accounts, training=state / "training")
    yield opened
    opened.close()


@pytest.fixture
def ada(accounts: Accounts, database: Database) -> Person:
    return account(accounts, database, "ada", Role.ADMIN)


@pytest.fixture
def ana(accounts: Accounts, database: Database) -> Person:
    return account(accounts, database, "ana", Role.USER)


def account(accounts: Accounts, database: Database, name: str, role: Role) -> Person:
    with database.write() as session:
        local = store.local_admin(session)
    person, token = accounts.invite(name, role, by=local)
    accounts.accept(token, PASSWORD)
    return person


@pytest.fixture
def holding(state: Path) -> Callable[[], list[str]]:
    """The files of the state folder that hold the planted word, in any case."""
    word = PLANTED.lower().encode()

    def look() -> list[str]:
        files = [path for path in state.rglob("*") if path.is_file()]
        return [str(path.relative_to(state)) for path in files if word in path.read_bytes().lower()]

    return look


def told(database: Database, person: Person, question: str, *, conversation: str = "") -> Exchange:
    with database.write() as session:
        conversation = conversation or exchanges.add_conversation(session, person_id=person.id, title=question).id
        made = exchange_of(person, conversation, question=question)
        exchanges.add(session, made)
    return made


def rated(database: Database, person: Person, exchange: Exchange) -> None:
    said = Feedback(-1, comment=f"No {PLANTED} here.", correction=f"In the {PLANTED} box.")
    ratings = Ratings(database, Settings())
    ratings.rate(person, exchange.id, said)
    ratings.thumb(person, exchange.id, 1)


def forgotten(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(select(ForgottenRow.exchange_id)))


def test_a_deleted_exchange(
    database: Database, forgetting: Forgetting, ana: Person, ada: Person, holding: Callable[[], list[str]]
) -> None:
    exchange = told(database, ana, ASK_IN.format(PLANTED))
    rated(database, ana, exchange)
    later = told(database, ana, "And the other one?", conversation=exchange.conversation_id)
    elsewhere = told(database, ana, "And the third one?")  # a program's requests are conversations of their own
    with database.write() as session:
        for each in (later, elsewhere):
            row = session.get_one(ExchangeRow, each.id)
            row.history = [{"question": exchange.question, "answer": exchange.answer}]
            row.search_query = f"{exchange.question} {each.question}"
    assert holding() != []
    with pytest.raises(NotFoundError):
        forgetting.exchange(exchange.id, person=ada)
    forgetting.exchange(exchange.id, person=ana)
    forgetting.wait()
    assert holding() == []
    assert forgotten(database) == {exchange.id, later.id, elsewhere.id}
    with database.read() as session:
        assert [e.id for e in exchanges.in_conversation(session, later.conversation_id, person_id=ana.id)] == [later.id]


def test_a_deleted_conversation(
    database: Database, forgetting: Forgetting, ana: Person, holding: Callable[[], list[str]]
) -> None:
    exchange = told(database, ana, ASK_IN.format(PLANTED))
    rated(database, ana, exchange)
    assert holding() != []
    forgetting.conversation(exchange.conversation_id, person=ana)
    forgetting.wait()
    assert holding() == []
    assert forgotten(database) == {exchange.id}


def test_what_a_stop_came_too_soon_for_goes_at_the_next_start(
    database: Database, forgetting: Forgetting, ana: Person, holding: Callable[[], list[str]]
) -> None:
    exchange = told(database, ana, ASK_IN.format(PLANTED))
    with database.write() as session:
        forget.exchange(session, exchange.id, person_id=ana.id)
    assert holding() != []
    forgetting.start()
    forgetting.wait()
    assert holding() == []


def test_what_somebody_still_reads_goes_afterwards(
    database: Database, forgetting: Forgetting, ana: Person, monkeypatch: pytest.MonkeyPatch,
    holding: Callable[[], list[str]],
) -> None:  # fmt: skip
    tried = Event()
    scrub = Database.scrub

    def noted(self: Database) -> bool:
        done = scrub(self)
        tried.set()
        return done

    monkeypatch.setattr(Database, "scrub", noted)
    exchange = told(database, ana, ASK_IN.format(PLANTED))
    with database.read() as session:
        exchanges.get(session, exchange.id, person_id=ana.id)
        forgetting.exchange(exchange.id, person=ana)
        assert tried.wait(60)
        assert holding() != []
    forgetting.wait()
    assert holding() == []


@pytest.mark.parametrize("alive", [False, True])
def test_what_a_run_collected(  # noqa: PLR0917
    database: Database, forgetting: Forgetting, ana: Person, state: Path, holding: Callable[[], list[str]], alive: bool
) -> None:
    exchange = told(database, ana, ASK_IN.format(PLANTED))
    with database.write() as session:
        run = runs.claim(session, runs.add(session, kind="cycle", seed=0).id)
        if not alive:
            session.get_one(RunRow, run.id).heartbeat = datetime.now(UTC) - 2 * runs.PATIENCE
    dataset, preview = state / "training" / str(run.id) / "dataset", state / "training" / "preview"
    for folder in (dataset, preview):
        folder.mkdir(parents=True)
        (folder / "train.jsonl").write_text(PLANTED)
        (folder / "card.json").write_text("{}")
    forgetting.exchange(exchange.id, person=ana)
    forgetting.wait()
    assert (dataset / "card.json").exists()
    assert not (preview / "train.jsonl").exists()
    with database.read() as session:
        status = runs.get(session, run.id).status
    if alive:  # it removes what it works on at its end
        assert (holding(), status) == ([f"training/{run.id}/dataset/train.jsonl"], RunStatus.RUNNING)
    else:
        assert (holding(), status) == ([], RunStatus.CANCELLED)


def test_a_start_leaves_a_run_that_a_kill_cut_off_to_be_gone_on_with(
    database: Database, forgetting: Forgetting, state: Path
) -> None:
    with database.write() as session:
        ended = runs.claim(session, runs.add(session, kind="train", seed=0).id)
        runs.finish(session, ended.id, token=ended.token, status=RunStatus.FAILED)
        cut_off = runs.claim(session, runs.add(session, kind="train", seed=0).id)
        session.get_one(RunRow, cut_off.id).heartbeat = datetime.now(UTC) - 2 * runs.PATIENCE
    for run in (ended, cut_off):
        (state / "training" / str(run.id) / "dataset").mkdir(parents=True)
        (state / "training" / str(run.id) / "dataset" / "train.jsonl").write_text("{}")
    forgetting.start()
    forgetting.wait()
    assert [path.parts[-3] for path in state.glob("training/*/dataset/train.jsonl")] == [str(cut_off.id)]
    with database.read() as session:
        assert [run.id for run in runs.dead(session)] == [cut_off.id]


def test_adapters_that_saw_what_is_deleted_are_affected(
    database: Database, forgetting: Forgetting, ana: Person
) -> None:
    first, second = (told(database, ana, question) for question in ("Why?", "How?"))
    with database.write() as session:
        for number, seen in ((1, [first.id, second.id]), (2, [second.id]), (3, [])):
            version = f"v{number}"
            adapters.add(
                session, number=number, version=version, base="b", prompt_version="1", weights_hash="", origin=""
            )
            adapters.record_exchanges(session, version, seen)
    forgetting.conversation(first.conversation_id, person=ana)
    with database.write() as session:
        # Whoever was training meanwhile and tells only now is not missed.
        adapters.record_exchanges(session, "v3", [first.id])
        found = {adapter.version: adapter.affected_at for adapter in adapters.for_base(session, "b")}
        assert adapters.get(session, "v1").affected_at == found["v1"]
    assert {version for version, at in found.items() if at is not None} == {"v1", "v3"}


def test_a_deleted_document_leaves_what_others_were_told(  # noqa: PLR0917
    database: Database, library: Library, forgetting: Forgetting, ada: Person, ana: Person, tmp_path: Path,
    holding: Callable[[], list[str]],
) -> None:  # fmt: skip
    file = tmp_path / "upload"
    file.write_text(f"The {PLANTED} is kept in the cellar.")
    document = library.add(f"{PLANTED}.txt", file, scope="shared", person=ada)
    assert library.wait_idle(60)
    exchange = told(database, ana, "Where is it kept?")
    later = told(database, ana, "And why?", conversation=exchange.conversation_id)
    with database.write() as session:
        row = session.get_one(ExchangeRow, exchange.id)
        showed = {"document_id": document.id, "document": document.name, "text": file.read_text()}
        row.passages = [row.passages[0] | showed]
        row.citations = [row.citations[0] | {"document_id": document.id, "sentence": file.read_text()}]
        row.answer = f"The {PLANTED} is in the cellar."  # which the model did not cite
        session.query(ExchangeRow).filter_by(id=later.id).update(
            {"history": [{"question": row.question, "answer": row.answer}]}
        )
        session.add(ExchangeDocumentRow(exchange_id=exchange.id, document_id=document.id))
    rated(database, ana, exchange)
    with database.write() as session:
        judged = Support(0.5, (SentenceSupport(0, 9, 0.5, supported=True),), "judge")
        support.keep(session, exchange.id, judged, answer=f"The {PLANTED} is in the cellar.")
        support.keep(session, later.id, judged, answer="what it said before")
    assert len(holding()) >= 2  # the database and the original
    with pytest.raises(NotAllowedError):
        forgetting.document(document.id, person=ana)
    forgetting.document(document.id, person=ada)
    forgetting.wait()
    assert holding() == []
    assert forgotten(database) == {exchange.id, later.id}
    with database.read() as session:
        redacted = exchanges.get(session, exchange.id, person_id=ana.id)
        assert (redacted.answer, redacted.support) == ("[deleted]", None)  # its sentences are no longer there
        assert exchanges.get(session, later.id, person_id=ana.id).support is None  # it was another answer's


def test_a_deleted_account(  # noqa: PLR0917
    database: Database, library: Library, accounts: Accounts, forgetting: Forgetting, ada: Person, ana: Person,
    tmp_path: Path, holding: Callable[[], list[str]],
) -> None:  # fmt: skip
    file = tmp_path / "upload"
    file.write_text(f"The {PLANTED} is mine.")
    library.add("mine.txt", file, scope=ana.scope, person=ana)
    assert library.wait_idle(60)
    rated(database, ana, told(database, ana, ASK_IN.format(PLANTED)))
    _, key = accounts.new_key(ana, PLANTED)
    kept = told(database, ada, "Whose is it?")
    assert holding() != []
    with pytest.raises(NotAllowedError):
        forgetting.account(ana, password="wrong password")
    with pytest.raises(NotAllowedError):
        forgetting.account(ada, password=PASSWORD)  # the last admin
    forgetting.account(ana, password=PASSWORD)
    forgetting.wait()
    assert holding() == []
    assert accounts.by_key(key) is None
    with database.read() as session:
        assert [account.name for account in store.accounts(session)] == ["ada"]
        assert exchanges.get(session, kept.id, person_id=ada.id).answer == kept.answer
