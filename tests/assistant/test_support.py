"""Finished answers get their support in the background, by the real judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event

import pytest

from assistant import support
from assistant.entailment import Judge, load_judge
from assistant.errors import ModelError
from assistant.records import Exchange, ExchangeStatus, Passage, Person
from assistant.store import exchanges, forget
from assistant.store.database import Database
from assistant.support import Supporter
from tests.assistant.store.test_exchanges import PASSAGE, exchange_of
from tests.conftest import People

TEXT = "The lighthouse was built in 1894. Its lamp burned olive oil."
LAMP: Passage = replace(PASSAGE, text=TEXT, sentences=((0, 0, 33), (1, 34, 60)))
ANSWER = "The lamp burned olive oil [1]. Its stairs are of Italian marble."

Log = Callable[..., Exchange]


@pytest.fixture
def log(database: Database, people: People) -> Log:
    def logged(**values: object) -> Exchange:
        person: Person = people.ana
        with database.write() as session:
            conversation = exchanges.add_conversation(session, person_id=person.id, title="?")
            made = replace(
                exchange_of(person, conversation.id),
                **{"passages": (LAMP,), "answer": ANSWER, "refused": False, "status": ExchangeStatus.COMPLETE} | values,
            )
            exchanges.add(session, made)
        return made

    return logged


@pytest.fixture
def supporter(database: Database) -> Iterator[Supporter]:
    opened = Supporter(database, lambda: load_judge("a"))
    yield opened
    opened.close()


def again(database: Database, exchange: Exchange) -> Exchange:
    with database.read() as session:
        return exchanges.get(session, exchange.id, person_id=exchange.person_id)


def test_each_sentence_is_judged_and_the_share_kept(database: Database, supporter: Supporter, log: Log) -> None:
    exchange = log()
    supporter.finished(exchange)
    supporter.wait()
    found = again(database, exchange).support
    assert found is not None
    assert found.judge == load_judge("a").name
    assert [ANSWER[s.start : s.end] for s in found.sentences] == [
        "The lamp burned olive oil [1].",
        "Its stairs are of Italian marble.",
    ]
    assert [(s.supported, s.passage) for s in found.sentences] == [(True, 1), (False, 1)]
    assert [support.level_of(s) for s in found.sentences] == ["supported", "not_found"]
    assert found.score == 0.5


def test_what_a_stop_left_is_taken_up_at_the_next_start(database: Database, supporter: Supporter, log: Log) -> None:
    left = log()
    supporter.start()
    supporter.wait()
    assert again(database, left).support is not None


@pytest.mark.parametrize(
    "values",
    [{"refused": True}, {"status": ExchangeStatus.STOPPED}, {"status": ExchangeStatus.FAILED}, {"passages": ()},
     {"answer": "…"}, {"answer": ""}],
)  # fmt: skip
def test_some_answers_are_not_judged(
    database: Database, supporter: Supporter, log: Log, values: dict[str, object]
) -> None:
    exchange = log(**values)
    supporter.finished(exchange)
    supporter.finished(last := log())
    supporter.wait()
    assert again(database, exchange).support is None
    assert again(database, last).support is not None


def test_an_answer_that_was_deleted_meanwhile_is_let_go(database: Database, supporter: Supporter, log: Log) -> None:
    exchange = log()
    with database.write() as session:
        forget.exchange(session, exchange.id, person_id=exchange.person_id)
    supporter.finished(exchange)
    supporter.finished(last := log())
    supporter.wait()
    assert again(database, last).support is not None


def test_without_a_judge_answers_go_without_a_badge(database: Database, log: Log) -> None:
    def load() -> Judge:
        raise ModelError("The judge is gone.")

    supporter = Supporter(database, load)
    exchange = log()
    supporter.finished(exchange)
    supporter.wait()
    supporter.close()
    assert again(database, exchange).support is None


def test_who_waits_for_the_first_words_goes_first(
    database: Database, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "_PAUSE", 0)
    judging = Event()

    def load() -> Judge:
        judging.set()
        return load_judge("a")

    supporter = Supporter(database, load)
    exchange = log()
    with supporter.held():
        supporter.finished(exchange)
        assert not judging.wait(0.2)  # it would begin at once
    supporter.wait()
    supporter.close()
    assert again(database, exchange).support is not None


def test_nobody_goes_first_for_ever(
    database: Database, supporter: Supporter, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "_LATEST", 0)
    exchange = log()
    with supporter.held():
        supporter.finished(exchange)
        supporter.wait()
    assert again(database, exchange).support is not None


def test_a_close_waits_for_nobody(database: Database, supporter: Supporter, log: Log) -> None:
    exchange = log()
    with supporter.held():
        supporter.finished(exchange)
        supporter.close()
    assert again(database, exchange).support is None
