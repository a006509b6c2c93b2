"""The study of window sizes on a log, with a tiny model and the bundled judges; and a size before the gate."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from assistant.entailment import load_judge
from assistant.errors import InputError
from assistant.records import RunStatus, Side
from assistant.retrieval import windows as applied
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.windows import Applied
from assistant.store import gate, runs
from assistant.store.database import Database
from assistant.store.tables import DocumentRow
from tests.trainer import cycling
from tests.trainer.talk import Talk
from trainer import windows
from trainer.evaluate.bundled import BundledScorer
from trainer.evaluate.cache import Cache


@pytest.fixture
def talk(database: Database) -> Talk:
    """Documents that were there before anybody asked about them."""
    talk = Talk(database)
    talk.add_documents(2, sections=40)
    age(database, datetime(2025, 1, 1, tzinfo=UTC))
    return talk


def age(database: Database, at: datetime) -> None:
    with database.write() as session:
        session.execute(update(DocumentRow).values(updated_at=at))


def test_windows_of_any_size_are_made_from_what_the_log_keeps(talk: Talk, database: Database) -> None:
    asked = talk.ask(talk.places(Side.VALIDATION, 1)[0])
    with database.read() as session:
        for size, sentences in ((1, 2), (3, 6), (5, 8)):  # two windows; the last ones overlap
            shown = windows.passages_with(session, asked, size=size, count=2)
            assert shown is not None
            assert sum(len(passage.sentences) for passage in shown) == sentences
            assert shown[0].best == asked.hits[0].sentence
    age(database, datetime.now(UTC))  # it was read again: the hits may mean other sentences now
    with database.read() as session:
        assert windows.passages_with(session, asked, size=3, count=2) is None


def test_a_study_has_figures_for_each_size_and_a_plot(
    talk: Talk, database: Database, state: Path, model: Path, tmp_path: Path
) -> None:
    settings = cycling.settings_of(state, model)
    scorer, cache = BundledScorer(load_judge("a"), Embedder()), Cache(tmp_path / "scores.db")
    with pytest.raises(InputError, match="no question"):
        asyncio.run(windows.study(database, settings, scorer, cache, sizes=(1, 3)))
    for place in talk.places(Side.VALIDATION, 3):
        talk.ask(place)
    talk.ask(talk.places(Side.GATE, 1)[0])
    found = asyncio.run(windows.study(database, settings, scorer, cache, sizes=(1, 3)))
    cache.close()
    assert {size: figures["items"] for size, figures in found.items()} == {1: 3, 3: 3}, "sealed questions stay sealed"
    metrics = ("faithfulness", "answer_relevancy_by_embedding")
    assert windows.table(found, metrics).count("\n") == 2
    assert windows.best(found) in {1, 3}
    windows.plot(found, metrics, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1_000


def test_what_is_applied_is_asked_with_and_can_be_taken_back(database: Database) -> None:
    settings = cycling.Settings().retrieval
    with database.write() as session:
        assert applied.size(session, settings) == settings.window
        applied.apply(session, Applied(9, proven=False), person_id=None)
        assert (applied.size(session, settings), applied.applied(session)) == (9, Applied(9, proven=False))
        applied.apply(session, None, person_id=None)
        assert applied.size(session, settings) == settings.window


def test_a_size_without_enough_questions_costs_no_ticket(
    talk: Talk, database: Database, state: Path, model: Path
) -> None:
    scorer = BundledScorer(load_judge("b"), Embedder())
    with pytest.raises(InputError, match="60 are needed"):
        windows.prove(database, cycling.settings_of(state, model), scorer, 3)
    with database.read() as session:
        assert gate.tickets(session) == []
        assert runs.latest(session)[0].status is RunStatus.FAILED


def test_a_size_that_is_no_better_is_not_proven(talk: Talk, database: Database, state: Path, model: Path) -> None:
    for place in talk.places(Side.GATE, 12):
        for question in cycling._ASKED:
            talk.ask(place, question=question.format(cycling.thing_of(*place)))
    with database.write() as session:
        applied.apply(session, Applied(1, proven=False), person_id=None)
    scorer = BundledScorer(load_judge("b"), Embedder())
    decided = windows.prove(database, cycling.settings_of(state, model), scorer, 1)
    assert decided["outcome"] in {"rejected", "not_enough_evidence"}
    assert decided["tickets_left"] == 11
    with database.read() as session:
        ended = runs.latest(session)[0]
        assert (ended.status, ended.kind) == (RunStatus.DONE, windows.KIND)
        still = applied.applied(session)
        assert still is None or not still.proven
