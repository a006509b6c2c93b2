"""The review queue: what is in it, what is not, and what is decided."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from assistant import triples
from assistant.errors import InputError, NotFoundError
from assistant.records import Exchange, Feedback, Person, Reason, Review, Support
from assistant.store import audit, charts, exchanges, ratings, review, support
from assistant.store.database import Database
from assistant.store.review import Filters
from assistant.store.tables import ExchangeRow, PersonRow
from tests.assistant.store.test_exchanges import PASSAGE, exchange_of
from tests.conftest import People

Rate = Callable[..., Exchange]


@pytest.fixture
def rate(database: Database) -> Rate:
    """Logs an exchange and rates it."""

    def log(
        person: Person, feedback: Feedback, *, question: str = "What?", private: bool = False, held: bool = False,
        **values: object,
    ) -> Exchange:  # fmt: skip
        with database.write() as session:
            conversation = exchanges.add_conversation(session, person_id=person.id, title=question)
            made = replace(exchange_of(person, conversation.id, question=question), private=private, **values)
            exchanges.add(session, made)
            ratings.rate(session, made.id, person_id=person.id, feedback=feedback, review=Review.PENDING, held=held)
        return made

    return log


def found(database: Database, **filters: object) -> list[str]:
    """The ids of the exchanges in the queue, and that its count is right."""
    chosen = Filters(**filters)  # type: ignore[arg-type]
    with database.read() as session:
        items = review.queue(session, chosen)
        assert review.count(session, chosen, most=100) == len(items) == len(list(review.stream(session, chosen)))
    return [item.exchange.id for item in items]


def test_every_filter(database: Database, people: People, rate: Rate) -> None:
    other = replace(PASSAGE, document_id=99)
    up = rate(people.ana, Feedback(1), question="Where is Évora?", adapter="adapter-1")
    down = rate(people.rui, Feedback(-1, (Reason.WRONG,), comment="Não!"), passages=(other,), held=True)
    with database.write() as session:
        support.keep(session, down.id, Support(0.25, (), "judge"), answer=down.answer)
    today = datetime.now(UTC).date()
    assert found(database) == [down.id, up.id]
    for filters in (
        {"value": 1}, {"person_id": people.ana.id}, {"adapter": "adapter-1"}, {"document_id": PASSAGE.document_id},
        {"words": "evora where"},
    ):  # fmt: skip
        assert found(database, **filters) == [up.id], filters
    for filters in (
        {"value": -1}, {"reason": Reason.WRONG}, {"adapter": review.BASE}, {"document_id": 99}, {"words": "nao"},
        {"support_below": 0.5}, {"held": True},
    ):  # fmt: skip
        assert found(database, **filters) == [down.id], filters
    assert len(found(database, review=Review.PENDING, since=today, until=today)) == 2
    for filters in (
        {"review": Review.ACCEPTED}, {"until": today - timedelta(days=1)}, {"since": today + timedelta(days=1)},
        {"words": 'porto" OR "'}, {"reason": Reason.TONE}, {"support_below": 0.25}, {"value": 1, "held": True},
    ):  # fmt: skip
        assert found(database, **filters) == [], filters


def test_common_words_are_found_in_another_way_and_alike(
    database: Database, people: People, rate: Rate, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [rate(people.ana, Feedback(1), question=f"Where is Évora, {word}?").id for word in ("alfa", "beta", "gama")]
    rate(people.ana, Feedback(1), question="And Beja?")
    rate(people.rui, Feedback(-1), question="Where is Évora?")
    for common in (3, 99):
        monkeypatch.setattr(review, "_COMMON", common)
        assert found(database, words="evora", value=1) == made[::-1]
        assert found(database, words="evora beta") == [made[1]]


def test_pages_follow_each_other(database: Database, people: People, rate: Rate) -> None:
    made = [rate(people.ana, Feedback(1)).id for _ in range(5)]
    seen: list[str] = []
    before = None
    with database.read() as session:
        while items := review.queue(session, Filters(), before=before, limit=2):
            seen += [item.exchange.id for item in items]
            assert items[-1].exchange.rating is not None
            before = items[-1].exchange.rating.updated_at, items[-1].id
    assert seen == made[::-1]


def test_private_exchanges_are_nowhere_without_consent(database: Database, people: People, rate: Rate) -> None:
    rate(people.ana, Feedback(1), private=True, refused=True)
    rate(people.rui, Feedback(-1), private=True)
    since = datetime.now(UTC) - timedelta(days=1)

    def shown() -> list[object]:
        with database.read() as session:
            reports = [
                report(session, since)
                for report in (
                    charts.by_day,
                    charts.by_adapter,
                    charts.by_document,
                    charts.by_reason,
                    charts.unanswered,
                )
            ]
            groups = review.same_question(session, contradicting=True) + review.same_question(
                session, contradicting=False
            )
        exported = list(triples.export(database, Filters(), form="raw"))
        return [*found(database), *groups, *exported, *(line for report in reports for line in report)]

    assert shown() == []
    with database.write() as session:
        session.execute(update(PersonRow).values(shares_private=True))
        items = review.queue(session, Filters())
        review.decide(session, [(items[0].id, _seen(items[0]))], Review.ACCEPTED, by=people.admin.id)
    assert len(shown()) >= 6  # two in the queue, two groups, one exported, and charts


def _seen(item: review.Item) -> datetime:
    assert item.exchange.rating is not None
    return item.exchange.rating.updated_at


def test_decisions(database: Database, people: People, rate: Rate) -> None:
    exchange = rate(people.ana, Feedback(-1, correction="Three."))
    with database.read() as session:
        (item,) = review.queue(session, Filters())
    with database.write() as session:
        review.decide(session, [(item.id, _seen(item))], Review.ACCEPTED, by=people.admin.id, answer="Four.")
    with database.read() as session:
        (after,) = review.queue(session, Filters(review=Review.ACCEPTED))
        assert (after.reviewed_by, after.exchange.rating and after.exchange.rating.accepted_answer) == (
            "local",
            "Four.",
        )
        (event,) = audit.events(session, action="review accepted")
        assert (event.person, event.subject) == ("local", exchange.id)
    with database.write() as session:
        ratings.rate(session, exchange.id, person_id=people.ana.id, feedback=Feedback(1), review=Review.PENDING)
    assert found(database, review=Review.PENDING) == [exchange.id]  # what was changed is reviewed anew
    for seen, error in (((item.id, _seen(item)), InputError), ((999, _seen(item)), NotFoundError)):
        with pytest.raises(error), database.write() as session:
            review.decide(session, [seen], Review.REJECTED, by=people.admin.id)
    assert found(database, review=Review.REJECTED) == []


def test_opposite_ratings_of_one_question_stand_side_by_side(database: Database, people: People, rate: Rate) -> None:
    both = {rate(people.ana, Feedback(1), question="Onde fica Évora?").id,
            rate(people.rui, Feedback(-1), question="onde fica  EVORA").id}  # fmt: skip
    for person in (people.ana, people.rui):
        rate(person, Feedback(1), question="Who signs?")
    rate(people.ana, Feedback(1), question="Alone?")
    with database.read() as session:
        (group,) = review.same_question(session, contradicting=True)
        assert {item.exchange.id for item in group} == both
        assert len(review.same_question(session, contradicting=False)) == 2


def test_charts_count(database: Database, people: People, rate: Rate) -> None:
    with database.write() as session:
        session.execute(update(PersonRow).values(shares_private=False))
    rate(people.ana, Feedback(1), adapter="adapter-1")
    rate(people.ana, Feedback(-1, (Reason.TONE, Reason.WRONG)), adapter="adapter-1")
    rate(people.rui, Feedback(1))
    with database.write() as session:
        now = datetime.now(UTC)
        session.execute(update(ExchangeRow).values(created_at=now, refused=True))
    since = now - timedelta(days=1)
    with database.read() as session:
        (day,) = charts.by_day(session, since)
        assert (day.up, day.down, round(day.share, 2)) == (2, 1, 0.67)
        assert {(bar.name, bar.up, bar.down) for bar in charts.by_adapter(session, since)} == {
            ("adapter-1", 1, 1),
            ("", 1, 0),
        }
        assert {(bar.name, bar.down) for bar in charts.by_reason(session, since)} == {("tone", 1), ("wrong", 1)}
        assert [question for _, question in charts.unanswered(session, since)] == ["What?"] * 3
        assert charts.by_day(session, now + timedelta(days=1)) == []


def test_exports(database: Database, people: People, rate: Rate) -> None:
    rate(people.ana, Feedback(1), question="Good?")
    rate(people.ana, Feedback(-1, correction="Three."), question="Corrected?")
    rate(people.ana, Feedback(-1), question="Bad?")
    rate(people.ana, Feedback(1), question="Rejected?")
    with database.write() as session:
        for item in review.queue(session, Filters()):
            decision = Review.REJECTED if item.exchange.question == "Rejected?" else Review.ACCEPTED
            review.decide(session, [(item.id, _seen(item))], decision, by=people.admin.id)

    def rows(form: str, **filters: object) -> list[dict[str, object]]:
        lines = triples.export(database, Filters(**filters), form=form)  # type: ignore[arg-type]
        return [json.loads(line) for line in lines]

    assert [row["question"] for row in rows("raw")] == ["Good?", "Corrected?", "Bad?"]
    assert [row["question"] for row in rows("raw", value=1)] == ["Good?"]
    answers = [{"role": "assistant", "content": "Two. [1]"}, {"role": "assistant", "content": "Three."}]
    for row, answer in zip(rows("openai"), answers, strict=True):
        *_, asked, last = row["messages"]  # type: ignore[misc]
        assert (asked["role"], last) == ("user", answer)
    assert [row["completion"] for row in rows("trl")] == [[answer] for answer in answers]
    assert [(row["completion"][0]["content"], row["label"]) for row in rows("kto")] == [  # type: ignore[index]
        ("Two. [1]", True), ("Three.", True), ("Two. [1]", False), ("Two. [1]", False),
    ]  # fmt: skip
