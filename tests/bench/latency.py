"""How long a question takes to its first token, and in which parts, over 1,000, 10,000 and 100,000 sentences.

``python -m tests.bench.latency --data FOLDER [--json PATH]``. The asker has private documents (a tenth of the
sentences) beside the shared ones. The text is that of squad_train, repeated as often as needed; the vectors are random
around random centres, because embedding 100,000 sentences would take most of an hour and change no time measured
here. Questions are those of squad_dev, embedded for real, answered by the bundled starter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assistant.chat import Chat, Finished, Token
from assistant.documents.sentences import split
from assistant.engines.base import Delta, Sampling
from assistant.engines.local import LocalEngine
from assistant.records import SHARED, Message, Person, Sentence
from assistant.retrieval import keywords
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.search import Search
from assistant.retrieval.vectors import Vectors
from assistant.settings import Settings
from assistant.store import accounts, documents
from assistant.store.database import Database, open_database, sqlite_url
from tests.conftest import adapters_of

SIZES = (1_000, 10_000, 100_000)
QUESTIONS = 100
PARAGRAPHS = 10
"""Paragraphs of a document."""
PRIVATE = 10
"""Every tenth document is the asker's own."""


class TimedEngine(LocalEngine):
    """The real engine, which notes how long the model took to its first token."""

    first_token = 0.0

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        started = time.perf_counter()
        waiting = True
        async with aclosing(super().stream(messages, sampling=sampling, adapter=adapter)) as deltas:
            async for delta in deltas:
                if waiting and delta.text:
                    self.first_token = (time.perf_counter() - started) * 1000
                    waiting = False
                yield delta


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    qa = arguments.data / "qa"
    texts = list(dict.fromkeys(record["context"] for record in _records(qa / "squad_train.jsonl")))
    questions = [record["question"] for record in _records(qa / "squad_dev.jsonl")]
    questions = questions[:: len(questions) // QUESTIONS][:QUESTIONS]
    embedder, engine = Embedder(), TimedEngine()
    figures = {}
    print(f"milliseconds, p50 / p99 over {QUESTIONS} questions")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder, filled(Path(folder), texts, size, embedder) as parts:
            database, vectors, asker = parts
            times = measure(
                database=database,
                vectors=vectors,
                asker=asker,
                embedder=embedder,
                engine=engine,
                questions=questions,
            )
        figures[str(size)] = {part: _quantiles(values) for part, values in times.items()}
        print(f"\n{size:,} sentences")
        for part, quantiles in figures[str(size)].items():
            print(f"  {part:22}{quantiles['p50']:9.1f}{quantiles['p99']:9.1f}")
    asyncio.run(engine.close())
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


@contextmanager
def filled(
    folder: Path, texts: Sequence[str], size: int, embedder: Embedder
) -> Iterator[tuple[Database, Vectors, Person]]:
    """A store and an index with at least ``size`` sentences, and who asks."""
    database = open_database(sqlite_url(folder / "fiel.db"))
    vectors = Vectors(folder / "vectors", None)
    generator = np.random.default_rng(0)
    with database.write() as session:
        asker = accounts.local_admin(session)
    paragraphs, added, number = cycle(texts), 0, 0
    while added < size:
        sentences = split("\n\n".join(next(paragraphs) for _ in range(PARAGRAPHS)))
        scope = asker.scope if number % PRIVATE == 0 else SHARED
        _add(
            database=database,
            vectors=vectors,
            scope=scope,
            number=number,
            sentences=sentences,
            values=_random_vectors(generator, len(sentences), embedder),
        )
        added += len(sentences)
        number += 1
    try:
        yield database, vectors, asker
    finally:
        vectors.close()
        database.close()


def _add(
    *,
    database: Database,
    vectors: Vectors,
    scope: str,
    number: int,
    sentences: Sequence[Sentence],
    values: npt.NDArray[np.float32],
) -> None:
    with database.write() as session:
        documents.add(
            session,
            scope=scope,
            added_by=1,
            lineage=str(number),
            name=f"{number}.txt",
            file=str(number),
            source=None,
            content_hash=str(number),
            size=1,
        )
        (document,) = documents.claim(session, documents=1, size=1)
        vectors.upsert(scope, [f"{document.id}.{document.generation}:{s.index}" for s in sentences], values)
        documents.set_ready(session, document.id, sentences=sentences, pages=None, empty_pages=0, embedding="random")


def _random_vectors(generator: np.random.Generator, count: int, embedder: Embedder) -> npt.NDArray[np.float32]:
    values = generator.normal(size=(1, embedder.dimension)) + generator.normal(size=(count, embedder.dimension))
    unit: npt.NDArray[np.float32] = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return unit


def measure(
    *,
    database: Database,
    vectors: Vectors,
    asker: Person,
    embedder: Embedder,
    engine: TimedEngine,
    questions: Sequence[str],
) -> dict[str, list[float]]:
    """Milliseconds of each part, one value for each question."""
    settings = Settings()
    scopes = (SHARED, asker.scope)
    search = Search(database=database, vectors=vectors, embedder=embedder, settings=settings.retrieval)
    chat = Chat(
        database=database, search=search, engine=engine, adapters=adapters_of(database, engine), settings=settings
    )

    def by_keywords(question: str) -> None:
        with database.read() as session:
            keywords.query(session, question, scopes=scopes, count=100)

    embedded = {question: embedder.embed([question])[0] for question in questions}
    times = {
        "embedding": _timed(lambda question: embedder.embed([question]), questions),
        "vectors": _timed(lambda question: vectors.query(embedded[question], scopes=scopes, count=100), questions),
        "keywords": _timed(by_keywords, questions),
        "whole search": _timed(lambda question: search.search(question, scopes=scopes), questions),
        "first token": [],
        "of it the model": [],
        "of it all else": [],
    }
    asyncio.run(_first_token(chat, asker, questions[0]))
    for question in questions:
        first = asyncio.run(_first_token(chat, asker, question))
        times["first token"].append(first)
        times["of it the model"].append(engine.first_token)
        times["of it all else"].append(first - engine.first_token)
    return times


def _timed(part: Callable[[str], object], questions: Sequence[str]) -> list[float]:
    part(questions[0])
    milliseconds = []
    for question in questions:
        started = time.perf_counter()
        part(question)
        milliseconds.append((time.perf_counter() - started) * 1000)
    return milliseconds


async def _first_token(chat: Chat, asker: Person, question: str) -> float:
    """Asks until the first token has come, then stops the model."""
    started = time.perf_counter()
    async with aclosing(chat.answer(question, person=asker)) as events:
        async for event in events:
            if isinstance(event, Token | Finished):
                break
    return (time.perf_counter() - started) * 1000


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
