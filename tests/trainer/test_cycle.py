"""Whole cycles with a tiny model, the bundled judges and a real engine that serves; and what happens on the way."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from assistant import cycles
from assistant.adapters import Adapters
from assistant.entailment import load_judge
from assistant.records import AdapterStatus, CommandKind, Run, RunStatus
from assistant.settings import Settings
from assistant.store import adapters, forget, gate, runs
from assistant.store.database import Database
from assistant.store.tables import GateScoreRow, RunRow, SampleRow
from tests.assistant.engines.conftest import random_adapter
from tests.trainer import cycling
from tests.trainer.talk import Talk
from trainer import report
from trainer.evaluate.bundled import BundledScorer
from trainer.evaluate.items import Item
from trainer.evaluate.scoring import JudgeError, Scores
from trainer.examine import CHECKED
from trainer.schedule import run_folder

POINTS = (
    "after_collect",
    "after_training",
    "after_registered",
    "after_train",
    "after_screen",
    "after_ticket",
    "after_examine",
    "after_load_asked",
    "after_decide",
    "after_promote_asked",
    "after_promote",
    "after_report",
    "after_end",
)


@pytest.fixture(scope="session")
def faithful(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cycling.teach(model, tmp_path_factory.mktemp("adapters") / "faithful", cycling.ANSWER)


@pytest.fixture(scope="session")
def nonsense(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(model, tmp_path_factory.mktemp("adapters") / "nonsense", seed=3)


@pytest.fixture
def settings(state: Path, model: Path) -> Settings:
    return cycling.settings_of(state, model)


@pytest.fixture
def log(database: Database) -> Talk:
    return cycling.write_log(database)


@pytest.fixture
def served(settings: Settings, database: Database) -> Iterator[Adapters]:
    with cycling.serving(settings) as running:
        yield running


def read(database: Database, run: Run) -> Run:
    with database.read() as session:
        return runs.get(session, run.id)


def verdict(database: Database, run: Run) -> dict[str, Any]:
    ended = read(database, run)
    assert (ended.status, ended.problem) == (RunStatus.DONE, None)
    assert ended.verdict is not None
    return dict(ended.verdict)


def champions(database: Database) -> list[str]:
    with database.read() as session:
        found = runs.latest(session)[0].parameters["model"]
        rows = adapters.for_base(session, cycling.steps.model_name(found))
        return [row.version for row in rows if row.status is AdapterStatus.CHAMPION]


def test_a_faithful_candidate_is_promoted_and_its_proof_can_be_read(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    run = cycling.ask_for_cycle(database, settings, faithful)
    assert cycling.work(settings, run.id) == 0
    decided = verdict(database, run)
    assert (decided["outcome"], decided["decided_by"]) == ("promoted", "test"), decided
    assert (decided["items"], decided["groups"], decided["tickets_left"]) == (60, 12, 11)
    assert served.live == decided["candidate"]
    assert champions(database) == [served.live]
    with database.read() as session:
        adapter = adapters.get(session, decided["candidate"])
        assert (adapter.proven, adapter.run_id) == (True, run.id)
        assert len(adapters.exchanges_of(session, [adapter.version])) == 6
        saw = next(iter(adapters.exchanges_of(session, [adapter.version])))
        assert adapters.that_saw(session, saw) == [adapter.version]
        put_up = session.query(SampleRow).all()
    assert len({sample.question for sample in put_up}) == len(put_up) == CHECKED
    assert {sample.judge for sample in put_up} == {load_judge("b").name}  # which is checked where it decides
    page = (run_folder(settings.state, run.id) / report.FILE).read_text()
    assert "Nobody has checked its verdicts yet" in page
    assert "Promoted: the candidate answers more faithfully" in page
    assert page.count("data:image/png;base64,") == 1  # nothing was trained here, so there are no curves
    assert "lives near" not in page  # it quotes nobody
    assert "town0.txt, section " in page
    assert "lineage0" not in page
    assert page.count("context relevance (of the passages)") == 1
    assert texts(settings, run) == set()


def test_a_cycle_that_fails_leaves_no_text(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    sent = settings.model_copy(update={"training": settings.training.model_copy(update={"trainer": "openai"})})
    run = cycling.ask_for_cycle(database, sent, faithful)
    assert cycling.work(sent, run.id) == 1
    with database.read() as session:
        assert "nothing is sent to a service" in (runs.get(session, run.id).problem or "")
    assert (cycling.steps.work_folder(settings.state, run.id) / "dataset" / "card.json").exists()
    assert texts(settings, run) == set()
    page = (run_folder(settings.state, run.id) / report.FILE).read_text()
    assert "Done: collect." in page
    assert "Failed: A cycle trains on this machine" in page


def test_a_cycle_that_is_cancelled_has_a_report_too(settings: Settings, database: Database) -> None:
    run = cycling.ask_for_cycle(database, settings)
    with database.write() as session:
        session.execute(update(RunRow).values(cancelling=True))
    assert cycling.work(settings, run.id) == 1
    assert read(database, run).status is RunStatus.CANCELLED
    assert "Cancelled: The run was cancelled." in (run_folder(settings.state, run.id) / report.FILE).read_text()


def texts(settings: Settings, run: Run) -> set[str]:
    """The files that a run left, but for the card of its dataset."""
    files = {path.name for path in cycling.steps.work_folder(settings.state, run.id).rglob("*") if path.is_file()}
    return files - {"card.json", "left_out.jsonl"}


def test_the_next_cycle_costs_nothing_while_there_is_nothing_new(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    cycling.work(settings, cycling.ask_for_cycle(database, settings, faithful).id)
    again = cycling.ask_for_cycle(database, settings)
    cycling.work(settings, again.id)
    decided = verdict(database, again)
    assert (decided["outcome"], decided["decided_by"]) == ("not_tried", "unchanged")
    with database.read() as session:
        assert len(gate.tickets(session)) == 1


def test_a_candidate_that_says_nonsense_costs_no_ticket_and_never_answers(
    log: Talk, settings: Settings, served: Adapters, faithful: Path, nonsense: Path
) -> None:
    database = log.database
    cycling.work(settings, cycling.ask_for_cycle(database, settings, faithful).id)
    champion = served.live
    assert champion is not None
    log.rate(log.ask(log.places(cycling.Side.TRAIN, 9)[-1], question="Who lives near it nowadays?"))
    run = cycling.ask_for_cycle(database, settings, nonsense)
    cycling.work(settings, run.id)
    decided = verdict(database, run)
    assert (decided["outcome"], decided["decided_by"]) == ("not_tried", "screened")
    assert served.live == champion
    with database.read() as session:
        assert len(gate.tickets(session)) == 1


def test_an_empty_log_ends_in_a_sentence(settings: Settings, database: Database) -> None:
    run = cycling.ask_for_cycle(database, settings)
    assert cycling.work(settings, run.id) == 0
    assert verdict(database, run)["decided_by"] == "nothing_to_learn"


def test_too_few_sealed_questions_cost_no_ticket(
    settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    cycling.write_log(database, sealed=4)
    run = cycling.ask_for_cycle(database, settings, faithful)
    cycling.work(settings, run.id)
    decided = verdict(database, run)
    assert (decided["outcome"], decided["decided_by"], decided["more_items"]) == ("not_enough_evidence", "items", 40)
    assert served.live is None
    with database.read() as session:
        assert gate.tickets(session) == []


def test_a_deletion_during_training_keeps_the_candidate_from_going_live(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    run = cycling.ask_for_cycle(database, settings, faithful)
    killed_at(settings, run, "after_training")
    with database.write() as session:
        learnt = cycling.steps.learnt(cycling.steps.work_folder(settings.state, run.id) / "dataset", undesirable=False)
        gone = sorted(learnt)[0]
        owner = session.get_one(forget.ExchangeRow, gone).person_id
        forget.exchange(session, gone, person_id=owner)
    assert gone_on_with(settings, database, run)["decided_by"] == "affected"
    assert served.live is None


def test_what_people_decide_while_a_cycle_is_dead_stands(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    run = cycling.ask_for_cycle(database, settings, faithful)
    killed_at(settings, run, "after_promote_asked")
    cycling.command(database, CommandKind.ROLLBACK)  # carried out after the promotion
    assert gone_on_with(settings, database, run)["decided_by"] == "changed"
    assert served.live is None


def test_a_candidate_that_was_withdrawn_is_not_promoted(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    run = cycling.ask_for_cycle(database, settings, faithful)
    killed_at(settings, run, "after_examine")
    with database.write() as session:
        (candidate,) = adapters.for_base(session, cycling.steps.model_name(run.parameters["model"]))
        adapters.withdraw(session, candidate.version, person_id=1)
    assert gone_on_with(settings, database, run)["decided_by"] == "changed"
    assert served.live is None
    with database.read() as session:
        assert adapters.get(session, candidate.version).status is AdapterStatus.WITHDRAWN


def test_a_proof_that_does_not_hold_any_more_promotes_nothing(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    cycling.work(settings, cycling.ask_for_cycle(database, settings, faithful).id)
    proven = served.live
    assert proven is not None
    assert cycling.command(database, CommandKind.ROLLBACK) is None
    assert "nothing is proven" in (cycling.command(database, CommandKind.PROMOTE, proven) or "")
    assert served.live is None


def test_a_preview_uses_nothing_up(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    with database.read() as session:
        fresh = cycles.newly_accepted(session)
    preview = cycling.ask_for_cycle(database, settings, preview=True)
    cycling.work(settings, preview.id)
    assert verdict(database, preview)["decided_by"] == "preview"
    with database.read() as session:
        assert cycles.newly_accepted(session) == fresh
    run = cycling.ask_for_cycle(database, settings, faithful)
    cycling.work(settings, run.id)
    assert verdict(database, run)["outcome"] == "promoted"


def test_deleting_an_exchange_takes_what_was_said_to_it_out_of_the_gate(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    cycling.work(settings, cycling.ask_for_cycle(database, settings, faithful).id)
    with database.write() as session:
        kept = session.query(GateScoreRow).count()
        exchange = next(iter(gate.sealed(session)))
        forget.exchange(session, exchange.id, person_id=exchange.person_id)
        assert session.query(GateScoreRow).count() < kept
        assert session.query(GateScoreRow).filter_by(exchange_id=exchange.id).count() == 0


def killed_at(settings: Settings, run: Run, point: str) -> None:
    killed_in(cycling.killed, settings, run.id, point)


def killed_in(target: Callable[..., None], *arguments: Any) -> None:
    """Runs the target in a process that is to be killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([cycling.__name__, "trainer.evaluate.bundled", "trainer.report"])
    child = context.Process(target=target, args=arguments)
    child.start()
    child.join(280)
    assert child.exitcode == -signal.SIGKILL, f"{arguments[-1]} was not reached"


