"""Golden questions reach the gate with what the search finds for them; nothing of it outlives the documents."""

from __future__ import annotations

import pytest

from assistant import golden as sets
from assistant.golden import Golden
from assistant.records import Passage, Side
from assistant.store import forget, gate, golden
from assistant.store.database import Database
from tests.trainer.talk import Talk
from trainer import proof
from trainer.gate.scores import Label


@pytest.fixture
def talk(database: Database) -> Talk:
    talk = Talk(database)
    talk.add_documents(1, sections=10)
    with database.write() as session:
        answers = [Golden(question="Who built it?", answer="Ana. [1]"), Golden(question="Why?", answer="To see.")]
        sets.keep(session, answers, added_by=talk.people[0])
    return talk


def freeze(talk: Talk, side: Side) -> None:
    def search(question: str) -> tuple[Passage, ...]:
        if question == "Why?":
            return ()
        place = talk.places(side, 1)[0]
        with talk.database.read() as session:
            return (talk.passage(session, *place),)

    golden.freeze(talk.database, search)


def test_they_are_items_of_the_gate_where_something_was_found(talk: Talk, database: Database) -> None:
    with database.read() as session:
        assert proof.items(session) == []
    freeze(talk, Side.GATE)
    freeze(talk, Side.GATE)  # anew, for the next cycle
    with database.read() as session:
        (item,) = proof.items(session)
    assert (item.question, item.reference, item.label) == ("Who built it?", "Ana.", Label.ANSWERABLE)
    assert item.exchange_id is None
    assert item.passages[0].sentences


def test_what_is_learnt_from_proves_nothing(talk: Talk, database: Database) -> None:
    freeze(talk, Side.TRAIN)
    with database.read() as session:
        assert proof.items(session) == []


def test_nothing_is_left_when_a_document_or_a_question_goes(talk: Talk, database: Database) -> None:
    freeze(talk, Side.GATE)
    with database.write() as session:
        gate.keep_score(session, "what a model said", "Ana did.", exchange_id=None)
        forget.document(session, talk.documents[0].id)
        assert gate.score(session, "what a model said") is None
        assert list(golden.frozen(session)) == []
    freeze(talk, Side.GATE)
    with database.write() as session:
        (number,) = [each.id for each in golden.frozen(session)]
        sets.remove(session, number)
        assert list(golden.frozen(session)) == []
