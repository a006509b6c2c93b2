"""One retraining of the program's model: from its log to an adapter in its registry, in a process of its own.

    python -m trainer.retrain --state FOLDER --run ID

does the work of a run; ``retrain`` starts that and shows how far it is. Killed, it goes on where it was as soon as a
retraining is asked for again.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from sqlalchemy.orm import Session

from assistant.engines.base import model_name
from assistant.entailment import load_judge
from assistant.errors import BusyError, FielError
from assistant.records import Run, RunStatus
from assistant.settings import ROOT, Settings, Training
from assistant.state import CARD
from assistant.store import runs
from assistant.store.database import Database, open_database, sqlite_url
from trainer import dataset, lora, remote, steps
from trainer.estimate import threads
from trainer.prepare import prepare
from trainer.work import Rates
from trainer.worker import Holder, held, stand_back

KIND = "train"
"""Of the runs that this module starts and works on."""

_LOOK = 0.5  # seconds between two looks at a run
_SHOWN = ("phase", "step", "steps", "loss", "validation_loss", "examples_per_second", "seconds_left", "event")


def retrain(
    settings: Settings,
    *,
    dry_run: bool,
    agree: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = print,
) -> int:
    """Retrains, and returns the exit code. ``dry_run``: makes a dataset, says what is in it and what it would take.

    ``agree`` is asked before anything is sent to a service, once what that is and what it costs was said.

    Raises FielError, BusyError while another run is at work.
    """
    database = open_database(sqlite_url(settings.state / "fiel.db"))
    try:
        asked: dict[str, Any] = {
            "model": settings.model,
            "training": settings.training.model_dump(mode="json"),
            "remote": settings.remote.model_dump(mode="json", exclude={"key"}),
        }
        if dry_run or settings.training.trainer == "openai":
            cost = _preview(settings, database, say)
            if dry_run or cost is None:
                return 1 if cost is None else 0
            if not agree():
                say("Nothing was sent.")
                return 1
            asked["agreed"] = cost
        run = _next_run(database, asked)
        process = start(settings, run)
        try:
            return _followed(database, run, process, say)
        except KeyboardInterrupt:
            with database.write() as session:
                runs.cancel(session, run.id)
            process.wait()
            with database.read() as session:
                say(f"Cancelled. {runs.get(session, run.id).problem or ''}".strip())
            return 130
    finally:
        database.close()


def start(settings: Settings, run: Run) -> subprocess.Popen[bytes]:
    """The process that works on a run; one for each GPU where there are several."""
    script = ["-m", "trainer.retrain", "--state", str(settings.state.absolute()), "--run", str(run.id)]
    gpus = torch.cuda.device_count() if settings.training.device != "cpu" else 0
    spread = ["-m", "accelerate.commands.launch", "--num_processes", str(gpus)] if gpus > 1 else []
    log = settings.state / "logs" / f"run-{run.id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        # A session of its own: Ctrl-C reaches whoever waits for it, who cancels the run.
        return subprocess.Popen(
            [sys.executable, *spread, *script],
            env=os.environ | {"PYTHONPATH": str(ROOT), "FIEL_REMOTE__KEY": settings.remote.key.get_secret_value()},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def work(state: Path, database: Database, holder: Holder) -> None:
    """All of a run: collect, train, register."""
    run = holder.run
    steps.collect(state, database, holder)
    base = steps.train(state, holder)
    added = steps.register(state, database, run, base)
    with database.write() as session:
        runs.report(
            session, run.id, token=run.token, stage="done", progress={"phase": "done", "version": added.version}
        )
        runs.finish(session, run.id, token=run.token, status=RunStatus.DONE)


def _preview(settings: Settings, database: Database, say: Callable[[str], None]) -> float | None:
    """Says what would be learnt and what it would take, by a dataset that is thrown away; returns its cost in dollars.

    None: there is nothing to learn from. Raises FielError for what would be refused.
    """
    with _scratch(settings.state) as scratch:
        folder = scratch / "dataset"
        judge, training = load_judge("a"), settings.training
        card = dataset.build(database, folder, judge=judge, settings=training, seed=0, progress=_counted(say))
        if not card.examples["train"]:
            say("\n".join(card.lines()))
            say("There is nothing to learn from yet. Rate answers, and accept ratings in the review queue.")
            return None
        if training.trainer == "openai":
            offer = remote.prepare(folder, remote=settings.remote, settings=training, folder=scratch / "upload")
            say("\n".join(offer.lines()))
            return offer.cost
        memory = Rates(settings.state / "training" / "rates.json", model_name(settings.model))
        prepared = prepare(folder, settings.model, settings=training, folder=folder, earlier=memory.examples)
        say("\n".join(prepared.lines()))
        prepared.estimate.check(training)
    return 0.0


@contextmanager
def _scratch(state: Path) -> Iterator[Path]:
    """An empty folder for the block; what people wrote is in it, so one that a kill left goes with the next."""
    scratch = state / "training" / "preview"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _counted(say: Callable[[str], None]) -> dataset.Progress:
    def progress(done: int, total: int) -> None:
        if done % 1_000 == 0:
            say(f"collecting: {done:,} of {total:,} exchanges")

    return progress


def _next_run(database: Database, asked: dict[str, Any]) -> Run:
    """The one that a kill cut off, if it was asked for in the same way, else a new one; any other is ended."""
    with database.write() as session:
        _refuse_a_second(session)
        cut_off = [run for run in runs.dead(session) if run.kind == KIND]
        same = [run for run in cut_off if {**run.parameters, "agreed": 0} == asked | {"agreed": 0}]
        for run in cut_off:
            if run not in same[-1:]:
                runs.cancel(session, run.id)
        return same[-1] if same else runs.add(session, kind=KIND, seed=0, parameters=asked)


def _refuse_a_second(session: Session) -> None:
    if (holder := runs.alive(session)) is not None:
        raise BusyError(
            f"Run {holder.id} ({holder.kind}) is at work. Wait for its end, or cancel it. If it was killed, ask again "
            "in a minute."
        )


def _followed(database: Database, run: Run, process: subprocess.Popen[bytes], say: Callable[[str], None]) -> int:
    """Shows the progress of a run until its process has ended."""
    shown = ""
    while True:
        ended = process.poll() is not None
        with database.read() as session:
            run = runs.get(session, run.id)
        line = "  ".join(f"{name} {run.progress[name]}" for name in _SHOWN if run.progress.get(name))
        if line != shown:
            say(line)
            shown = line
        if ended:
            break
        time.sleep(_LOOK)
    if run.status is RunStatus.DONE:
        say(f"The adapter {run.progress['version']} is ready. It does not answer yet.")
        return 0
    if run.status is RunStatus.WAITING:  # another one was faster
        with database.write() as session:
            runs.cancel(session, run.id)
            _refuse_a_second(session)
    if run.status is RunStatus.RUNNING:
        raise FielError(f"The training died without a word; {run.log} may say why. Ask again in a minute to go on.")
    raise FielError(run.problem or f"Run {run.id} is {run.status}.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--run", type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ends at once and goes on later, as after a kill
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if torch.cuda.is_available() and (rank := os.environ.get("LOCAL_RANK")):
        torch.cuda.set_device(int(rank))  # or all processes would load their model onto the first
    database = open_database(sqlite_url(options.state / "fiel.db"))
    try:
        with database.read() as session:
            run = runs.get(session, options.run)
        stand_back(run.parameters["training"]["niceness"], threads=threads())
        if os.environ.get("RANK", "0") != "0":
            return _help(options.state, run)
        try:
            with held(database, run.id, log=f"logs/run-{run.id}.log") as holder:
                work(options.state, database, holder)
        finally:
            steps.clear(options.state, database, run.id)
    except FielError:
        logging.exception("the run ended")
        return 1
    finally:
        database.close()
    return 0


def _help(state: Path, run: Run) -> int:
    """The further processes of a training on several GPUs: they compute with the first one, which does all the rest."""
    folder = steps.work_folder(state, run.id)
    while not (folder / "dataset" / CARD).exists():
        time.sleep(_LOOK)
    ready, memory = steps.prepared(state, run)
    settings = Training(**run.parameters["training"])
    lora.train(ready, folder / "adapter", settings=settings, seed=run.seed, judge=load_judge("a"), rate=memory.rate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
