"""How many sentences a window should have: studied on the validation side, applied unproven, confirmed by the gate.

Windows are made when a question is asked, from hits that the log keeps. So what other sizes would have shown can be
made from old exchanges, and answered and scored, without a search.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from assistant import language, ledger, prompts
from assistant.engines.base import Engine, Sampling, model_name
from assistant.entailment import load_judge
from assistant.errors import InputError
from assistant.records import Exchange, Passage, RunStatus
from assistant.registry import Registry
from assistant.retrieval import windows
from assistant.retrieval.windows import Applied
from assistant.settings import Settings
from assistant.store import adapters, documents, exchanges, gate, runs
from assistant.store.database import Database
from trainer import proof
from trainer.evaluate import items as evaluated
from trainer.evaluate import runner, summary
from trainer.evaluate.cache import Cache
from trainer.evaluate.scoring import Scorer
from trainer.examine import Examiner, engine_with
from trainer.gate import verdict
from trainer.gate.comparison import Row, compare_models
from trainer.gate.items import Item
from trainer.gate.scores import Said
from trainer.gate.verdict import GROUPS, ITEMS, Evidence, Outcome
from trainer.judging import supported_from
from trainer.worker import held

SIZES = (1, 3, 5, 7, 9)
MOST = 200
"""Questions of a study, at most."""
KIND = "window"
"""Of the runs that prove a size."""
_AT_ONCE = 32
_CANARIES = 20
_OLD, _NEW = "the window of the settings", "the new window"


def passages_with(session: Session, exchange: Exchange, *, size: int, count: int) -> tuple[Passage, ...] | None:
    """What windows of this size would have shown; None where a document is gone or was read again since."""
    scopes = sorted({passage.scope for passage in exchange.passages})
    ready = documents.ready(session, [hit.document_id for hit in exchange.hits], scopes=scopes)
    shown = {passage.document_id for passage in exchange.passages}
    old = {number: found for number, found in ready.items() if found.updated_at <= exchange.created_at}
    if not shown or not shown <= old.keys():
        return None
    hits = [hit for hit in exchange.hits if hit.document_id in old]
    return windows.shown(session, hits, old, size=size, count=count)


async def study(
    database: Database, configuration: Settings, scorer: Scorer, cache: Cache, *, sizes: Sequence[int] = SIZES
) -> dict[int, dict[str, Any]]:
    """The figures of the champion's answers, by window size. Raises InputError where nothing can be studied."""
    with database.read() as session:
        champion = adapters.champion(session, model_name(configuration.model))
        asked = [
            (exchange, by_size)
            for exchange in gate.validating(session, limit=MOST)
            if (by_size := _by_size(session, exchange, sizes, configuration.retrieval.passages)) is not None
        ]
    if not asked:
        raise InputError("There is no question of the validation side whose documents are as they were.")
    registry = Registry(database, configuration.state / "adapters")
    engine = await engine_with(configuration.model, registry, [champion])
    found = {}
    try:
        for size in sizes:
            questions = [(exchange, by_size[size]) for exchange, by_size in asked]
            texts = await _answers(engine, questions, champion, configuration.generation.max_tokens)
            records = await runner.run([_judged(*each) for each in questions], texts, scorer, cache)
            found[size] = summary.summarise(records, scorer.metrics)
    finally:
        await engine.close()
    return found


def table(found: Mapping[int, Mapping[str, Any]], metrics: Sequence[str]) -> str:
    rows = [("window", *metrics)]
    rows += [(str(size), *(_cell(figures["metrics"].get(name)) for name in metrics)) for size, figures in found.items()]
    return "\n".join("  ".join(f"{cell:<28}" for cell in row).rstrip() for row in rows)


def best(found: Mapping[int, Mapping[str, Any]]) -> int:
    """The size with the highest mean faithfulness; of equal ones the smallest, which is read fastest."""
    means = {size: figures["metrics"]["faithfulness"]["mean"] or 0.0 for size, figures in found.items()}
    return min(means, key=lambda size: (-round(means[size], 3), size))


def plot(found: Mapping[int, Mapping[str, Any]], metrics: Sequence[str], path: Path) -> None:
    """Means and intervals by window size, as a PNG."""
    import matplotlib as mpl  # noqa: PLC0415  (slow to import)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name in metrics:
        scored = {size: of["metrics"][name] for size, of in found.items() if of["metrics"].get(name, {}).get("mean")}
        means = np.array([each["mean"] for each in scored.values()])
        bounds = np.array([each["interval"] for each in scored.values()]).reshape(-1, 2)
        axes.errorbar(list(scored), means, yerr=np.abs(bounds.T - means), fmt="o-", capsize=3, label=name)
    axes.set(xlabel="sentences in a window", ylabel="mean, 95 % interval", xticks=list(found), ylim=(0, 1))
    axes.legend()
    figure.savefig(path)
    plt.close(figure)


