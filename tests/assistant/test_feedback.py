"""Ratings: what they hold, who may give them, how often, and which of them wait for an admin."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from assistant.errors import InputError, NotFoundError, TooOftenError
from assistant.feedback import COMMENT, Ratings
from assistant.records import Exchange, ExchangeStatus, Feedback, Person, Reason, Review
from assistant.settings import Review as Settings
from assistant.store import exchanges, ratings
from assistant.store.database import Database
from assistant.store.tables import ExchangeRow, PersonRow
from tests.assistant.store.test_exchanges import exchange_of
from tests.conftest import People

FULL = Feedback(-1, (Reason.INCOMPLETE, Reason.WRONG), "Half of it.", "Three, in fact. [1]", (1,))


@pytest.fixture
def exchange(database: Database, people: People) -> Exchange:
    """Ana's; she has been here for long."""
    with database.write() as session:
        session.execute(update(PersonRow).values(created_at=datetime(2020, 1, 1, tzinfo=UTC)))
        conversation = exchanges.add_conversation(session, person_id=people.ana.id, title="A talk")
        made = exchange_of(people.ana, conversation.id)
        exchanges.add(session, made)
    return made


def taker(database: Database, **settings: object) -> Ratings:
    return Ratings(database, Settings(**settings))  # type: ignore[arg-type]


def logged(database: Database, exchange: Exchange, person: Person) -> Exchange:
    with database.read() as session:
        return exchanges.get(session, exchange.id, person_id=person.id)


def found(database: Database, words: str) -> int:
    with database.read() as session:
        query = text("SELECT count(*) FROM rating_words WHERE rating_words MATCH :words")
        return int(session.scalar(query, {"words": words}) or 0)


def test_all_that_is_said_is_kept_and_so_is_its_history(database: Database, people: People, exchange: Exchange) -> None:
    take = taker(database)
    assert take.rate(people.ana, exchange.id, FULL).feedback == FULL
    rating = logged(database, exchange, people.ana).rating
    assert rating is not None
    assert (rating.feedback, rating.review, rating.held) == (FULL, Review.PENDING, False)
    assert found(database, "half") == 1
    take.thumb(people.ana, exchange.id, 1)
    rating = logged(database, exchange, people.ana).rating
    assert rating is not None
    assert rating.feedback == replace(FULL, value=1)
    take.thumb(people.ana, exchange.id, 1)
    assert logged(database, exchange, people.ana).rating is None
    assert found(database, "half") == 0
    with database.read() as session:
        changes = ratings.history(session, exchange.id, person_id=people.ana.id)
    assert [change.feedback for change in changes] == [FULL, replace(FULL, value=1), None]


def test_a_correction_that_corrects_nothing_is_none(database: Database, people: People, exchange: Exchange) -> None:
    said = taker(database).rate(people.ana, exchange.id, replace(FULL, correction=f" {exchange.answer}\n")).feedback
    assert said.correction == ""


def test_nobody_rates_for_others(database: Database, people: People, exchange: Exchange) -> None:
    for person in (people.rui, people.admin):
        for act in (
            lambda p: taker(database).rate(p, exchange.id, FULL),
            lambda p: taker(database).withdraw(p, exchange.id),
            lambda p: taker(database).thumb(p, exchange.id, 1),
        ):
            with pytest.raises(NotFoundError):
                act(person)
    assert logged(database, exchange, people.ana).rating is None


@pytest.mark.parametrize(
    "wrong", [{"comment": "x" * (COMMENT + 1)}, {"wrong_passages": (0,)}, {"wrong_passages": (2,)}]
)
def test_what_does_not_fit_is_refused(
    database: Database, people: People, exchange: Exchange, wrong: dict[str, object]
) -> None:
    with pytest.raises(InputError):
        taker(database).rate(people.ana, exchange.id, replace(FULL, **wrong))  # type: ignore[arg-type]
    assert logged(database, exchange, people.ana).rating is None


def test_an_unfinished_answer_is_not_rated(database: Database, people: People, exchange: Exchange) -> None:
    with database.write() as session:
        session.execute(update(ExchangeRow).values(status=ExchangeStatus.STREAMING))
    with pytest.raises(InputError):
        taker(database).rate(people.ana, exchange.id, FULL)


def test_there_is_a_limit_by_the_minute(database: Database, people: People, exchange: Exchange) -> None:
    take = taker(database, ratings_a_minute=2)
    for _ in range(2):
        take.rate(people.ana, exchange.id, FULL)
    with pytest.raises(TooOftenError):
        take.rate(people.ana, exchange.id, replace(FULL, value=1))
    assert (rating := logged(database, exchange, people.ana).rating) is not None
    assert rating.feedback == FULL


@pytest.mark.parametrize(
    ("settings", "review"),
    [
        ({"mode": "required"}, Review.PENDING),
        ({"mode": "automatic"}, Review.ACCEPTED),
        ({"mode": "sampled", "share": 0.0}, Review.ACCEPTED),
        ({"mode": "sampled", "share": 1.0}, Review.PENDING),
    ],
)
def test_the_setting_says_what_is_reviewed(
    database: Database, people: People, exchange: Exchange, settings: dict[str, object], review: Review
) -> None:
    assert taker(database, **settings).rate(people.ana, exchange.id, FULL).review is review


def test_new_and_unusually_active_people_are_held_back(database: Database, people: People, exchange: Exchange) -> None:
    take = taker(database, mode="automatic", ratings_a_day=2)
    held = [take.rate(people.ana, exchange.id, FULL).held for _ in range(3)]
    assert held == [False, False, True]
    with database.write() as session:
        now = datetime.now(UTC)
        session.execute(update(PersonRow).values(created_at=now - timedelta(days=1)))
    rating = taker(database, mode="automatic").rate(people.ana, exchange.id, FULL)
    assert (rating.held, rating.review) == (True, Review.PENDING)


def test_private_exchanges_are_nobodys_without_consent(database: Database, people: People, exchange: Exchange) -> None:
    def seen() -> list[str]:
        with database.read() as session:
            return [e.id for e in exchanges.triples(session)]

    assert seen() == [exchange.id]
    with database.write() as session:
        session.execute(update(ExchangeRow).values(private=True))
    assert seen() == []
    for shares in (True, False):  # given, and revoked
        with database.write() as session:
            session.execute(update(PersonRow).where(PersonRow.id == people.ana.id).values(shares_private=shares))
        assert seen() == [exchange.id] * shares
    with database.read() as session:
        assert [e.id for e in exchanges.triples(session, person_id=people.ana.id)] == [exchange.id]
