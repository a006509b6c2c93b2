"""A training cycle, from the log to a verdict: collect → train → screen → examine → decide → promote → report.

    python -m trainer.cycle RUN --settings FILE

works on a run, in a process of its own. Each stage is a row once it is over, so that a cycle which was killed, at
whatever moment, goes on after its last whole stage. The points in between are logged by name.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from assistant.engines.base import Engine, model_name
from assistant.entailment import load_judge
from assistant.errors import BusyError, FielError, TooOftenError
from assistant.records import AdapterStatus, CommandKind, CommandStatus, RunStatus
from assistant.registry import Registry
from assistant.settings import Settings, Training
from assistant.store import adapters, gate, runs, stages
from assistant.store.database import Database, open_database, sqlite_url
from trainer import decision, judging, proof, steps, validate
from trainer.estimate import threads
from trainer.examine import Examiner, engine_with
from trainer.gate import screening, verdict
from trainer.gate.comparison import Row
from trainer.gate.scores import Said
from trainer.gate.verdict import GROUPS, ITEMS, Evidence, Outcome
from trainer.worker import Holder, held, stand_back

_log = logging.getLogger(__name__)

_CANARIES = 20
_LOOK = 0.2
_ASKS = 3  # times that a command is given which the program's end cut off
_CONTEXT_SHARE = 2  # of a context, an answer may have one part in so many, as in a chat

Result = dict[str, Any]


class _EndedError(Exception):
    """The cycle is over without a try: nothing new, too little, or not good enough on validation."""

    def __init__(self, outcome: str, why: str, **figures: Any) -> None:
        super().__init__(why)
        self.verdict: Result = {"outcome": outcome, "decided_by": why, **figures}


class Cycle:
    """One run, worked on by the process that holds it."""

    def __init__(self, configuration: Settings, database: Database, holder: Holder) -> None:
        self._configuration = configuration
        self._state = configuration.state
        self._database = database
        self._holder = holder
        self._run = holder.run
        self._base = model_name(self._run.parameters["model"])
        with database.read() as session:
            self._done = stages.finished(session, self._run.id)

    def work(self) -> None:
        """The whole story. Whatever ends it before its end is reported too."""
        try:
            self._work()
        except BusyError:
            raise  # the run is another process's, and goes on
        except BaseException as error:
            steps.report_end(self._state, self._database, self._run, self._done, error)
            raise

    def _work(self) -> None:
        try:
            self._stage("collect", self._collect)
            if self._run.parameters.get("preview"):
                raise _EndedError("not_tried", "preview", lines=steps.estimate(self._state, self._run))
            self._stage("train", self._train)
            self._stage("screen", self._screen)
            self._stage("examine", self._examine)
            decided = self._stage("decide", self._decide)
            if decided["outcome"] == Outcome.PROMOTED:
                self._stage("promote", self._promote)
        except _EndedError as ended:
            decided = ended.verdict
            if "decide" in self._done:
                with self._writing() as session:
                    adapters.decide(session, self._done["train"]["version"], proven=False)
        self._finish(decided)

    def _stage(self, name: str, do: Callable[[], Result]) -> Result:
        """What came of a stage, which is worked on unless it was finished before."""
        if name not in self._done:
            self._holder.stage(name)
            _log.info("%s", name)
            result = do()
            with self._writing() as session:
                stages.finish(session, self._run.id, name, result)
                if name == "decide":
                    proven = result["outcome"] == Outcome.PROMOTED
                    adapters.decide(session, result["candidate"], proven=proven)
            self._done[name] = result
            self._reached(f"after_{name}")
        return self._done[name]

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A transaction in which whoever lost the run to another process writes nothing: it raises LeaseLostError."""
        with self._database.write() as session:
            runs.report(session, self._run.id, token=self._run.token)
            yield session

    def _collect(self) -> Result:
        card = steps.collect(self._state, self._database, self._holder)
        return {"hash": card.hash, "card": {"examples": card.examples, "left_out": card.left_out, "of": card.of}}

    def _train(self) -> Result:
        collected = self._done["collect"]
        if not collected["card"]["examples"]["train"]:
            raise _EndedError("not_tried", "nothing_to_learn")
        with self._database.read() as session:
            tried = decision.tried(session, self._run)
        if collected["hash"] in tried:
            raise _EndedError("not_tried", "unchanged")
        if self._run.parameters["training"].get("trainer") == "openai":
            raise FielError(
                "A cycle trains on this machine: nothing is sent to a service without somebody's word. Set "
                "training.trainer to lora, or use launch.py retrain and promote the result by hand."
            )
        added = steps.registered(self._database, self._run, self._base)
        if added is None:
            if steps.stale(self._database, steps.work_folder(self._state, self._run.id)):
                raise _EndedError("not_tried", "affected")
            steps.train(self._state, self._holder)
            self._reached("after_training")
            added = steps.register(self._state, self._database, self._run, self._base)
            self._reached("after_registered")
        manifest = json.loads((self._state / "adapters" / added.version / "manifest.json").read_text(encoding="utf-8"))
        return {"version": added.version, "training": manifest.get("training", {})}

    def _screen(self) -> Result:
        """Whether the candidate is better than the champion on validation, by the judge that does not gate."""
        version, dataset = self._done["train"]["version"], steps.work_folder(self._state, self._run.id) / "dataset"
        with self._database.read() as session:
            champion = adapters.champion(session, self._base)
            rolled_back = [a.version for a in adapters.for_base(session, self._base) if a.rolled_back]
            lost, mine = adapters.exchanges_of(session, rolled_back), adapters.exchanges_of(session, [version])
            tried = decision.tried(session, self._run)
        shown = asyncio.run(self._validated(dataset / "validation.jsonl", version, champion))
        self._keep_texts(shown)
        gains = [each["candidate"] - each["champion"] for each in shown]
        gain = math.fsum(gains) / len(gains) if gains else math.nan
        hash_ = self._done["collect"]["hash"]
        why = screening.worth_a_ticket(gain=gain, dataset=hash_, tried=tried, rolled_back=lost, exchanges=mine)
        return {"gain": None if math.isnan(gain) else gain, "items": len(gains), "why": why, "answers": shown}

    def _keep_texts(self, shown: list[Result]) -> None:
        """Where deleting an exchange reaches them; the stage's result keeps the figures alone."""
        with self._writing() as session:
            for each in shown:
                at = gate.validation_key(self._run.id, each["exchange"])
                gate.keep_score(session, at, each.pop("texts"), exchange_id=each["exchange"])

    async def _validated(self, path: Path, version: str, champion: str | None) -> list[Result]:
        engine = await self._engine(version, champion)
        try:
            return await validate.answers(
                path,
                engine,
                {"candidate": version, "champion": champion},
                judge=load_judge("a"),
                max_tokens=self._max_tokens(engine),
                told=self._told,
            )
        finally:
            await engine.close()

    def _examine(self) -> Result:
        """The gate: its items, a ticket, everybody's answers, and the judge's scores."""
        if (why := self._done["screen"]["why"]) is not None:
            raise _EndedError("not_tried", why, validation_gain=self._done["screen"]["gain"])
        self._stop_if_affected()
        with self._database.read() as session:
            items = proof.items(session)
            champion, proven = adapters.champion(session, self._base), adapters.last_proven(session, self._base)
        groups = len({item.group for item in items})
        if len(items) < ITEMS or groups < GROUPS:  # known before anything is asked: no ticket is spent
            short = "items" if len(items) < ITEMS else "groups"
            more = max(0, ITEMS - len(items))
            raise _EndedError(Outcome.NOT_ENOUGH, short, items=len(items), groups=groups, more_items=more)
        try:
            with self._writing() as session:
                ticket = gate.take_ticket(session, self._run.id, dataset_hash=self._done["collect"]["hash"])
        except TooOftenError as error:
            raise _EndedError("not_tried", "no_tickets", told=str(error)) from error
        self._reached("after_ticket")
        version = self._done["train"]["version"]
        models: dict[str, str | None] = {decision.BASE: None, champion or decision.BASE: champion, version: version}
        if proven is not None:
            models[proven] = proven
        rows, judge = asyncio.run(self._asked(items, models, version))
        return {
            "rows": proof.rows_to_json(rows),
            "selected": len(items),
            "champion": champion,
            "proven": proven,
            "judge": judge,
            "ticket": ticket.number,
        }

    def _stop_if_affected(self) -> None:
        """What was deleted while it was learnt must not go live in the weights."""
        with self._database.read() as session:
            if adapters.get(session, self._done["train"]["version"]).affected_at is not None:
                raise _EndedError("not_tried", "affected")

    async def _asked(self, items: list[Any], models: Mapping[str, str | None], version: str) -> tuple[list[Row], str]:
        scorer = judging.gate_scorer(self._configuration)
        engine = await self._engine(*(adapter for adapter in models.values()))
        try:
            examiner = Examiner(
                self._database,
                engine,
                scorer,
                load_judge("a"),
                max_tokens=self._max_tokens(engine),
                run_id=self._run.id,
                told=self._told,
            )
            rows = await examiner.rows(items, models, known=[name for name in models if name != version])
        finally:
            await engine.close()
            await scorer.close()
        return rows, scorer.judge_name

    def _decide(self) -> Result:
        """The verdict; where all else holds, the engine that serves is asked too."""
        examined, version = self._done["examine"], self._done["train"]["version"]
        rows = proof.rows_from_json(examined["rows"])
        evidence = self._evidence(rows)
        rng = np.random.default_rng(self._run.seed)
        found = verdict.decide(evidence, rng=rng)
        if found.awaits_canaries:
            canaries = self._canaries(version, rows)
            found = verdict.conclude(self._evidence(rows, canaries), found.gains, alpha=found.alpha)
        with self._database.read() as session:
            return decision.told(session, found, version, examined)

    def _evidence(self, rows: list[Row], canaries: tuple[bool, ...] = ()) -> Evidence:
        candidate, examined = self._done["train"]["version"], self._done["examine"]
        supported = judging.supported_from(self._configuration)
        with self._database.read() as session:
            return decision.evidence(session, rows, candidate, examined, supported=supported, canaries=canaries)

    def _canaries(self, version: str, rows: list[Row]) -> tuple[bool, ...]:
        """The serving engine loads it and asks it something; and it broke nothing that it was asked before."""
        answered = tuple(row.answers[version].said is not Said.BROKEN for row in rows[:_CANARIES])
        try:
            self._command(CommandKind.LOAD, version)
        except FielError as error:
            _log.warning("the serving engine does not take %s: %s", version, error)
            return (False, *answered)
        return (True, *answered)

    def _promote(self) -> Result:
        version = self._done["train"]["version"]
        self._stop_if_affected()
        with self._database.read() as session:
            live, mine = adapters.champion(session, self._base), adapters.get(session, version)
        changed = mine.rolled_back or mine.status is AdapterStatus.WITHDRAWN
        if changed or live not in (version, self._done["examine"]["champion"]):
            raise _EndedError("not_tried", "changed")  # the proof was against another one, or people decided meanwhile
        if live != version:
            self._command(CommandKind.PROMOTE, version)
        return {"before": self._done["examine"]["champion"]}

    def _command(self, kind: CommandKind, version: str) -> None:
        """Asks the serving process and waits until it has done it. Raises FielError with its reason."""
        for attempt in range(_ASKS):
            with self._writing() as session:
                command_id = adapters.ask(session, kind, version=version, person_id=None)
            self._reached(f"after_{kind}_asked")
            while True:
                with self._database.read() as session:
                    command = adapters.command(session, command_id)
                if command.status is CommandStatus.DONE:
                    return
                if command.status is CommandStatus.FAILED:
                    break
                self._holder.report({"phase": f"waiting for {kind}"})
                time.sleep(_LOOK)
            if command.problem != adapters.CUT_OFF or attempt == _ASKS - 1:
                raise FielError(command.problem or f"The adapter {version} could not be changed.")

    def _finish(self, decided: Result) -> None:
        """The report, and the end of the run."""
        if "train" in self._done and decided["outcome"] != Outcome.PROMOTED:
            self._unload(self._done["train"]["version"])
        self._holder.stage("report")
        steps.report(self._state, self._database, self._run, self._done, decided)
        self._reached("after_report")
        with self._database.write() as session:
            if "collect" in self._done:
                runs.report(session, self._run.id, token=self._run.token, dataset_hash=self._done["collect"]["hash"])
            runs.finish(session, self._run.id, token=self._run.token, status=RunStatus.DONE, verdict=decided)
        self._reached("after_end")

    def _unload(self, version: str) -> None:
        with self._writing() as session:
            adapters.ask(session, CommandKind.UNLOAD, version=version, person_id=None)

    async def _engine(self, *versions: str | None) -> Engine:
        registry = Registry(self._database, self._state / "adapters")
        return await engine_with(self._run.parameters["model"], registry, versions)

    def _max_tokens(self, engine: Engine) -> int:
        return min(self._configuration.generation.max_tokens, engine.context_tokens // _CONTEXT_SHARE)

    def _told(self, what: str, done: int, of: int) -> None:
        self._holder.report({"phase": what, "step": done, "steps": of})

    def _reached(self, point: str) -> None:
        _log.debug("%s: run %d", point, self._run.id)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=int)
    parser.add_argument("--settings", type=Path, required=True, help="the program's settings as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ends at once and goes on later, as after a kill
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    configuration = Settings(**json.loads(options.settings.read_text(encoding="utf-8")))
    database = open_database(sqlite_url(configuration.state / "fiel.db"))
    try:
        return work(configuration, database, options.run)
    finally:
        database.close()


def work(configuration: Settings, database: Database, run_id: int) -> int:
    """Works on a run to its end and returns the exit code."""
    with database.read() as session:
        training = Training(**runs.get(session, run_id).parameters["training"])
    stand_back(training.niceness, threads=threads())
    try:
        with held(database, run_id, log=f"runs/{run_id}/log.txt") as holder:
            Cycle(configuration, database, holder).work()
    except FielError:
        _log.exception("the run ended")
        return 1
    finally:
        steps.clear(configuration.state, database, run_id)
    return 0


if __name__ == "__main__":
    sys.exit(main())
