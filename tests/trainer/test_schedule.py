"""When cycles begin, and that one at a time does, with real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from assistant import cycles
from assistant.cycles import Schedule
from assistant.errors import BusyError
from assistant.records import Run, RunStatus
from assistant.store import runs, stages
from assistant.store.database import Database
from assistant.store.tables import RunRow
from tests.conftest import People
from tests.trainer import scheduling
from tests.trainer.talk import Talk
from trainer import schedule
from trainer.schedule import Scheduler

NIGHT = datetime(2026, 11, 25, 3, 0).astimezone()
HOUR = timedelta(hours=1)


def fire(database: Database, now: datetime) -> Run | None:
    with database.write() as session:
        return schedule.fire(session, now.astimezone(UTC), {})


def end(database: Database, run: Run, status: RunStatus = RunStatus.DONE) -> None:
    with database.write() as session:
        claimed = runs.claim(session, run.id)
        runs.finish(session, run.id, token=claimed.token, status=status)


def ended(database: Database, run: Run | None) -> Run:
    assert run is not None
    end(database, run)
    return run


def at_first(database: Database, now: datetime, wanted: Schedule | None = None) -> None:
    """The schedule, set a moment ago."""
    with database.write() as session:
        cycles.set_schedule(session, wanted or Schedule(), person_id=1)
        cycles.fired(session, now.astimezone(UTC))


def test_every_night_once(database: Database, people: People) -> None:
    assert fire(database, NIGHT - 2 * HOUR) is None  # the first look sets the beginning
    assert fire(database, NIGHT - HOUR / 60) is None
    run = ended(database, fire(database, NIGHT + timedelta(seconds=4)))
    assert (run.kind, run.parameters["by"], run.person_id) == (cycles.KIND, "schedule", None)
    assert fire(database, NIGHT + timedelta(seconds=9)) is None
    assert fire(database, NIGHT + 23 * HOUR) is None
    assert fire(database, NIGHT + 24 * HOUR + HOUR / 60) is not None


def test_what_was_missed_is_made_up_once(database: Database, people: People) -> None:
    at_first(database, NIGHT - HOUR)
    later = NIGHT + timedelta(days=6, hours=5)  # the machine was off for a week
    ended(database, fire(database, later))
    assert fire(database, later + HOUR) is None
    assert fire(database, later + timedelta(days=1)) is not None


def test_a_clock_that_was_wrong_neither_stops_nor_repeats_it(database: Database, people: People) -> None:
    at_first(database, NIGHT + timedelta(days=400))  # set while the clock was a year ahead
    assert fire(database, NIGHT - HOUR) is None
    ended(database, fire(database, NIGHT + HOUR))
    assert fire(database, NIGHT - 2 * HOUR) is None  # turned back over a firing: that night comes once more
    ended(database, fire(database, NIGHT + HOUR))
    assert fire(database, NIGHT + 2 * HOUR) is None


def test_paused_and_quiet(database: Database, people: People) -> None:
    at_first(database, NIGHT - HOUR, Schedule(paused=True))
    assert fire(database, NIGHT + 48 * HOUR) is None
    at_first(database, NIGHT - HOUR, Schedule(quiet_from=time(22), quiet_until=time(6)))
    assert fire(database, NIGHT + HOUR) is None
    assert fire(database, NIGHT + 4 * HOUR) is not None  # made up when the quiet hours are over


@pytest.mark.parametrize(("start", "stop"), [(time(22), time(6)), (time(8), time(18)), (time(0), time(0))])
def test_quiet_hours_may_go_past_midnight(start: time, stop: time) -> None:
    wanted = Schedule(quiet_from=start, quiet_until=stop)
    hours = {hour for hour in range(24) if wanted.quiet(time(hour))}
    expected = range(start.hour, stop.hour) if start <= stop else [*range(start.hour, 24), *range(stop.hour)]
    assert hours == set(expected)


def test_after_so_many_newly_accepted_ratings(database: Database, people: People) -> None:
    talk = Talk(database)
    talk.add_documents(1, sections=20)
    rated = [talk.rate(talk.ask((0, n))) for n in range(4)]
    assert len(rated) == 4
    at_first(database, NIGHT, Schedule(cron=None, after=5))
    assert fire(database, NIGHT + HOUR) is None
    talk.rate(talk.ask((0, 5)))
    run = ended(database, fire(database, NIGHT + HOUR))
    assert (run.parameters["by"], run.parameters["accepted"]) == ("ratings", 5)
    for n in range(6, 10):
        talk.rate(talk.ask((0, n)))
    assert fire(database, NIGHT + 2 * HOUR) is None
    talk.rate(talk.ask((0, 11)))
    assert fire(database, NIGHT + 2 * HOUR) is not None


def test_twenty_presses_of_the_button_make_one_cycle(database: Database, people: People) -> None:
    def press(_: int) -> int | None:
        with suppress(BusyError), database.write() as session:
            return cycles.request(session, by="button", person_id=people.admin.id).id
        return None

    with ThreadPoolExecutor(20) as pool:
        made = [run for run in pool.map(press, range(20)) if run is not None]
    assert len(made) == 1
    with database.read() as session:
        assert [run.id for run in runs.latest(session)] == made
    with database.write() as session, pytest.raises(BusyError, match=f"Run {made[0]} waits"):
        cycles.request(session, by="button", person_id=people.admin.id)
    assert fire(database, NIGHT) is None


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *"],
)
def test_a_cron_expression_that_is_none_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError):
        Schedule(cron=cron)


@pytest.mark.parametrize(
    ("field", "weekdays"),
    [("0", {7}), ("7", {7}), ("1-5", {1, 2, 3, 4, 5}), ("0-2", {7, 1, 2}), ("*/3", {7, 3, 6}), ("6,0", {6, 7})],
)
def test_weekdays_are_those_of_cron(field: str, weekdays: set[int]) -> None:
    wanted, at, found = Schedule(cron=f"0 3 * * {field}"), NIGHT, set()
    for _ in range(7):
        following = schedule.next_firing(wanted, at + HOUR)
        assert following is not None
        found.add(following.isoweekday())
        at = following
    assert found == weekdays


def test_two_programs_ask_for_one_cycle_and_one_process_gets_it(
    database: Database, people: People, state: Path
) -> None:
    at_first(database, NIGHT - HOUR)
    now = (NIGHT + HOUR).isoformat()
    command = [sys.executable, "-m", scheduling.__name__, "program", str(state), now]
    programs = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(3)]
    for each in programs:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    for each in programs:
        assert each.wait(100) == 0
        assert each.stdin is not None
        each.stdin.close()
    said = [path.read_text() for path in state.glob("worker-*")]
    assert sum(text.startswith("claimed") for text in said) == 1
    with database.read() as session:
        assert [run.status for run in runs.latest(session)] == [RunStatus.DONE]


@pytest.fixture
def workers(state: Path) -> Iterator[Callable[[Run, str], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(run: Run, ending: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", scheduling.__name__, "worker", str(state), str(run.id), ending]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def silent(database: Database, run: Run) -> None:
    """As if its last sign of life were long ago."""
    with database.write() as session:
        old = datetime.now(UTC) - runs.PATIENCE - timedelta(seconds=1)
        session.execute(update(RunRow).where(RunRow.id == run.id).values(heartbeat=old))


def test_a_process_that_was_only_slow_changes_nothing_any_more(
    database: Database, people: People, workers: Callable[[Run, str], subprocess.Popen[bytes]]
) -> None:
    with database.write() as session:
        run = cycles.request(session, by="button", person_id=people.admin.id)
    slow = workers(run, "wait")
    assert slow.stdout is not None
    assert slow.stdout.readline() == b"claimed 1\n"
    slow.send_signal(signal.SIGSTOP)
    silent(database, run)
    scheduler = Scheduler(database, lambda again: workers(again, "done"))
    scheduler.look(NIGHT)
    assert scheduler._child is not None
    assert scheduler._child[1].wait(60) == 0
    slow.send_signal(signal.SIGCONT)
    said, _ = slow.communicate(b"\n", timeout=60)
    assert (slow.returncode, said) == (4, b"lost\n")
    with database.read() as session:
        assert (runs.get(session, run.id).status, runs.get(session, run.id).token) == (RunStatus.DONE, 2)


def test_a_cycle_whose_process_always_dies_fails_in_the_end(
    database: Database, people: People, workers: Callable[[Run, str], subprocess.Popen[bytes]]
) -> None:
    with database.write() as session:
        run = cycles.request(session, by="button", person_id=people.admin.id)
    scheduler = Scheduler(database, lambda again: workers(again, "die"))
    for attempt in range(1, schedule.ATTEMPTS + 1):
        scheduler.look(NIGHT)
        assert scheduler._child is not None
        assert scheduler._child[1].wait(60) == 1
        with database.read() as session:
            assert runs.get(session, run.id).token == attempt
        silent(database, run)
    scheduler.look(NIGHT)
    with database.read() as session:
        failed = runs.get(session, run.id)
    assert (failed.status, failed.problem) == (
        RunStatus.FAILED,
        "Its process died 5 times; the log of the run says more.",
    )


def test_it_ticks_by_itself_and_ends_its_process(
    database: Database, people: People, workers: Callable[[Run, str], subprocess.Popen[bytes]]
) -> None:
    with database.write() as session:
        cycles.request(session, by="button", person_id=people.admin.id)
    started: list[subprocess.Popen[bytes]] = []
    began = threading.Event()

    def start(run: Run) -> subprocess.Popen[bytes]:
        started.append(workers(run, "wait"))
        began.set()
        return started[-1]

    scheduler = Scheduler(database, start)
    scheduler.start()
    scheduler._ticks.get_jobs()[0].modify(next_run_time=datetime.now(UTC))
    assert began.wait(60)
    assert started[0].stdout is not None
    assert started[0].stdout.readline() == b"claimed 1\n"
    scheduler.close()
    assert started[0].returncode == -signal.SIGTERM
    with database.read() as session:
        assert stages.finished(session, 1)["attempts"] == {"number": 0}, "a stop of the program is no crash"
