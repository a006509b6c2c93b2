"""The steps of a run: collect, train and register, of which one that an earlier process did is skipped; and report."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assistant import prompts
from assistant.engines.base import model_name
from assistant.entailment import load_judge
from assistant.errors import FielError, RunCancelledError
from assistant.records import Adapter, Run
from assistant.registry import Registry
from assistant.settings import Remote, Training
from assistant.state import CARD, clear_run
from assistant.store import adapters, documents, exchanges, runs
from assistant.store.database import Database
from trainer import dataset, lora, remote
from trainer.card import Card
from trainer.gate.verdict import Outcome
from trainer.prepare import Prepared, prepare
from trainer.tokens import lines
from trainer.work import Rates
from trainer.worker import Holder, reason

_log = logging.getLogger(__name__)

_PARTS = ("train", "validation", "preferences", "undesirable", "retrieval")
_GROWTH = 1.1  # by which the cost may have grown since it was agreed: people rate meanwhile


def work_folder(state: Path, run_id: int) -> Path:
    return state / "training" / str(run_id)


def collect(state: Path, database: Database, holder: Holder) -> Card:
    """Makes the dataset of a run, unless an earlier process did."""
    run, folder = holder.run, work_folder(state, holder.run.id)
    holder.stage("collect")
    if stale(database, folder):
        shutil.rmtree(folder)
    if not (folder / "dataset" / CARD).exists():
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("incoming-*"):  # by a process that was killed
            shutil.rmtree(left)
        dataset.build(
            database,
            folder / "dataset",
            judge=load_judge("a"),
            settings=Training(**run.parameters["training"]),
            seed=run.seed,
            progress=lambda done, total: holder.report({"phase": "collecting", "step": done, "steps": total}),
        )
    return Card.read(folder / "dataset")


def stale(database: Database, folder: Path) -> bool:
    """Whether what an earlier process collected holds an exchange that may not be learnt from any more: it was deleted,
    or its owner allows it no longer."""
    ids = _exchanges(path for name in _PARTS if (path := folder / "dataset" / f"{name}.jsonl").exists())
    with database.read() as session:
        return not ids <= exchanges.learnable_of(session, ids)


def estimate(state: Path, run: Run) -> list[str]:
    """What training on the dataset of a run would take, for people."""
    folder = work_folder(state, run.id)
    if not Card.read(folder / "dataset").examples["train"]:
        return Card.read(folder / "dataset").lines()
    return prepared(state, run)[0].lines()


def prepared(state: Path, run: Run) -> tuple[Prepared, Rates]:
    """The dataset of a run as its model reads it, and what is known of that model's learning rates."""
    folder, model = work_folder(state, run.id), run.parameters["model"]
    memory = Rates(state / "training" / "rates.json", model_name(model))
    settings = Training(**run.parameters["training"])
    return prepare(folder / "dataset", model, settings=settings, folder=folder, earlier=memory.examples), memory


def train(state: Path, holder: Holder) -> str:
    """Trains on the dataset of a run, unless an earlier process did; returns the base model's name."""
    folder, settings = work_folder(state, holder.run.id), Training(**holder.run.parameters["training"])
    holder.stage("train", dataset_hash=Card.read(folder / "dataset").hash)
    there = settings.trainer == "openai"
    return _there(folder, settings, holder) if there else _here(state, folder, settings, holder)


def _here(state: Path, folder: Path, settings: Training, holder: Holder) -> str:
    """Trains on this machine."""
    ready, memory = prepared(state, holder.run)
    if not (folder / "adapter").exists():
        manifest = lora.train(
            ready,
            folder / "adapter",
            settings=settings,
            seed=holder.run.seed,
            judge=load_judge("a"),
            rate=memory.rate,
            report=holder.report,
        )
        if ready.sweep:
            memory.note(len(ready.train.examples), manifest["rate"])
    return model_name(holder.run.parameters["model"])


def _there(folder: Path, settings: Training, holder: Holder) -> str:
    """Has a model tuned at a service."""
    key = {"key": os.environ.get("FIEL_REMOTE__KEY", "")}
    service = Remote(**holder.run.parameters["remote"] | key)
    offer = remote.prepare(folder / "dataset", remote=service, settings=settings, folder=folder / "upload")
    if not (folder / "adapter").exists():
        agreed = holder.run.parameters["agreed"] * _GROWTH
        remote.train(offer, folder / "adapter", seed=holder.run.seed, agreed=agreed, report=holder.report)
    return service.model


def registered(database: Database, run: Run, base: str) -> Adapter | None:
    """What an earlier process of the run put into the registry."""
    with database.read() as session:
        return next((adapter for adapter in adapters.for_base(session, base) if adapter.run_id == run.id), None)


def register(state: Path, database: Database, run: Run, base: str) -> Adapter:
    """Puts the adapter of a run into the registry, with what it learnt from, unless an earlier process did."""
    folder = work_folder(state, run.id)
    added = registered(database, run, base)
    if added is None:
        added = Registry(database, state / "adapters").add(
            folder / "adapter",
            base=base,
            prompt_version=prompts.VERSION,
            origin=f"run {run.id}",
            run=run,
            dataset_hash=Card.read(folder / "dataset").hash,
            exchange_ids=learnt(folder / "dataset", undesirable=run.parameters["training"]["preference"] != "off"),
        )
    shutil.rmtree(folder / "adapter", ignore_errors=True)  # the registry has it
    return added


def report(
    state: Path, database: Database, run: Run, stages: Mapping[str, Mapping[str, Any]], decided: Mapping[str, Any]
) -> None:
    """Writes the report of a run; ``stages`` are the results of those that it had."""
    from trainer import report as page  # noqa: PLC0415  (with matplotlib, seconds to import)

    groups = {row["group"] for row in stages.get("examine", {}).get("rows", ())}
    with database.read() as session:
        names = documents.names(session, {group.rpartition(":")[0] for group in groups})
    page.write(state, run, stages, decided, documents=names)


def report_end(
    state: Path, database: Database, run: Run, stages: Mapping[str, Mapping[str, Any]], error: BaseException
) -> None:
    """What was done until an error ended the run, and why, if that can be written: the disk may be full."""
    outcome = Outcome.CANCELLED if isinstance(error, RunCancelledError) else Outcome.FAILED
    try:
        report(state, database, run, stages, {"outcome": outcome, "decided_by": reason(error)})
    except (OSError, FielError):
        _log.exception("the report could not be written")


def learnt(folder: Path, *, undesirable: bool) -> frozenset[str]:
    """The ids of the exchanges that were learnt from, with those whose answers were discouraged if that was done."""
    return _exchanges(folder / f"{name}.jsonl" for name in (("train", "undesirable") if undesirable else ("train",)))


def _exchanges(files: Iterable[Path]) -> frozenset[str]:
    """The ids of the exchanges in parts of a dataset."""
    return frozenset(row["exchange"] for file in files for row in lines(file))


def clear(state: Path, database: Database, run_id: int) -> None:
    """Removes what people wrote, if the run has ended. The card stays; the registry knows which exchanges it were."""
    with database.read() as session:
        if runs.get(session, run_id).status in runs.UNFINISHED:
            return  # it is gone on with, or is another process's
    clear_run(work_folder(state, run_id))