def prove(database: Database, configuration: Settings, scorer: Scorer, size: int) -> dict[str, Any]:
    """Has the gate compare a size with that of the settings, for a ticket; applies it as proven, or takes it back.

    Returns the verdict. Raises TooOftenError when there is no ticket, and InputError when the gate has too few items.
    """
    with database.write() as session:
        asked = {"model": configuration.model, "window": size, "of": configuration.retrieval.window}
        run = runs.add(session, kind=KIND, seed=0, parameters=asked)
    with held(database, run.id) as holder:
        with database.read() as session:
            old, new = _both(session, configuration, size)
        if len(old) < ITEMS or len({item.group for item in old}) < GROUPS:
            raise InputError(f"The gate has {len(old)} questions that can be asked anew; {ITEMS} are needed.")
        with database.write() as session:
            gate.take_ticket(session, run.id, dataset_hash=f"window:{size}")
        rows = asyncio.run(_examined(database, configuration, scorer, run.id, old=old, new=new))
        evidence = _evidence(database, configuration, rows, len(old), scorer.judge_name)
        found = verdict.decide(evidence, rng=np.random.default_rng(run.seed))
        with database.write() as session:
            decided = found.as_json() | {"champion": _OLD, "tickets_left": _left(session)}
            if found.outcome is Outcome.PROMOTED:
                windows.apply(session, Applied(size, proven=True), person_id=None)
            elif found.outcome is not Outcome.NOT_ENOUGH and windows.applied(session) is not None:
                windows.apply(session, None, person_id=None)
            runs.finish(session, run.id, token=holder.run.token, status=RunStatus.DONE, verdict=decided)
    return decided


def _left(session: Session) -> int:
    return ledger.left(gate.tickets(session), datetime.now(UTC))


def _by_size(
    session: Session, exchange: Exchange, sizes: Sequence[int], count: int
) -> dict[int, tuple[Passage, ...]] | None:
    found = {size: passages_with(session, exchange, size=size, count=count) for size in sizes}
    return None if None in found.values() else {size: shown or () for size, shown in found.items()}


def _both(session: Session, configuration: Settings, size: int) -> tuple[list[Item], list[Item]]:
    """The items of the gate with the passages of either size."""
    selected = {item.id: item for item in proof.items(session)}
    count, usual = configuration.retrieval.passages, configuration.retrieval.window
    old, new = [], []
    for exchange in exchanges.by_id(session, list(selected)):
        shown = _by_size(session, exchange, (usual, size), count)
        if shown is not None:
            old.append(replace(selected[exchange.id], passages=shown[usual]))
            new.append(replace(selected[exchange.id], passages=shown[size]))
    return old, new


async def _examined(
    database: Database, configuration: Settings, scorer: Scorer, run_id: int, *, old: list[Item], new: list[Item]
) -> list[Row]:
    with database.read() as session:
        champion = adapters.champion(session, model_name(configuration.model))
    engine = await engine_with(configuration.model, Registry(database, configuration.state / "adapters"), [champion])
    try:
        tokens = min(configuration.generation.max_tokens, engine.context_tokens // 2)
        examiner = Examiner(
            database, engine, scorer, load_judge("a"), max_tokens=tokens, run_id=run_id, told=lambda *_: None
        )
        before = await examiner.rows(old, {_OLD: champion}, known=[_OLD])
        after = {row.item: row for row in await examiner.rows(new, {_NEW: champion}, known=[_NEW])}
    finally:
        await engine.close()
    return [
        replace(row, answers=dict(row.answers) | dict(after[row.item].answers)) for row in before if row.item in after
    ]


def _evidence(database: Database, settings: Settings, rows: list[Row], selected: int, judge: str) -> Evidence:
    with database.read() as session:
        checked, judged = proof.trust(session, judge)
    compared = compare_models(rows, candidate=_NEW, other=_OLD, threshold=supported_from(settings))
    said = tuple(row.answers[_NEW].said is not Said.BROKEN for row in rows[:_CANARIES])
    return Evidence(
        champion=compared, base=compared, proven=None, selected=selected, checked=checked, judged=judged, canaries=said
    )


async def _answers(
    engine: Engine, questions: Sequence[tuple[Exchange, tuple[Passage, ...]]], adapter: str | None, most: int
) -> list[str]:
    sampling = Sampling(max_tokens=min(most, engine.context_tokens // 2))
    texts: list[str] = []
    for first in range(0, len(questions), _AT_ONCE):
        asked = [
            prompts.render(question=exchange.question, passages=shown, history=exchange.history)
            for exchange, shown in questions[first : first + _AT_ONCE]
        ]
        texts += await engine.generate_many(asked, sampling=sampling, adapter=adapter)
    return [text.strip() for text in texts]


def _judged(exchange: Exchange, shown: tuple[Passage, ...]) -> evaluated.Item:
    return evaluated.Item(
        id=exchange.id,
        document=exchange.group or "",
        question=exchange.question,
        passages=tuple(passage.text for passage in shown),
        answer=None,
        references=(),
        answerable=None,
        lang=language.detect(exchange.question),
    )


def _cell(figure: Mapping[str, Any] | None) -> str:
    if not figure or figure["mean"] is None:
        return "no score"
    low, high = figure["interval"]
    return f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}] n {figure['n']}"
