"""Run as processes of their own: a worker that holds a run, and a program that looks at the schedule once."""

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from assistant.errors import BusyError, LeaseLostError
from assistant.records import Run, RunStatus
from assistant.store import runs
from assistant.store.database import open_database, sqlite_url
from trainer.schedule import Scheduler


def worker(state: Path, run_id: int, ending: str) -> int:
    """Claims the run and says so; then ends it, or waits for a line and reports once more, or dies."""
    database = open_database(sqlite_url(state / "fiel.db"))
    try:
        with database.write() as session:
            run = runs.claim(session, run_id)
    except BusyError:
        return 3
    print(f"claimed {run.token}", flush=True)
    if ending == "die":
        return 1
    if ending == "wait":
        sys.stdin.readline()
    try:
        with database.write() as session:
            runs.finish(session, run_id, token=run.token, status=RunStatus.DONE)
    except LeaseLostError:
        print("lost", flush=True)
        return 4
    return 0


def program(state: Path, now: str) -> int:
    """Looks at one moment, together with others who do the same; waits for what it started."""
    started: list[subprocess.Popen[bytes]] = []

    def start(run: Run) -> "subprocess.Popen[bytes]":
        with (state / f"worker-{len(list(state.glob('worker-*')))}-{time.monotonic_ns()}").open("w") as said:
            command = [sys.executable, "-m", __spec__.name, "worker", str(state), str(run.id), "done"]
            started.append(subprocess.Popen(command, stdout=said))
        return started[-1]

    scheduler = Scheduler(open_database(sqlite_url(state / "fiel.db")), start)
    sys.stdin.readline()  # all begin at once
    scheduler.look(datetime.fromisoformat(now))
    for child in started:
        child.wait()
    return 0


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    if what == "worker":
        sys.exit(worker(Path(folder), int(rest[0]), rest[1]))
    sys.exit(program(Path(folder), rest[0]))
