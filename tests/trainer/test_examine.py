"""Models answer the gate's items and their twins by known rules, and a judge of known verdicts scores them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import torch
from sqlalchemy import select

from assistant import prompts
from assistant.engines.base import Engine, Sampling
from assistant.entailment import Judge
from assistant.records import Exchange, Message
from assistant.store import exchanges, forget
from assistant.store.database import Database
from assistant.store.tables import ExchangeRow, GateScoreRow
from tests.conftest import passages_and_question
from tests.trainer.talk import Talk, fact, thing_of
from trainer.evaluate.items import Item as Judged
from trainer.evaluate.scoring import JudgeError, Scores, Statement
from trainer.examine import Examiner
from trainer.gate.comparison import Row
from trainer.gate.items import Item
from trainer.gate.scores import Said

MODELS = {"base": None, "champion": "careful", "candidate": "brief"}
REFUSAL = prompts.REFUSALS["en"]
ASKED = [(0, 1), (0, 2), (1, 1), (1, 2)]
PLACES = [(document, section) for document in range(3) for section in range(10)]


@dataclass
class Rules:
    """The base says what the first passage says first; the others look for what is asked, and *careful* refuses where
    it is not; *brief* then says something else.
    """

    model: str = "rules"
    asked: list[tuple[str | None, str, str]] = field(default_factory=list)
    """Adapter, passages and question of each prompt."""
    meanwhile: Callable[[], None] = lambda: None

    async def generate_many(
        self, prompts: Sequence[Sequence[Message]], *, sampling: Sampling, adapter: str | None = None
    ) -> list[str]:
        return [self._answer(*passages_and_question(messages), adapter) for messages in prompts]

    def _answer(self, passages: str, question: str, adapter: str | None) -> str:
        self.meanwhile()
        self.asked.append((adapter, passages, question))
        told = next((fact(*place) for place in PLACES if thing_of(*place) in question and fact(*place) in passages), "")
        if adapter is None:
            return "[1] " + next(line for line in passages.splitlines() if not line.startswith("[")).split(". ")[0]
        if adapter == "careful":
            return f"{told} [1]" if told else REFUSAL
        return told or "Nobody knows."


@dataclass
class Verdicts:
    """What stands in the passages is faithful. It fails where the question says so, and dies after so many scores."""

    repeats: int = 1
    dies: int | None = None
    name: str = "verdicts-1"
    judge_name: str = "verdicts"
    concurrency: int = 1
    metrics: tuple[str, ...] = ("faithfulness",)
    scored: list[tuple[Judged, str | None]] = field(default_factory=list)

    async def score(self, item: Judged, answer: str | None) -> Scores:
        if len(self.scored) == self.dies:
            raise KeyboardInterrupt
        self.scored.append((item, answer))
        if item.question.startswith("Why"):
            raise JudgeError("It does not know why.")
        if answer is None:
            return Scores()
        said = prompts.without_citations(answer).strip()
        supported = said in " ".join(item.passages)
        return Scores({"faithfulness": float(supported)}, statements=[Statement(said, supported, "")])

    async def close(self) -> None:
        pass


@pytest.fixture
def talk(database: Database) -> Talk:
    """Four questions about sections, each shown with another that tells nothing of what is asked."""
    talk = Talk(database)
    talk.add_documents(3, sections=10)
    for n, place in enumerate(ASKED):
        talk.ask(place, others=[(2, 5)], person=n)
    return talk


@pytest.fixture
def examined(talk: Talk, database: Database, judge: Judge) -> Callable[..., list[Row]]:
    def examine(
        engine: Rules, scorer: Verdicts, *, run: int = 1, models: Mapping[str, str | None] = MODELS
    ) -> list[Row]:
        items = list(items_of(database).values())
        examiner = Examiner(
            database, cast(Engine, engine), scorer, judge, max_tokens=200, run_id=run, told=lambda *_: None
        )
        return asyncio.run(examiner.rows(items, models, known=["base", "champion"]))

    return examine


def items_of(database: Database) -> dict[str, Item]:
    """Whatever was asked, on whichever side: that is drawn anew for each installation."""
    with database.read() as session:
        ids = session.scalars(select(ExchangeRow.id).order_by(ExchangeRow.id)).all()
        return {asked.question: _item(asked) for asked in exchanges.by_id(session, ids)}


def _item(asked: Exchange) -> Item:
    return Item(
        id=asked.id,
        group=asked.group or "",
        person=str(asked.person_id),
        question=asked.question,
        history=(),
        passages=asked.passages,
        asked_at=asked.created_at,
        exchange_id=asked.id,
    )


def kept(database: Database) -> list[Any]:
    with database.read() as session:
        return [row.body["value"] for row in session.scalars(select(GateScoreRow))]


def test_a_twin_lacks_the_passage_that_supports_the_answer(
    examined: Callable[..., list[Row]], database: Database
) -> None:
    engine = Rules()
    examined(engine, Verdicts())
    items = items_of(database)
    assert len(items) == 4
    for question, item in items.items():
        first, second = (passage.text for passage in item.passages)
        for adapter in MODELS.values():
            own, twin = (passages for by, passages, asked in engine.asked if (by, asked) == (adapter, question))
            assert first in own
            assert second in own
            assert second in twin
            assert first not in twin
            assert any(other.passages[0].text in twin for other in items.values() if other is not item)


def test_who_answers_a_twin_is_counted_as_answering(examined: Callable[..., list[Row]]) -> None:
    rows = examined(Rules(), Verdicts())
    assert len(rows) == 4
    for row in rows:
        assert {name: answer.twin_refused for name, answer in row.answers.items()} == {
            "base": False,
            "champion": True,
            "candidate": False,
        }
        assert {answer.said for answer in row.answers.values()} == {Said.ANSWERED}
        assert {answer.faithfulness for answer in row.answers.values()} == {1.0}


def test_a_run_that_goes_on_asks_and_scores_nothing_twice(examined: Callable[..., list[Row]]) -> None:
    engine, dying = Rules(), Verdicts(repeats=2, dies=7)
    with pytest.raises(KeyboardInterrupt):
        examined(engine, dying)
    assert len(engine.asked) == len(set(engine.asked)) == 2 * 3 * 4
    going_on = Verdicts(repeats=2)
    rows = examined(engine, going_on)
    assert len(engine.asked) == 2 * 3 * 4
    assert len(going_on.scored) == 2 * 3 * 4 - 6  # of the one that it died in, one round is lost
    assert examined(engine, again := Verdicts(repeats=2)) == rows
    assert again.scored == []


def test_what_others_said_stays_for_the_next_candidate(examined: Callable[..., list[Row]]) -> None:
    engine = Rules()
    examined(engine, Verdicts())
    engine.asked.clear()
    scorer = Verdicts()
    examined(engine, scorer, run=2, models=MODELS | {"candidate": "briefer"})
    assert {adapter for adapter, _, _ in engine.asked} == {"briefer"}
    assert scorer.scored == []  # it says what "brief" said, and this judge repeats itself


def test_answers_computed_otherwise_are_not_taken_for_these(
    examined: Callable[..., list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Rules()
    examined(engine, Verdicts())
    before = len(engine.asked)
    monkeypatch.setattr(torch, "__version__", "0")
    examined(engine, Verdicts())
    assert len(engine.asked) == 2 * before


def test_a_judge_that_varies_scores_all_models_anew_interleaved_and_blind(examined: Callable[..., list[Row]]) -> None:
    engine = Rules()
    orders = []
    for run in range(1, 5):
        scorer = Verdicts(repeats=3)
        examined(engine, scorer, run=run)
        assert len(scorer.scored) == 3 * 3 * 4
        for n in range(0, len(scorer.scored), 9):
            one = scorer.scored[n : n + 9]  # all models' answers to an item, before the next one
            assert len({item.id for item, _ in one}) == 1
            assert all(item == one[0][0] for item, _ in one), "nothing tells the models apart but what they said"
            answers = [answer or "" for _, answer in one[::3]]
            assert [answer for _, answer in one] == [answer for answer in answers for _ in range(3)]
            orders.append(answers)
    assert len(engine.asked) == 2 * 3 * 4  # answers are greedy: only the scores vary
    assert len({answers[0].endswith("[1]") for answers in orders}) == 2, "the champion is first sometimes, not always"


def test_where_the_judge_fails_no_model_has_a_score(examined: Callable[..., list[Row]], talk: Talk) -> None:
    place = (2, 2)
    asked = talk.ask(place, question=f"Why was the {thing_of(*place)} opened?")
    rows = examined(Rules(), Verdicts())
    assert len(rows) == 4
    assert asked.id not in {row.item for row in rows}


def test_nothing_outlives_the_document_that_it_was_answered_from(
    examined: Callable[..., list[Row]], talk: Talk, database: Database
) -> None:
    """Neither answers to twins of other items, which show it, nor what is being answered when it is deleted."""
    gone = 0
    told = re.compile(rf"Town{gone}x")

    def deleting() -> Iterator[None]:
        with database.write() as session:
            forget.document(session, talk.documents[gone].id)
        while True:
            yield

    examined(Rules(), Verdicts())
    assert told.search(str(kept(database)))
    once = deleting()
    engine = Rules(meanwhile=lambda: next(once))
    examined(engine, Verdicts(), models=MODELS | {"candidate": "another"})
    assert any(told.search(passages) for _, passages, _ in engine.asked)
    assert not told.search(str(kept(database)))