def test_a_judge_that_dies_half_way_costs_no_second_ticket_and_no_score_twice(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    run = cycling.ask_for_cycle(database, settings, faithful)
    killed_in(cycling.judge_dies, settings, run.id, 70)
    with database.read() as session:
        kept = {row.key: row.created_at for row in session.scalars(select(GateScoreRow))}
        assert len(gate.tickets(session)) == 1
    assert gone_on_with(settings, database, run)["outcome"] == "promoted"
    with database.read() as session:
        now = {row.key: row.created_at for row in session.scalars(select(GateScoreRow))}
        assert len(gate.tickets(session)) == 1
    assert len(kept) >= 60 * 2 + 70  # what two models answered to 60 items, and the scores until then
    assert kept.items() <= now.items()


def test_a_judge_that_fails_on_some_items_promotes_nothing(
    *, log: Talk, settings: Settings, served: Adapters, faithful: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = BundledScorer.score

    async def failing(self: BundledScorer, item: Item, answer: str | None) -> Scores:
        if "walls" in item.question:
            raise JudgeError("The judge has no opinion on walls.")
        return await score(self, item, answer)

    monkeypatch.setattr(BundledScorer, "score", failing)
    run = cycling.ask_for_cycle(log.database, settings, faithful)
    cycling.work(settings, run.id)
    decided = verdict(log.database, run)
    assert (decided["items"], decided["coverage"]) == (48, 0.8)
    assert decided["outcome"] == "not_enough_evidence"
    assert served.live is None


def gone_on_with(settings: Settings, database: Database, run: Run) -> Any:
    """The verdict of a run that was killed, after the process that goes on with it has ended."""
    went_silent(database)
    cycling.work(settings, run.id)
    return verdict(database, run)


def went_silent(database: Database) -> None:
    with database.write() as session:  # time passes
        session.execute(update(RunRow).values(heartbeat=datetime.now(UTC) - runs.PATIENCE))


def test_killed_after_every_commit_point_it_goes_on_and_spends_one_ticket(
    log: Talk, settings: Settings, database: Database, served: Adapters, faithful: Path
) -> None:
    run = cycling.ask_for_cycle(database, settings, faithful)
    for point in POINTS:
        killed_at(settings, run, point)
        assert len(champions(database)) <= 1
        with database.read() as session:
            for version in champions(database):
                assert adapters.get(session, version).proven
            assert [ticket.run_id for ticket in gate.tickets(session)] in ([], [run.id])
        if point != POINTS[-1]:
            assert read(database, run).status is RunStatus.RUNNING
            went_silent(database)
    decided = verdict(database, run)
    assert (decided["outcome"], decided["tickets_left"]) == ("promoted", 11)
    assert champions(database) == [decided["candidate"]] == [served.live]
    with database.read() as session:
        assert len(adapters.for_base(session, adapters.get(session, decided["candidate"]).base)) == 1
        assert [ticket.run_id for ticket in gate.tickets(session)] == [run.id]
        assert session.query(SampleRow).count() == CHECKED
        assert read(database, run).token == len(POINTS)
    assert (run_folder(settings.state, run.id) / report.FILE).exists()
