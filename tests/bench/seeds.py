"""What the gate sees of candidates that are equally good: the same data, learnt with other seeds.

``python -m tests.bench.seeds --state FOLDER --out DIFFERENCES.jsonl [--seeds N]`` takes the log of a state folder, such
as ``make demo-loop ARGS="--state FOLDER"`` leaves behind. It makes the dataset once, trains on it with each seed, has
every adapter answer the items of the gate, and writes how they differ, pair by pair, item by item. ``python -m
trainer.gate aa --differences DIFFERENCES.jsonl`` then measures the gate with that.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
from pathlib import Path
from typing import Any

from assistant import prompts
from assistant.engines.base import model_name
from assistant.entailment import load_judge
from assistant.registry import Registry
from assistant.retrieval.embeddings import Embedder
from assistant.settings import Settings, load
from assistant.store.database import Database, open_database, sqlite_url
from tests.bench.demo import SETTINGS
from trainer import dataset, lora, proof
from trainer.examine import Examiner, engine_with
from trainer.gate.comparison import Row, differences


def _train(database: Database, folder: Path, settings: Settings, seeds: int) -> list[str]:
    """The versions, one for each seed; the rate that the first one found best is taken for all."""
    judge, registry = load_judge("a"), Registry(database, settings.state / "adapters")
    dataset.build(database, folder / "dataset", judge=judge, settings=settings.training, seed=0)
    rate, known, versions = None, None, []
    for seed in range(seeds):
        prepared = lora.prepare(
            folder / "dataset", settings.model, settings=settings.training, folder=folder, earlier=known
        )
        manifest = lora.train(
            prepared, folder / f"seed{seed}", settings=settings.training, seed=seed, judge=judge, rate=rate
        )
        rate, known = manifest["rate"], len(prepared.train.examples)
        added = registry.add(
            folder / f"seed{seed}",
            base=model_name(settings.model),
            prompt_version=prompts.VERSION,
            origin=f"seed {seed}",
        )
        versions.append(added.version)
        print(f"seed {seed}: {added.version}, rate {rate}", flush=True)
    return versions


async def _rows(database: Database, settings: Settings, versions: list[str]) -> list[Row]:
    from trainer.evaluate.bundled import BundledScorer  # with Ragas, seconds to import

    with database.read() as session:
        items = proof.items(session)
    engine = await engine_with(settings.model, Registry(database, settings.state / "adapters"), versions)
    try:
        examiner = Examiner(
            database,
            engine,
            BundledScorer(load_judge("b"), Embedder()),
            load_judge("a"),
            max_tokens=settings.generation.max_tokens,
            run_id=0,
            told=lambda *_: None,
        )
        return await examiner.rows(items, {version: version for version in versions}, known=versions[:1])
    finally:
        await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    os.environ.update({f"FIEL_{name.upper()}": value for name, value in SETTINGS.items()})
    settings = load(state=given.state)
    folder = given.out.absolute().with_suffix(".work")
    folder.mkdir(parents=True)
    database = open_database(sqlite_url(given.state / "fiel.db"))
    try:
        versions = _train(database, folder, settings, given.seeds)
        rows = asyncio.run(_rows(database, settings, versions))
    finally:
        database.close()
    threshold = load_judge("b").answer_threshold
    lines: list[dict[str, Any]] = [
        {"group": f"{row.group}"} | differences(row, candidate=one, other=other, threshold=threshold)
        for one, other in itertools.combinations(versions, 2)
        for row in rows
    ]
    given.out.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} differences of {len(versions)} adapters on {len(rows)} items")


if __name__ == "__main__":
    main()
