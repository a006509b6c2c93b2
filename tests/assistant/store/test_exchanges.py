from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from assistant.errors import NotFoundError
from assistant.records import (
    SHARED,
    Citation,
    Exchange,
    ExchangeStatus,
    Feedback,
    Hit,
    Passage,
    Person,
    Review,
    Timings,
    Turn,
)
from assistant.store import exchanges, ratings
from assistant.store.database import Database
from tests.conftest import People

PASSAGE = Passage(
    document_id=3,
    lineage="abc",
    document="manual.pdf",
    scope=SHARED,
    page=2,
    section=1,
    start=10,
    end=24,
    text="One. Two. Três",
    score=0.75,
    sentences=((4, 0, 4), (5, 5, 9), (6, 10, 14)),
    hits=(5,),
)
CITATION = Citation(
    n=1,
    document_id=3,
    document="manual.pdf",
    page=2,
    sentence="Two.",
    sentence_index=5,
    start=15,
    end=19,
    window=PASSAGE.text,
)


@pytest.fixture
def me(people: People) -> Person:
    return people.admin


@pytest.fixture
def other(people: People) -> Person:
    return people.ana


def exchange_of(person: Person, conversation_id: str, *, minute: int = 0, question: str = "What?") -> Exchange:
    return Exchange(
        id=uuid4().hex,
        conversation_id=conversation_id,
        person_id=person.id,
        question=question,
        search_query=question,
        document_ids=(3,),
        history=(Turn("Earlier?", "Yes."),),
        passages=(PASSAGE,),
        left_out=(2,),
        hits=(Hit(3, 5, 0.75),),
        prompt_version="1",
        model="starter",
        adapter=None,
        answer="Two. [1]",
        citations=(CITATION,),
        refused=False,
        status=ExchangeStatus.COMPLETE,
        private=False,
        prompt_tokens=10,
        completion_tokens=4,
        timings=Timings(retrieve=1.5, first_token=2.5, total=9.0),
        created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute),
    )


@pytest.fixture
def logged(database: Database, me: Person) -> Exchange:
    with database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=me.id, title="A talk")
        return exchanges.add(session, exchange_of(me, conversation.id))


def test_an_exchange_comes_back_as_it_was_logged(database: Database, me: Person, logged: Exchange) -> None:
    with database.read() as session:
        assert exchanges.get(session, logged.id, person_id=me.id) == logged


@pytest.mark.parametrize(
    "use",
    [
        lambda s, e, p: exchanges.get(s, e.id, person_id=p),
        lambda s, e, p: ratings.rate(s, e.id, person_id=p, feedback=Feedback(1), review=Review.PENDING),
        lambda s, e, p: ratings.withdraw(s, e.id, person_id=p),
        lambda s, e, p: exchanges.hide_from(s, e.id, person_id=p),
        lambda s, e, p: exchanges.in_conversation(s, e.conversation_id, person_id=p),
        lambda s, e, p: exchanges.get_conversation(s, e.conversation_id, person_id=p),
        lambda s, e, p: exchanges.rename_conversation(s, e.conversation_id, person_id=p, title="Mine"),
        lambda s, e, p: exchanges.delete_conversation(s, e.conversation_id, person_id=p),
        lambda s, e, p: exchanges.add(s, replace(e, id=uuid4().hex, person_id=p)),
    ],
)
def test_what_is_somebody_elses_is_not_found(
    database: Database, me: Person, other: Person, logged: Exchange, use: Callable[[Session, Exchange, int], object]
) -> None:
    with pytest.raises(NotFoundError), database.write() as session:
        use(session, logged, other.id)
    with database.read() as session:
        assert exchanges.get(session, logged.id, person_id=me.id) == logged
        assert exchanges.conversations(session, person_id=other.id) == []
        assert list(exchanges.triples(session, person_id=other.id)) == []


def test_a_rating_can_be_changed_and_withdrawn(database: Database, me: Person, logged: Exchange) -> None:
    for value in (1, -1):
        with database.write() as session:
            ratings.rate(session, logged.id, person_id=me.id, feedback=Feedback(value), review=Review.PENDING)
        with database.read() as session:
            (triple,) = exchanges.triples(session)
            assert triple.rating is not None
            assert triple.rating.feedback.value == value
    with database.write() as session:
        ratings.withdraw(session, logged.id, person_id=me.id)
        assert exchanges.get(session, logged.id, person_id=me.id).rating is None


def test_asking_again_leaves_the_conversation_but_not_the_log(database: Database, me: Person, logged: Exchange) -> None:
    later = exchange_of(me, logged.conversation_id, minute=1)
    with database.write() as session:
        exchanges.add(session, later)
        exchanges.hide_from(session, later.id, person_id=me.id)
    with database.read() as session:
        assert [e.id for e in exchanges.in_conversation(session, logged.conversation_id, person_id=me.id)] == [
            logged.id
        ]
        assert [e.id for e in exchanges.triples(session)] == [logged.id, later.id]


def test_conversations_are_found_by_title_question_and_answer(database: Database, me: Person, logged: Exchange) -> None:
    with database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=me.id, title="100%_sure")
        exchanges.add(session, exchange_of(me, conversation.id, minute=2, question="Onde fica Évora?"))
    with database.read() as session:

        def titles(search: str) -> list[str]:
            return [c.title for c in exchanges.conversations(session, person_id=me.id, search=search)]

        assert titles("") == ["100%_sure", "A talk"]
        assert titles("Évora") == ["100%_sure"]
        assert titles("0%_s") == ["100%_sure"]
        assert titles("two.") == ["100%_sure", "A talk"]
        assert titles("nothing of the kind") == []


def test_a_deleted_conversation_takes_its_exchanges_and_ratings_along(
    database: Database, me: Person, logged: Exchange
) -> None:
    with database.write() as session:
        ratings.rate(session, logged.id, person_id=me.id, feedback=Feedback(1), review=Review.PENDING)
        exchanges.delete_conversation(session, logged.conversation_id, person_id=me.id)
    with database.write() as session:
        exchanges.finish(session, logged)  # an answer that was still streaming
    with database.read() as session:
        assert exchanges.count(session) == 0
        assert list(exchanges.triples(session)) == []


def test_what_was_streaming_when_the_program_died_is_marked_as_failed(database: Database, me: Person) -> None:
    with database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=me.id, title="t" * 500)
        streaming = replace(exchange_of(me, conversation.id), status=ExchangeStatus.STREAMING)
        exchanges.add(session, streaming)
        assert len(conversation.title) == exchanges.TITLE_CHARACTERS
    with database.write() as session:
        assert exchanges.fail_unfinished(session) == 1
        assert exchanges.get(session, streaming.id, person_id=me.id).status is ExchangeStatus.FAILED
