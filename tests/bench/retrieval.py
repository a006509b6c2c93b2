"""How often the right paragraph is found: keywords, vectors and both together, beside plain BM25.

``python -m tests.bench.retrieval --data FOLDER [--json PATH]``. Each paragraph of a data set is ingested as a document
of its own by the real library, and every question with an answer is searched among all of them. A paragraph's rank is
that of its first sentence hit. Intervals are 95 % percentile bootstraps over questions. The vector weight was chosen on
squad_train and faquad_train: faquad_train is therefore no held-out set for *hybrid*.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assistant.documents.ingest import Library
from assistant.records import SHARED
from assistant.retrieval import keywords
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.search import HITS, Search
from assistant.retrieval.vectors import Vectors
from assistant.settings import Limits, Retrieval
from assistant.store import accounts
from assistant.store.database import open_database, sqlite_url

SETS = {
    "squad_dev": ("squad_dev", None),
    "faquad_train": ("faquad_train", None),
    "pira_validation": ("pira_validation", None),
    "pira_validation_pt": ("pira_validation", "pt"),
    "pira_validation_en": ("pira_validation", "en"),
}
"""File and language (None: all) of each row of the table."""
RESAMPLES = 2_000

Ranker = Callable[[str], Iterable[str]]
"""From a question to the paragraphs in rank order."""


class Bm25:
    """Plain BM25 over words (k1 .9, b .4, as in Anserini), with Lucene's idf."""

    def __init__(self, paragraphs: Sequence[str], *, k1: float = 0.9, b: float = 0.4) -> None:
        self._paragraphs = paragraphs
        counts = [Counter(_words(paragraph)) for paragraph in paragraphs]
        mean = sum(count.total() for count in counts) / len(counts)
        self._weights: dict[str, dict[int, float]] = defaultdict(dict)
        for i, count in enumerate(counts):
            for word, n in count.items():
                self._weights[word][i] = n / (n + k1 * (1 - b + b * count.total() / mean))
        for postings in self._weights.values():
            idf = math.log(1 + (len(paragraphs) - len(postings) + 0.5) / (len(postings) + 0.5))
            postings.update({i: idf * weight for i, weight in postings.items()})

    def __call__(self, question: str) -> list[str]:
        scores: defaultdict[int, float] = defaultdict(float)
        for word in _words(question):
            for i, weight in self._weights.get(word, {}).items():
                scores[i] += weight
        return [self._paragraphs[i] for i in sorted(scores, key=lambda i: -scores[i])[:HITS]]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    embedder = Embedder()
    figures = {}
    for name, (file, language) in SETS.items():
        lines = (arguments.data / "qa" / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
        records = [record for line in lines if language in (None, (record := json.loads(line))["lang"])]
        figures[name] = measure(name, records, embedder)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(name: str, records: Sequence[dict[str, Any]], embedder: Embedder) -> dict[str, dict[str, Any]]:
    paragraphs = list(dict.fromkeys(record["context"] for record in records))
    asked = [(record["question"], record["context"]) for record in records if record["answers"]]
    print(f"\n{name}: {len(asked):,} questions, {len(paragraphs):,} paragraphs")
    print("          R@1                 R@5                 MRR@10              R@5 less that of bm25")
    with rankers(paragraphs, embedder) as all_rankers:
        ranks = {
            kind: np.array([_rank(ranker(question), gold) for question, gold in asked])
            for kind, ranker in all_rankers.items()
        }
    plain = _figures(ranks["bm25"])["recall_at_5"]
    return {kind: _report(kind, _figures(found), plain) for kind, found in ranks.items()}


@contextmanager
def rankers(paragraphs: Sequence[str], embedder: Embedder) -> Iterator[dict[str, Ranker]]:
    """The four ways to search the paragraphs, over a state folder of their own."""
    with tempfile.TemporaryDirectory() as temporary:
        state, files = Path(temporary, "state"), Path(temporary, "files")
        state.mkdir()
        files.mkdir()
        for i, paragraph in enumerate(paragraphs):
            (files / f"{i}.txt").write_text(paragraph, encoding="utf-8")
        database = open_database(sqlite_url(state / "fiel.db"))
        vectors = Vectors(state / "vectors", None)
        library = Library(database=database, vectors=vectors, embedder=embedder, folder=state, limits=Limits())
        library.start()
        try:
            with database.write() as session:
                admin = accounts.local_admin(session)
            summary = library.sync(files, scope=SHARED, person=admin)
            assert not summary.failed, summary.failed
            text = {d.id: paragraphs[int(d.name.removesuffix(".txt"))] for d in library.documents(admin)}
            search = Search(database=database, vectors=vectors, embedder=embedder, settings=Retrieval())

            def by_keywords(question: str) -> Iterator[str]:
                with database.read() as session:
                    found = keywords.query(session, question, scopes=[SHARED], count=HITS)
                return (text[paragraph.document_id] for paragraph in found)

            def by_vectors(question: str) -> Iterator[str]:
                found = vectors.query(embedder.embed([question])[0], scopes=[SHARED], count=2 * HITS)
                return (text[near.document_id] for near in found)

            def by_both(question: str) -> Iterator[str]:
                return (text[hit.document_id] for hit in search.search(question, scopes=[SHARED]).hits)

            yield {"hybrid": by_both, "vectors": by_vectors, "keywords": by_keywords, "bm25": Bm25(paragraphs)}
        finally:
            library.close()
            vectors.close()
            database.close()


def _rank(found: Iterable[str], gold: str) -> float:
    """From 1; infinite if it was not found."""
    distinct = list(dict.fromkeys(found))
    return distinct.index(gold) + 1 if gold in distinct else math.inf


def _figures(ranks: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """The value of each question."""
    return {
        "recall_at_1": (ranks <= 1).astype(float),
        "recall_at_5": (ranks <= 5).astype(float),
        "mrr_at_10": np.where(ranks <= 10, 1 / ranks, 0.0),
    }


def _report(kind: str, values: dict[str, npt.NDArray[np.float64]], plain: npt.NDArray[np.float64]) -> dict[str, Any]:
    cells = {figure: (float(value.mean()), *_interval(value)) for figure, value in values.items()}
    cells["recall_at_5_minus_bm25"] = (
        float((values["recall_at_5"] - plain).mean()),
        *_interval(values["recall_at_5"] - plain),
    )
    print(f"{kind:9s} " + " ".join(f"{m:.3f} [{low:.3f}, {high:.3f}]" for m, low, high in cells.values()))
    report: dict[str, Any] = {figure: round(mean, 4) for figure, (mean, _, _) in cells.items()}
    report["intervals"] = {figure: [round(low, 4), round(high, 4)] for figure, (_, low, high) in cells.items()}
    return report


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    means = [values[generator.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
