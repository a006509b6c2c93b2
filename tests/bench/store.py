"""How fast the pages of admins are with many exchanges, and how that grows.

``python -m tests.bench.store [--sizes 10000 1000000] [--json PATH] [--folder PATH]``. Makes the rows (three passages of
some 300 characters each, three in ten rated, spread over a year), asks for each page over the application itself, and
prints the median of five times in milliseconds: by the clock, and of processor time, which a busy machine changes less.
``--data`` is accepted, because all benchmarks get it, and not needed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.testclient import TestClient

from assistant import api, web
from assistant.records import Reason
from assistant.settings import Settings
from assistant.store.database import open_database, sqlite_url
from assistant.store.ratings import question_hash
from launch import build
from tests.assistant.api.conftest import Parrot

_RUNS = 5
_PEOPLE, _DOCUMENTS, _ADAPTERS = 200, 500, 12
_SENTENCES = '[{"start": 0, "end": 40, "probability": 0.5, "supported": true, "passage": 1}]'
_YEAR = 365 * 24 * 3600
_NOW = datetime.now(UTC).replace(tzinfo=None)
_WEEK = f"since={(_NOW - timedelta(days=100)).date()}&until={(_NOW - timedelta(days=93)).date()}"

PAGES = {
    "queue": "/review",
    "queue, second page": "",
    "everything": "/review?review=",
    "thumbs down": "/review?value=-1",
    "a reason": "/review?reason=incomplete",
    "a document": "/review?review=&document=7",
    "a person": "/review?review=&person=7",
    "an adapter": "/review?review=&adapter=adapter-03",
    "a week": f"/review?{_WEEK}",
    "low support": "/review?support_below=0.2",
    "rare words": "/review?review=&words=word4711+word42",
    "a common word": "/review?review=&words=the",
    "held back": "/review?review=&held=true",
    "several filters": "/review?value=-1&reason=wrong&adapter=adapter-03&words=the",
    "contradictions": "/review/same",
    "same question": "/review/same?kind=duplicates",
    "charts, 30 days": "/charts?days=30",
    "charts, a year": "/charts?days=365",
    "data": "/data",
    "people": "/people",
    "audit log": "/audit",
    "audit log, an action": "/audit?action=review+accepted",
    "audit log, an id": f"/audit?subject={3:032x}",
    "audit log, a week": f"/audit?{_WEEK}",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--folder", type=Path, help="keep the rows here, and use those that are here already")
    arguments = parser.parse_args()
    measured = {}
    with tempfile.TemporaryDirectory() as temporary:
        for size in arguments.sizes:
            measured[str(size)] = measure((arguments.folder or Path(temporary)) / str(size), size)
    print(f"\n{'page: wall (processor)':24}" + "".join(f"{int(size):>18,}" for size in measured))
    for page in PAGES:
        cells = (f"{pages[page][0]:9.0f} ({pages[page][1]:4.0f}) ms" for pages in measured.values())
        print(f"{page:24}" + "".join(cells))
    wall, processor = (
        {size: {page: times[n] for page, times in pages.items()} for size, pages in measured.items()} for n in (0, 1)
    )
    largest = str(max(arguments.sizes))
    result = {
        "slowest_page_ms": max(wall[largest].values()),
        "slowest_page_processor_ms": max(processor[largest].values()),
        "pages_ms": wall[largest],
        "by_size_ms": wall,
        "by_size_processor_ms": processor,
        "load": os.getloadavg(),
    }
    print(f"\nslowest: {result['slowest_page_ms']:.0f} ms; load averages {os.getloadavg()}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


def measure(state: Path, size: int) -> dict[str, tuple[float, float]]:
    """For each page the medians of wall clock and processor time, in milliseconds."""
    start, database = time.perf_counter(), state / "fiel.db"
    if not database.exists():
        state.mkdir(parents=True, exist_ok=True)
        fill(database, size)
    size_mb = database.stat().st_size / 1e6
    print(f"{size:,} exchanges: {size_mb:,.0f} MB, ready after {time.perf_counter() - start:.0f} s", flush=True)
    with ExitStack() as stack:
        app = api.create(build(Settings(state=state), Parrot(), stack))
        web.mount(app)
        client = TestClient(app, base_url="http://localhost")
        following = re.search(r'<p><a href="(\?[^"]+)', client.get("/review").text)
        second = following.group(1).replace("&amp;", "&") if following else ""
        return {name: median(client, path or f"/review{second}") for name, path in PAGES.items()}


def median(client: TestClient, path: str) -> tuple[float, float]:
    wall, processor = [], []
    for _ in range(_RUNS + 1):
        start, used = time.perf_counter(), time.process_time()
        client.get(path).raise_for_status()
        wall.append((time.perf_counter() - start) * 1000)
        processor.append((time.process_time() - used) * 1000)
    return statistics.median(wall[1:]), statistics.median(processor[1:])  # the first one warms up


def fill(path: Path, size: int) -> None:
    """Rows by way of plain SQLite: asking so many questions would take days. The indexes are made once all is there."""
    open_database(sqlite_url(path)).close()
    draw = random.Random(0)
    words = [f"word{number}" for number in range(20_000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    contexts = [_context(draw, words, weights) for _ in range(2_000)]
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-1000000")
    indexes = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        database.execute(f"DROP INDEX {name}")
    database.execute("BEGIN")
    database.executemany(
        "INSERT INTO people (id, name, role, disabled, shares_private, created_at) VALUES (?, ?, 'user', 0, ?, ?)",
        [(n, f"person{n}", n % 5 == 0, _NOW - timedelta(days=400)) for n in range(2, _PEOPLE + 2)],
    )
    database.executemany(
        "INSERT INTO documents (id, scope, added_by, lineage, generation, name, file, content_hash, size, status, "
        "retired, progress, sentences, created_at, updated_at) "
        "VALUES (?, 'shared', 1, ?, 1, ?, ?, ?, 1, 'failed', 0, 1, 0, ?, ?)",
        [(n, str(n), f"document{n}.pdf", str(n), str(n), _NOW, _NOW) for n in range(1, _DOCUMENTS + 1)],
    )
    questions = [" ".join(["the", *draw.choices(words, weights, k=8)]) + "?" for _ in range(max(100, size // 5))]
    hashes = [question_hash(question) for question in questions]
    for first in range(0, size, 50_000):
        _insert(database, draw, range(first, min(first + 50_000, size)), size, contexts, questions, hashes)
    for _, statement in indexes:
        database.execute(statement)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode=WAL")
    database.close()


def _context(draw: random.Random, words: list[str], weights: list[float]) -> tuple[str, list[int]]:
    documents = draw.sample(range(1, _DOCUMENTS + 1), 3)
    passages = [
        {
            "document_id": document, "lineage": str(document), "document": f"document{document}.pdf",
            "scope": "shared", "page": 3, "section": 1, "start": 100, "end": 400, "score": 0.7,
            "text": " ".join(draw.choices(words, weights, k=45)), "sentences": [[0, 0, 300]], "hits": [0],
        }
        for document in documents
    ]  # fmt: skip
    return json.dumps(passages), documents


def _insert(  # noqa: PLR0917
    database: sqlite3.Connection, draw: random.Random, numbers: range, size: int,
    contexts: list[tuple[str, list[int]]], questions: list[str], hashes: list[str],
) -> None:  # fmt: skip
    conversations, exchanges, documents, ratings, reasons, texts, audited = [], [], [], [], [], [], []
    judged = []
    for n in numbers:
        made = str(_NOW - timedelta(seconds=_YEAR * (1 - n / size)))
        person, key = draw.randrange(2, _PEOPLE + 2), f"{n:032x}"
        passages, shown = contexts[draw.randrange(len(contexts))]
        asked = draw.randrange(len(questions))
        adapter = None if draw.random() < 0.2 else f"adapter-{draw.randrange(_ADAPTERS):02}"
        private, refused, support = draw.random() < 0.1, draw.random() < 0.02, draw.random()
        answer = f"The {questions[asked][4:-1]} [1]."
        conversations.append((key, person, questions[asked], made, made))
        exchanges.append((key, key, person, questions[asked], passages, adapter, answer, refused, private, made))
        judged.append((key, support, _SENTENCES, made))
        documents += [(key, document) for document in shown]
        if draw.random() >= 0.3:
            continue
        value, rating = 1 if draw.random() < 0.7 else -1, n + 1
        review = draw.choice(("pending", "accepted", "accepted", "rejected"))
        ratings.append(
            (rating, key, person, value, adapter, private, hashes[asked], review, draw.random() < 0.01, made, made)
        )
        texts.append((rating, f"{questions[asked]}\n{answer}"))
        audited.append((made, person, f"review {review}", key))
        if value < 0:
            reasons += [(reason, rating) for reason in draw.sample(list(Reason), 2)]
    for statement, rows in _statements(conversations, exchanges, judged, documents, ratings, reasons, texts, audited):
        database.executemany(statement, rows)


def _statements(*rows: list[tuple[object, ...]]) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    statements = (
        "INSERT INTO conversations (id, person_id, title, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
        "INSERT INTO exchanges (id, conversation_id, person_id, question, search_query, document_ids, history, "
        "passages, left_out, hits, prompt_version, model, adapter, answer, citations, refused, status, private, shown, "
        "prompt_tokens, completion_tokens, retrieve_ms, total_ms, created_at) VALUES "
        "(?1, ?2, ?3, ?4, ?4, '[]', '[]', ?5, '[]', '[]', '1', 'starter', ?6, ?7, '[]', ?8, 'complete', ?9, 1, "
        "900, 20, 5.0, 900.0, ?10)",
        "INSERT INTO support (exchange_id, score, sentences, judge, created_at) VALUES (?, ?, ?, 'a', ?)",
        "INSERT INTO exchange_documents (exchange_id, document_id) VALUES (?, ?)",
        "INSERT INTO ratings (id, exchange_id, person_id, value, adapter, private, question_hash, review, held, "
        "created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "INSERT INTO rating_reasons (reason, rating_id) VALUES (?, ?)",
        "INSERT INTO rating_words (rowid, words) VALUES (?, ?)",
        "INSERT INTO audit (at, person_id, action, subject) VALUES (?, ?, ?, ?)",
    )
    yield from zip(statements, rows, strict=True)


if __name__ == "__main__":
    main()
