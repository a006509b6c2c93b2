"""Evaluates answers, or the judge itself.

python -m trainer.evaluate run ITEMS.jsonl --adapter VERSION|base --judge local|URL#MODEL --out FOLDER
python -m trainer.evaluate windows [--out FOLDER] [--apply N | --prove N]
python -m trainer.evaluate judge LABELLED.jsonl … [--which a|b] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from assistant import settings, verdicts
from assistant.engines.base import Engine
from assistant.entailment import load_judge
from assistant.errors import FielError
from assistant.retrieval.embeddings import Embedder
from assistant.words import en
from trainer.evaluate import items, labelled, summary
from trainer.evaluate.answers import Answers, generate
from trainer.evaluate.cache import Cache
from trainer.evaluate.items import Item
from trainer.evaluate.runner import Record, run
from trainer.evaluate.scoring import Scorer


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except FielError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.evaluate", description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="answer the items and score the answers")
    one.add_argument("items", type=Path)
    one.add_argument("--adapter", help="a version, or base; without it the items carry their answers")
    one.add_argument("--judge", default="local", help="local, or URL#MODEL of a server that speaks OpenAI's API")
    one.add_argument("--which", choices=("a", "b"), default="b", help="which bundled judge")
    one.add_argument(
        "--repeats", type=_positive(int), default=3, help="rounds of a language model as the judge, at least 3"
    )
    one.add_argument("--concurrency", type=_positive(int), default=8, help="answers that such a judge scores at once")
    one.add_argument("--timeout", type=_positive(float), default=120, help="seconds that it may take for one call")
    one.add_argument("--out", type=Path, help="folder for items.jsonl, summary.json and plot.png")
    one.add_argument("--cache", type=Path, help="what was computed already; default: in the state folder")
    one.set_defaults(run=_run)
    three = commands.add_parser("windows", help="study how many sentences a window should have, on the log")
    sizes = range(1, 26)  # as the setting
    three.add_argument("--sizes", type=int, nargs="+", choices=sizes, metavar="N", default=[1, 3, 5, 7, 9])
    three.add_argument("--out", type=Path, help="folder for summary.json and plot.png")
    then = three.add_mutually_exclusive_group()
    then.add_argument(
        "--apply", type=int, choices=sizes, metavar="N", help="no study: ask with windows of N from now on, unproven"
    )
    then.add_argument(
        "--prove", type=int, choices=sizes, metavar="N", help="no study: have the gate confirm N, for a ticket"
    )
    three.set_defaults(run=_windows)
    two = commands.add_parser("judge", help="measure a bundled judge on labelled texts")
    two.add_argument("labelled", type=Path, nargs="+")
    two.add_argument("--which", choices=("a", "b"), default="b")
    two.add_argument("--json", type=Path)
    two.set_defaults(run=_judge)
    return parser


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return parse


def _run(given: argparse.Namespace) -> int:
    found = items.read(given.items)
    if given.adapter is None and any(item.answer is None for item in found):
        raise FielError("Some items carry no answer: say with --adapter who shall answer them.")
    configuration = settings.load()
    cache = Cache(given.cache or configuration.state / "evaluations.db")
    try:
        answers = _answers(found, given.adapter, configuration, cache)
        scorer = _scorer(given)
        records = asyncio.run(_scored(found, answers, scorer, cache))
    finally:
        cache.close()
    for record in records:
        record["adapter"] = given.adapter
        if record["id"] in answers.problems:
            record["errors"]["answer"] = answers.problems[record["id"]]
    figures = summary.summarise(records, scorer.metrics) | {"judge": scorer.name, "adapter": given.adapter}
    figures["agreement"] = agreement = _agreement(configuration, scorer.judge_name)
    print(f"{summary.table(figures)}\njudge: {scorer.name}\n{_checked(agreement)}")
    if given.out:
        _write(given.out, records, figures)
    return 0


def _windows(given: argparse.Namespace) -> int:
    from assistant.engines import choose  # noqa: PLC0415
    from assistant.retrieval import windows as applied  # noqa: PLC0415
    from assistant.store.database import open_database, sqlite_url  # noqa: PLC0415
    from trainer import judging, windows  # noqa: PLC0415
    from trainer.evaluate.bundled import BundledScorer  # noqa: PLC0415  (Ragas takes seconds to import)

    configuration = choose.with_model(settings.load())
    database = open_database(sqlite_url(configuration.state / "fiel.db"))
    cache = Cache(configuration.state / "evaluations.db")
    try:
        if given.apply:
            with database.write() as session:
                applied.apply(session, applied.Applied(given.apply, proven=False), person_id=None)
            print(f"Windows have {given.apply} sentences from now on. That is unproven: --prove asks the gate.")
            return 0
        if given.prove:
            gating = judging.gate_scorer(configuration)
            print("\n".join(verdicts.sentences(windows.prove(database, configuration, gating, given.prove), en)))
            return 0
        # Judge A: what is chosen by it, judge B may confirm.
        scorer = BundledScorer(load_judge("a"), Embedder())
        found = asyncio.run(windows.study(database, configuration, scorer, cache, sizes=given.sizes))
    finally:
        cache.close()
        database.close()
    shown = ("faithfulness", "answer_relevancy_by_embedding")
    print(f"{windows.table(found, shown)}\njudge: {scorer.name}\nThe best one is {windows.best(found)}.")
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "summary.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        windows.plot(found, shown, given.out / "plot.png")
    return 0


def _answers(found: Sequence[Item], adapter: str | None, configuration: settings.Settings, cache: Cache) -> Answers:
    if adapter is None:
        return Answers([item.answer or "" for item in found], {})
    from assistant.engines import choose  # noqa: PLC0415  (reads weights; only where somebody has to answer)

    configuration = choose.with_model(configuration)
    engine = choose.build(configuration)

    async def answer() -> Answers:
        try:
            await engine.ready()
            version = await _load(engine, adapter, configuration)
            tokens = min(configuration.generation.max_tokens, engine.context_tokens // 2)  # as in a chat
            return await generate(found, engine, version, cache, max_tokens=tokens, told=_progress("answers"))
        finally:
            await engine.close()

    return asyncio.run(answer())


async def _load(engine: Engine, adapter: str, configuration: settings.Settings) -> str | None:
    if adapter == "base":
        return None
    from assistant.registry import Registry  # noqa: PLC0415
    from assistant.store.database import open_database, sqlite_url  # noqa: PLC0415

    database = open_database(sqlite_url(configuration.state / "fiel.db"))
    try:
        registry = Registry(database, configuration.state / "adapters")
        registry.verify(adapter)
        await engine.load_adapter(adapter, registry.path(adapter))
    finally:
        database.close()
    return adapter


def _agreement(configuration: settings.Settings, judge: str) -> dict[str, Any] | None:
    """How far people agreed with this judge here, as far as they labelled its verdicts blind."""
    from assistant.store import samples  # noqa: PLC0415
    from assistant.store.database import open_database, sqlite_url  # noqa: PLC0415

    if not (configuration.state / "fiel.db").exists():
        return None
    database = open_database(sqlite_url(configuration.state / "fiel.db"))
    try:
        with database.read() as session:
            found = next((one for one in samples.agreements(session) if one.judge == judge), None)
    finally:
        database.close()
    return None if found is None else found.as_json()


def _checked(agreement: dict[str, Any] | None) -> str:
    if agreement is None:
        return "Nobody has checked this judge's verdicts here yet: admins do so at /review/sentences."
    shares = {name: agreement[name] for name in ("sensitivity", "specificity")}
    said = [
        f"{name} {of['hits']}/{of['n']} [{of['interval'][0]:.2f}, {of['interval'][1]:.2f}]"
        for name, of in shares.items()
    ]
    return f"Checked by people here: {', '.join(said)}"


def _scorer(given: argparse.Namespace) -> Scorer:
    if given.judge == "local":
        from trainer.evaluate.bundled import BundledScorer  # noqa: PLC0415  (Ragas takes seconds to import)

        return BundledScorer(load_judge(given.which), Embedder())
    url, _, model = given.judge.partition("#")
    if not url.startswith(("http://", "https://")) or not model:
        raise FielError(f"--judge is 'local' or the address and the model of a server, URL#MODEL; not {given.judge}.")
    from trainer.evaluate.endpoint import EndpointScorer  # noqa: PLC0415

    key = os.environ.get("OPENAI_API_KEY", "none")
    options = {"repeats": given.repeats, "concurrency": given.concurrency, "timeout": given.timeout}
    return EndpointScorer(url, model, Embedder(), key=key, **options)


async def _scored(found: Sequence[Item], answers: Answers, scorer: Scorer, cache: Cache) -> list[Record]:
    try:
        return await run(found, answers.texts, scorer, cache, told=_progress("scores"))
    finally:
        await scorer.close()


def _judge(given: argparse.Namespace) -> int:
    judge = load_judge(given.which)
    figures = labelled.measure(labelled.read(given.labelled), judge)
    for name, of in [("all", figures), *figures["by_source"].items(), *figures["by_language"].items()]:
        shown = [f"{key} {of[key]:.3f} [{low:.3f}, {high:.3f}]" for key, (low, high) in of["interval"].items()]
        print(f"{name:24} {'  '.join(shown)}  n {of['n']}")
    print(f"judge: {judge.name}, thresholds {judge.threshold:.3f} (sentence), {judge.answer_threshold:.3f} (answer)")
    if given.json:
        given.json.write_text(_json(figures), encoding="utf-8")
    return 0


def _write(folder: Path, records: Sequence[Record], figures: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (folder / "items.jsonl").write_text(lines, encoding="utf-8", errors="backslashreplace")
    (folder / "summary.json").write_text(_json(figures), encoding="utf-8")
    if figures["metrics"]:
        summary.plot(records, figures, folder / "plot.png")


def _json(figures: dict[str, Any]) -> str:
    return json.dumps(_strict(figures), indent=1, allow_nan=False) + "\n"


def _strict(value: Any) -> Any:
    """JSON has no NaN, which a figure is where it cannot be computed."""
    if isinstance(value, dict):
        return {key: _strict(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _progress(what: str) -> Callable[[int, int], None]:
    def told(done: int, of: int) -> None:
        end = "\n" if done == of else "\r"
        print(f"{what}: {done} of {of}", end=end, file=sys.stderr, flush=True)

    return told


if __name__ == "__main__":
    sys.exit(main())
