"""What golden questions are about is not learnt, as what sealed exchanges are about is not."""

from __future__ import annotations

import pytest

from assistant import golden as sets
from assistant.entailment import Judge
from assistant.golden import Golden
from assistant.records import Exchange, Passage, Side
from assistant.store import golden
from assistant.store.database import Database
from tests.trainer.talk import Talk, fact
from trainer.sealed import Sealed

NEW = (1, 9)
"""A section that nobody has asked about."""


@pytest.fixture
def talk(database: Database) -> Talk:
    talk = Talk(database)
    talk.add_documents(2, sections=10)
    return talk


def sealed(talk: Talk, judge: Judge, about: tuple[int, int]) -> Sealed:
    """With a golden question about a section."""

    def search(question: str) -> tuple[Passage, ...]:
        with talk.database.read() as session:
            return (talk.passage(session, *about), talk.passage(session, 0, 0))

    with talk.database.write() as session:
        sets.keep(session, [Golden(question="When was it opened?", answer=fact(*about))], added_by=talk.people[0])
    golden.freeze(talk.database, search)
    with talk.database.read() as session:
        return Sealed(session, judge)


def quoting(talk: Talk, about: tuple[int, int]) -> Exchange:
    """An exchange to learn from that answers out of its second passage."""
    (place,) = talk.places(Side.TRAIN, 1)
    return talk.ask(place, others=[about], answer=f"{fact(*about)} [2]")


def supports(found: Sealed, judge: Judge, exchange: Exchange) -> bool:
    passages = [passage.text for passage in exchange.passages]
    return found.supports(exchange, exchange.answer, judge.support(passages, exchange.answer))


def test_a_target_that_rests_on_a_golden_questions_section_is_not_learnt(talk: Talk, judge: Judge) -> None:
    exchange = quoting(talk, NEW)
    found = sealed(talk, judge, NEW)
    assert "lineage1:9" in found.groups
    assert supports(found, judge, exchange)


def test_nor_is_one_that_says_the_same_from_elsewhere(talk: Talk, judge: Judge) -> None:
    exchange = quoting(talk, NEW)
    found = sealed(talk, judge, NEW)
    assert found.supports(exchange, fact(*NEW), [])
    assert not found.supports(exchange, fact(1, 8), [])


def test_a_golden_question_seals_nothing_that_is_learnt_from_already(talk: Talk, judge: Judge) -> None:
    """It is none of the gate's then."""
    first, second = talk.places(Side.TRAIN, 2)
    exchange = talk.ask(first, others=[second], answer=f"{fact(*second)} [2]")
    found = sealed(talk, judge, second)
    assert not supports(found, judge, exchange)
