"""Logs to train on, written straight into a database: of real questions, and a million made-up ones."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np

from assistant.documents.sentences import split
from assistant.records import SHARED, Exchange, ExchangeStatus, Feedback, Passage, Review, Role, Timings
from assistant.retrieval.embeddings import Embedder
from assistant.splits import side_of
from assistant.store import exchanges, ratings
from assistant.store.database import Database, open_database, sqlite_url
from assistant.store.ratings import question_hash
from assistant.store.tables import PersonRow
from trainer.tokens import lines

_PASSAGES = 2
_PEOPLE = 200
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def real(path: Path, questions: Path, *, limit: int, seed: int) -> Database:
    """Questions of a SQuAD-like file, asked and answered as in a chat, each answer with a thumbs-up.

    The right passage comes first, another one of the file after it, each with its sentence nearest to the question set
    off. The answer is what a person would take from the passage: the sentence that holds the first answer of the file,
    or that answer itself where none does.
    """
    draw, embedder = random.Random(seed), Embedder()
    rows = [row for row in lines(questions) if row["answers"]]
    rows = draw.sample(rows, min(limit, len(rows)))
    passages = [_passage(n, row["title"] or row["id"], row["context"]) for n, row in enumerate(rows, start=1)]
    database = open_database(sqlite_url(path))
    with database.write() as session:
        person = PersonRow(name="bench", role=Role.USER, created_at=_NOW)
        session.add(person)
        session.flush()
        conversation = exchanges.add_conversation(session, person_id=person.id, title="bench").id
        for n, (row, passage) in enumerate(zip(rows, passages, strict=True)):
            shown = (passage, *draw.sample([p for p in passages if p is not passage], _PASSAGES - 1))
            question = row["question"]
            exchange = _exchange(
                n, person.id, conversation, question=question, answer=_answer(passage, row["answers"][0]),
                passages=tuple(_with_best(embedder, question, each) for each in shown),
            )  # fmt: skip
            exchanges.add(session, exchange)
            up = Feedback(value=1)
            ratings.rate(session, exchange.id, person_id=person.id, feedback=up, review=Review.ACCEPTED)
    return database


def _answer(passage: Passage, gold: str) -> str:
    sentences = (passage.text[start:end].strip() for _, start, end in passage.sentences)
    return next((sentence for sentence in sentences if gold.strip() in sentence), gold.strip()) + " [1]"


def _with_best(embedder: Embedder, question: str, passage: Passage) -> Passage:
    texts = [passage.text[start:end] for _, start, end in passage.sentences]
    asked, *found = embedder.embed([question, *texts])
    return replace(passage, best=int(np.argmax([vector @ asked for vector in found])))


def made_up(path: Path, size: int, *, seed: int) -> None:
    """``size`` exchanges of 200 people over 20,000 sections; three in ten rated, two thirds of these accepted."""
    open_database(sqlite_url(path)).close()
    draw = random.Random(seed)
    words = [f"{a}{b}{c}" for a in "bdfgklmn" for b in ("ar", "el", "in", "ot", "ut", "ea") for c in _ENDS]
    contexts = []
    for n in range(20_000):
        text = " ".join(f"The {' '.join(draw.choices(words, k=9))} of {1000 + draw.randrange(999)}." for _ in range(5))
        contexts.append((_passage(n + 1, f"document{n // 10}", text), text.split(". ")[0] + ". [1]"))
    shown = [json.dumps([asdict(p) for p, _ in draw.sample(contexts, 3)])[1:-1] for _ in range(2_000)]
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("BEGIN")
    now = str(_NOW.replace(tzinfo=None))
    database.executemany(
        "INSERT INTO people (id, name, role, disabled, shares_private, created_at) VALUES (?, ?, 'user', 0, 0, ?)",
        [(n, f"p{n}", now) for n in range(2, _PEOPLE + 2)],
    )
    database.execute("INSERT INTO conversations VALUES ('c', 2, 't', ?, ?)", (now, now))
    sides = [side_of(n, key=b"bench").value for n in range(len(contexts))]
    rows = _rows(draw, size, contexts, shown, sides)
    batch: list[tuple[tuple[object, ...], tuple[object, ...] | None]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == 20_000:
            _insert(database, batch)
            batch.clear()
    _insert(database, batch)
    database.execute("COMMIT")
    database.close()


_ENDS = ("an", "er", "ish", "ola", "um", "ive", "orn", "ax", "ith", "oe")
_STATEMENTS = (
    "INSERT INTO exchanges (id, conversation_id, person_id, question, search_query, document_ids, history, passages, "
    "left_out, hits, prompt_version, model, answer, citations, refused, status, private, shown, prompt_tokens, "
    "completion_tokens, retrieve_ms, total_ms, group_key, side, created_at) VALUES (?, 'c', ?, ?, '', '[]', '[]', ?, "
    "'[]', '[]', '1', 'starter', ?, '[]', 0, 'complete', 0, 1, 900, 20, 5.0, 900.0, ?, ?, ?)",
    "INSERT INTO ratings (exchange_id, person_id, value, reasons, comment, correction, wrong_passages, private, "
    "question_hash, review, held, accepted_answer, created_at, updated_at) VALUES (?, ?, ?, '[]', '', '', '[]', 0, ?, "
    "?, 0, '', ?, ?)",
)


def _rows(
    draw: random.Random, size: int, contexts: list[tuple[Passage, str]], shown: list[str], sides: list[str]
) -> Iterator[tuple[tuple[object, ...], tuple[object, ...] | None]]:
    for n in range(size):
        section = draw.randrange(len(contexts))
        passage, answer = contexts[section]
        asked = draw.sample(answer.split()[1:-2], 5)
        question = f"What of the {' '.join(asked)} {draw.randrange(10)}?"
        at = str((_NOW + timedelta(seconds=n)).replace(tzinfo=None))
        key, person = UUID(int=n).hex, 2 + draw.randrange(_PEOPLE)
        context = f"[{json.dumps(asdict(passage))}, {draw.choice(shown)}]"
        group = f"{passage.lineage}:{passage.section}"
        rated = draw.random() < 0.3
        up, review = draw.random() < 0.75, draw.choice(("accepted", "accepted", "pending"))
        said = answer if up or not rated else f"Nobody knows the {asked[0]}. [1]"
        rating = (key, person, 1 if up else -1, question_hash(question), review, at, at) if rated else None
        yield (key, person, question, context, said, group, sides[section], at), rating


def _insert(database: sqlite3.Connection, rows: list[tuple[tuple[object, ...], tuple[object, ...] | None]]) -> None:
    database.executemany(_STATEMENTS[0], [exchange for exchange, _ in rows])
    database.executemany(_STATEMENTS[1], [rating for _, rating in rows if rating is not None])


def _passage(number: int, name: str, text: str) -> Passage:
    sentences = split(text)
    return Passage(
        document_id=number,
        lineage=f"l{number}",
        document=name,
        scope=SHARED,
        page=None,
        section=0,
        start=0,
        end=len(text),
        text=text,
        score=0.9,
        sentences=tuple((s.index, s.start, s.end) for s in sentences),
        hits=(0,),
    )


def _exchange(
    n: int, person: int, conversation: str, *, question: str, passages: tuple[Passage, ...], answer: str
) -> Exchange:
    return Exchange(
        id=UUID(int=n).hex,
        conversation_id=conversation,
        person_id=person,
        question=question,
        search_query=question,
        document_ids=(),
        history=(),
        passages=passages,
        left_out=(),
        hits=(),
        prompt_version="1",
        model="starter",
        adapter=None,
        answer=answer,
        citations=(),
        refused=False,
        status=ExchangeStatus.COMPLETE,
        private=False,
        prompt_tokens=0,
        completion_tokens=0,
        timings=Timings(retrieve=0.0, first_token=None, total=0.0),
        created_at=_NOW + timedelta(seconds=n),
    )
