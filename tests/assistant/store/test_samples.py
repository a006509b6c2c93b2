"""Sentences that people judge blind, and what comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from assistant.errors import NotFoundError
from assistant.records import Person, SentenceSupport, Support
from assistant.store import exchanges, forget, samples, support
from assistant.store.database import Database
from assistant.store.samples import Share
from assistant.store.tables import SampleRow
from tests.assistant.store.test_exchanges import PASSAGE, exchange_of
from tests.conftest import People


def judged(database: Database, person: Person, *, private: bool = False) -> str:
    """Logs an exchange of which a judge found two sentences."""
    with database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=person.id, title="?")
        exchange = replace(exchange_of(person, conversation.id), private=private, answer="One. Two.")
        exchanges.add(session, exchange)
        found = (SentenceSupport(0, 4, 0.9, supported=True), SentenceSupport(5, 9, 0.1, supported=False))
        support.keep(session, exchange.id, Support(0.5, found, "judge-a"), answer=exchange.answer)
    return exchange.id


def put(database: Database, *, supported: bool, human: bool) -> None:
    with database.write() as session:
        samples.add(
            session, exchange_id=None, question="?", passages=["p"], sentence="s", judge="j", supported=supported,
            probability=None,
        )  # fmt: skip
    with database.write() as session:
        sample = samples.following(session)
        assert sample is not None
        samples.label(session, sample.id, supported=human, by=1)


def test_a_sentence_of_each_answer_is_drawn_once(database: Database, people: People) -> None:
    for _ in range(3):
        judged(database, people.ana)
    with database.write() as session:
        assert samples.draw(session, 2) == 2
        assert samples.draw(session, 5) == 1
        assert samples.draw(session, 5) == 0
        assert samples.waiting(session) == 3
        sample = samples.following(session)
    assert sample is not None
    assert sample.sentence in ("One.", "Two.")
    assert sample.passages == (PASSAGE.text,)


def test_private_answers_are_neither_drawn_nor_shown(database: Database, people: People) -> None:
    judged(database, people.ana, private=True)
    with database.write() as session:
        assert samples.draw(session, 5) == 0


def test_a_label_stays(database: Database, people: People) -> None:
    judged(database, people.ana)
    with database.write() as session:
        samples.draw(session, 1)
        sample = samples.following(session)
        assert sample is not None
        samples.label(session, sample.id, supported=True, by=people.admin.id)
        assert samples.following(session) is None
        with pytest.raises(NotFoundError):
            samples.label(session, sample.id, supported=False, by=people.admin.id)


@pytest.mark.parametrize("how", ["exchange", "document"])
def test_what_is_forgotten_leaves_no_sample(database: Database, people: People, how: str) -> None:
    exchange_id = judged(database, people.ana)
    with database.write() as session:
        samples.draw(session, 1)
    with database.write() as session:
        if how == "exchange":
            forget.exchange(session, exchange_id, person_id=people.ana.id)
        else:
            forget.document(session, PASSAGE.document_id)
    with database.read() as session:
        assert session.scalars(select(SampleRow)).all() == []


@pytest.mark.parametrize("how", ["exchange", "document"])
def test_what_was_forgotten_meanwhile_is_not_put_up(database: Database, people: People, how: str) -> None:
    exchange_id = judged(database, people.ana)
    with database.write() as session:
        if how == "exchange":
            forget.exchange(session, exchange_id, person_id=people.ana.id)
        else:
            forget.document(session, PASSAGE.document_id)
    with database.write() as session:
        samples.add(
            session, exchange_id=exchange_id, question="?", passages=[PASSAGE.text], sentence="One.", judge="j",
            supported=True, probability=None,
        )  # fmt: skip
    with database.read() as session:
        assert session.scalars(select(SampleRow)).all() == []


def test_agreement_with_people(database: Database) -> None:
    for supported, human in [(True, True)] * 3 + [(False, True)] + [(False, False)] * 2 + [(True, False)] * 2:
        put(database, supported=supported, human=human)
    with database.read() as session:
        (agreement,) = samples.agreements(session)
    assert (agreement.judge, agreement.sensitivity, agreement.specificity) == ("j", Share(3, 4), Share(2, 4))
    assert agreement.balanced_accuracy == 0.625


def test_without_both_kinds_there_is_no_balanced_accuracy(database: Database) -> None:
    put(database, supported=True, human=True)
    with database.read() as session:
        (agreement,) = samples.agreements(session)
    assert agreement.balanced_accuracy is None
    assert agreement.specificity.interval == (0.0, 1.0)


def test_wilsons_interval() -> None:
    low, high = Share(8, 10).interval
    assert (low, high) == (pytest.approx(0.4902, abs=1e-3), pytest.approx(0.9433, abs=1e-3))
