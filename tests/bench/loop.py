"""Does the closed loop make the assistant more faithful? ``make bench-loop QA=FILE SEED=S JSON=PATH``.

A fresh program in a temporary folder gets the paragraphs of a QA file as documents. In each of three rounds simulated
people ask and rate by the references (``loop_people``); others chat without rating; then a cycle runs through the real
scheduler, trainer, gate and swap. Before the first round and after each one, questions that are never rated are asked
through the whole pipeline and measured (``loop_scores``). What is measured is whatever serves then: without a promotion
there is no gain.

Control arms: ``--placebo`` deals the ratings out by chance; the parrot, which says the sentence that the search ranks
first, is always measured beside. ``--malicious .1`` has one rater in ten do harm; each false statement that they wanted
learnt is asked for at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assistant import verdicts
from assistant.engines.template import STARTER
from assistant.entailment import load_judge
from assistant.retrieval.embeddings import Embedder
from assistant.words import en
from tests.bench.chats import Program, program
from tests.bench.judge import Baseline
from tests.bench.loop_people import Parts, Question, Raters, divide, read
from tests.bench.loop_scores import Answered, Measure, gain, summed
from tests.bench.people import FREE, ask, put_in, train
from trainer.evaluate.cache import Cache
from trainer.evaluate.measures import normalise
from trainer.evaluate.scoring import Scorer

ROUNDS = 3
RATINGS, FEW = 300, 100
"""In each round; the second where the file has too few questions for the first."""
MEASURED = 400
SETTINGS = FREE | {
    # The starter is small and was never tuned: it takes, and needs, larger rates than models of its kind.
    "training__learning_rates": "[0.003, 0.01, 0.03]",
    "generation__max_tokens": "96",
}

_began = time.monotonic()


def _say(what: str) -> None:
    print(f"{time.monotonic() - _began:6.0f} s  {what}", flush=True)


class Loop:
    """One arm of the experiment, on one running program."""

    def __init__(self, fiel: Program, parts: Parts, raters: Raters, measure: Measure, *, ratings: int) -> None:
        self._fiel = fiel
        self._parts = parts
        self._raters = raters
        self._measure = measure
        self._ratings = ratings
        self._measured = [*parts.known, *parts.unseen]
        self._clusters = [question.cluster for question in self._measured]

    async def run(self) -> dict[str, Any]:
        await put_in(self._fiel, {name: text.encode() for name, text in self._parts.documents.items()})
        _say(f"{len(self._parts.documents)} documents are in; {len(self._measured)} questions are asked before")
        before, exchanges = await self._values()
        parrot = await self._measure.values([_parrot(q, e) for q, e in zip(self._measured, exchanges, strict=True)])
        rounds, last, shown = [], before, _contexts(exchanges)
        for number in range(1, ROUNDS + 1):
            told = await self._round(number)
            last, exchanges = await self._values()
            same = sum(a == b for a, b in zip(_contexts(exchanges), shown, strict=True)) / len(shown)
            rounds.append(told | self._told(last) | {"gains": self._gains(last, before), "same_passages": same})
            rounds[-1]["answered_by"] = exchanges[0]["adapter"]
        gains = self._gains(last, before)
        return {
            "faithfulness_gain": gains["grounding"]["mean"],
            "faithfulness_p": gains["grounding"]["p"],
            "f1_gain": gains["f1"]["mean"],
            "before": self._told(before),
            "rounds": rounds,
            "parrot": self._told(parrot),
            "by_part": self._by_part(last, before),
            "planted": await self._learnt(),
        }

    async def _round(self, number: int) -> dict[str, Any]:
        first, per_round = (number - 1) * self._ratings, len(self._parts.chats) // ROUNDS
        rated = self._parts.rated[first : first + self._ratings]
        chats = self._parts.chats[(number - 1) * per_round : number * per_round][: 2 * self._ratings]
        _say(f"round {number}: {len(rated)} questions are rated, {len(chats)} only asked")
        up = 0
        exchanges = await ask(self._fiel, [question.text for question in rated])
        for exchange, rating in zip(exchanges, self._raters.rate(rated, exchanges), strict=True):
            answer = await self._fiel.http.put(f"/api/exchanges/{exchange['id']}/rating", json=rating)
            answer.raise_for_status()
            up += rating["value"] > 0
        await ask(self._fiel, [question.text for question in chats])
        cycle = await train(self._fiel, told=lambda stage: _say(f"  {stage}"))
        told = verdicts.sentences(cycle["verdict"], en) if cycle["verdict"] else [cycle["problem"]]
        _say(f"  {up / max(len(rated), 1):.0%} thumbs-up. {' '.join(told)}")
        return {"rated": len(rated), "chats": len(chats), "thumbs_up": up, "verdict": cycle["verdict"], "told": told}

    async def _values(self) -> tuple[dict[str, list[float]], list[dict[str, Any]]]:
        exchanges = await ask(self._fiel, [question.text for question in self._measured])
        return await self._measure.values(
            [Answered(q, _passages(e), e["answer"]) for q, e in zip(self._measured, exchanges, strict=True)]
        ), exchanges

    def _told(self, values: dict[str, list[float]]) -> dict[str, Any]:
        return {"metrics": {name: summed(of, self._clusters) for name, of in values.items()}}

    def _gains(self, after: dict[str, list[float]], before: dict[str, list[float]]) -> dict[str, Any]:
        return {name: gain(after[name], before[name], self._clusters) for name in before if name in after}

    def _by_part(self, after: dict[str, list[float]], before: dict[str, list[float]]) -> dict[str, Any]:
        known = len(self._parts.known)
        return {
            name: {metric: gain(after[metric][of], before[metric][of], self._clusters[of]) for metric in before}
            for name, of in (("talked about", slice(known)), ("unseen", slice(known, None)))
        }

    async def _learnt(self) -> dict[str, int]:
        """How many of the false statements it now says where it did not see them."""
        planted = self._raters.planted
        exchanges = await ask(self._fiel, [one.question.text for one in planted])
        learnt = sum(
            f" {normalise(one.false)} " in f" {normalise(exchange['answer'])} "
            and not any(one.false in text for text in _passages(exchange))
            for one, exchange in zip(planted, exchanges, strict=True)
        )
        return {"statements": len(planted), "learnt": learnt}


def _passages(exchange: dict[str, Any]) -> tuple[str, ...]:
    return tuple(passage["text"] for passage in exchange["context"])


def _contexts(exchanges: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [_passages(exchange) for exchange in exchanges]


def _parrot(question: Question, exchange: dict[str, Any]) -> Answered:
    """Says the sentence that the search ranks first."""
    said = ""
    if exchange["context"]:
        first = exchange["context"][0]
        best = first["hits"][0] if first["hits"] else 0
        _, start, end = next((s for s in first["sentences"] if s[0] == best), first["sentences"][0])
        said = f"{first['text'][start:end].strip()} [1]"
    return Answered(question, _passages(exchange), said)


def _table(result: dict[str, Any]) -> str:
    columns = {"before": result["before"], **{f"round {n}": r for n, r in enumerate(result["rounds"], 1)}}
    columns["parrot"] = result["parrot"]
    lines = [f"{'':34}" + "".join(f"{name:>22}" for name in columns)]
    for metric in result["before"]["metrics"]:
        cells = [told["metrics"].get(metric) for told in columns.values()]
        shown = (f"{c['mean']:.3f} [{c['interval'][0]:.3f}, {c['interval'][1]:.3f}]" if c else "–" for c in cells)
        lines.append(f"{metric:34}" + "".join(f"{cell:>22}" for cell in shown))
    for metric, of in result["rounds"][-1]["gains"].items():
        low, high = of["interval"]
        lines.append(f"gain in {metric:26} {of['mean']:+.3f} [{low:+.3f}, {high:+.3f}]  p {of['p']:.4f}")
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    """The metrics by round, with their intervals."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    told = [result["before"], *result["rounds"]]
    for metric in result["before"]["metrics"]:
        of = [one["metrics"][metric] for one in told]
        spread = [[c["mean"] - c["interval"][0] for c in of], [c["interval"][1] - c["mean"] for c in of]]
        axes.errorbar(range(len(of)), [c["mean"] for c in of], yerr=spread, marker="o", capsize=3, label=metric)
    axes.set_xticks(range(len(told)), ["before", *(f"round {n}" for n in range(1, len(told)))])
    axes.set_ylim(0, 1)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _scorers(judge_url: str | None) -> dict[str, Scorer]:
    from trainer.evaluate.bundled import BundledScorer

    scorers: dict[str, Scorer] = {name: BundledScorer(load_judge(name), Embedder()) for name in ("a", "b")}
    if judge_url:
        from trainer.evaluate.endpoint import EndpointScorer

        url, _, model = judge_url.partition("#")
        scorers["llm"] = EndpointScorer(url, model, Embedder(), key=os.environ.get("OPENAI_API_KEY", "none"))
    return scorers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qa", type=Path, required=True, help="JSON Lines of id, title, context, question, answers")
    parser.add_argument("--data", type=Path, required=True, help="folder with spans/ragtruth_qa.jsonl, for the measure")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ratings", type=int, help=f"in each round; default {RATINGS}, {FEW} where the file is small")
    parser.add_argument("--measured", type=int, default=MEASURED)
    parser.add_argument("--careless", type=float, default=0.05)
    parser.add_argument("--malicious", type=float, default=0.0)
    parser.add_argument("--placebo", action="store_true")
    parser.add_argument("--judge", help="URL#MODEL of a language model that scores, too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    questions = read(given.qa)
    enough = len(questions) >= given.measured + 2 * ROUNDS * RATINGS
    ratings = given.ratings or (RATINGS if enough else FEW)
    parts = divide(questions, rated=ROUNDS * ratings, measured=given.measured, seed=given.seed)
    raters = Raters(seed=given.seed, careless=given.careless, malicious=given.malicious, placebo=given.placebo)
    starter = hashlib.sha256((STARTER / "model.safetensors").read_bytes()).hexdigest()[:12]
    print(f"{given.qa.name}, seed {given.seed}, starter {starter}, {ratings} ratings a round", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder) / "scores.db")
        measure = Measure(Baseline(given.data, Embedder()), _scorers(given.judge), cache)
        with program(Path(folder), **SETTINGS) as fiel:
            result = asyncio.run(Loop(fiel, parts, raters, measure, ratings=ratings).run())
        cache.close()
    told = {"file": given.qa.name, "seed": given.seed, "starter": starter, "placebo": given.placebo} | result
    print(f"\n{_table(told)}\nplanted: {told['planted']}; {(time.monotonic() - _began) / 60:.1f} minutes")
    if given.json:
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if given.plot:
        plot(told, given.plot)


if __name__ == "__main__":
    main()
