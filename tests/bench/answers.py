"""How good the bundled model's answers are: questions through the whole pipeline, from the search to the citation.

``python -m tests.bench.answers --data FOLDER [--json PATH] [--questions N]``. All paragraphs of a set are documents of
one fresh store, a document for each title; the questions are drawn with a fixed seed and asked one at a time. An answer
is right when it contains one of the gold answers, both normalised as in SQuAD (Rajpurkar et al. 2016: lower case, no
punctuation, no articles), citation marks left out. The parrot says the sentence that the search ranks first. Intervals
are Wilson's at 95 %. Pirá's gold answers are written freely and seldom stand in a text word by word: for them the mean
overlap of words (SQuAD's F1) says more.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import re
import string
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

from assistant.chat import Chat, Finished
from assistant.documents.ingest import Library
from assistant.engines.local import LocalEngine
from assistant.records import SHARED, Exchange, ExchangeStatus, Person
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.search import Search
from assistant.retrieval.vectors import Vectors
from assistant.settings import Settings
from assistant.store import accounts, documents
from assistant.store.database import Database, open_database, sqlite_url
from tests.conftest import adapters_of

Record = dict[str, Any]
Figures = dict[str, Any]
_MARK = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")
_PUNCTUATION = str.maketrans("", "", string.punctuation + "“”‘’«»–—")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SEED = 0


@dataclass(frozen=True, slots=True)
class Answered:
    record: Record
    exchange: Exchange
    parrot: str


@dataclass(frozen=True, slots=True)
class Assistant:
    chat: Chat
    database: Database
    person: Person


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--questions", type=int, default=500, help="of each set, at most")
    arguments = parser.parse_args()
    answerable, unanswerable, pira = (
        _records(arguments.data / "qa" / f"{name}.jsonl")
        for name in ("squad_dev", "squad2_unanswerable", "pira_validation")
    )
    portuguese = [record for record in pira if record["lang"] == "pt" and record["answers"]]
    engine, embedder = LocalEngine(), Embedder()

    def ask(store: Sequence[Record], *sets: Sequence[Record]) -> list[list[Answered]]:
        with assistant(store, engine, embedder) as parts:
            return [asyncio.run(answers(parts, _sample(records, arguments.questions))) for records in sets]

    squad, refusable = ask([*answerable, *unanswerable], answerable, unanswerable)
    (pira_answered,) = ask(portuguese, portuguese)
    figures = {
        "model": engine.model,
        "squad_dev": quality(squad),
        "squad2_unanswerable": {"refused": share(refusable, lambda a: a.exchange.refused)},
        "pira_validation_pt": quality(pira_answered),
        "speed": speed([*squad, *refusable, *pira_answered]),
    }
    asyncio.run(engine.close())
    report(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


@contextmanager
def assistant(records: Sequence[Record], engine: LocalEngine, embedder: Embedder) -> Iterator[Assistant]:
    """An assistant that knows the records' paragraphs and nothing else; its state is thrown away."""
    texts: dict[str, dict[str, None]] = {}
    for record in records:
        texts.setdefault(record["title"] or "untitled", {})[record["context"]] = None
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(state=Path(folder))
        database = open_database(sqlite_url(settings.state / "fiel.db"))
        with database.write() as session:
            person = accounts.local_admin(session)
        vectors = Vectors(settings.state / "vectors", None)
        library = Library(
            database=database, vectors=vectors, embedder=embedder, folder=settings.state, limits=settings.limits
        )
        library.start()
        for title, paragraphs in texts.items():
            library.add(f"{title}.txt", io.BytesIO("\n\n".join(paragraphs).encode()), scope=SHARED, person=person)
        print(f"indexing {len(texts)} documents …", file=sys.stderr)
        library.wait_idle()
        search = Search(database=database, vectors=vectors, embedder=embedder, settings=settings.retrieval)
        yield Assistant(
            Chat(
                database=database,
                search=search,
                engine=engine,
                adapters=adapters_of(database, engine),
                settings=settings,
            ),
            database,
            person,
        )
        library.close()
        vectors.close()
        database.close()


async def answers(parts: Assistant, records: Sequence[Record]) -> list[Answered]:
    answered: list[Answered] = []
    for record in records:
        if len(answered) % 50 == 0:
            print(f"{len(answered)} of {len(records)} questions answered …", file=sys.stderr)
        *_, last = [event async for event in parts.chat.answer(record["question"], person=parts.person)]
        assert isinstance(last, Finished)
        assert last.exchange.status is ExchangeStatus.COMPLETE, last.problem
        answered.append(Answered(record, last.exchange, _first_sentence(parts, last.exchange)))
    return answered


def quality(answered: Sequence[Answered]) -> Figures:
    found = [a for a in answered if _right_paragraph(a)]
    return {
        "questions": len(answered),
        "answer_contains_gold": share(answered, lambda a: _contains(a.exchange.answer, a)),
        "cited_sentence_contains_gold": share(answered, _cited_contains),
        "passages_contain_gold": share(answered, lambda a: any(_contains(p.text, a) for p in a.exchange.passages)),
        "right_paragraph_shown": share(answered, _right_paragraph),
        "where_shown": {
            "answer_contains_gold": share(found, lambda a: _contains(a.exchange.answer, a)),
            "cited_sentence_contains_gold": share(found, _cited_contains),
        },
        "wrongly_refused": share(answered, lambda a: a.exchange.refused),
        "mean_f1": round(mean(_f1(a.exchange.answer, a) for a in answered), 3),
        "median_words": median(len(_MARK.sub("", a.exchange.answer).split()) for a in answered),
        "parrot": {
            "answer_contains_gold": share(answered, lambda a: _contains(a.parrot, a)),
            "mean_f1": round(mean(_f1(a.parrot, a) for a in answered), 3),
            "median_words": median(len(a.parrot.split()) for a in answered),
        },
    }


def speed(answered: Sequence[Answered]) -> Figures:
    """Milliseconds from the question to the first token and to the end of the search, and tokens a second after it."""
    timed = [(a.exchange, a.exchange.timings) for a in answered if a.exchange.timings.first_token is not None]
    first = [timings.first_token for _, timings in timed if timings.first_token is not None]
    writing = sum(timings.total - (timings.first_token or 0) for _, timings in timed) / 1000
    return {
        "first_token_ms_p50": round(median(first)),
        "first_token_ms_p99": round(quantiles(first, n=100)[98]),
        "retrieve_ms_p50": round(median(timings.retrieve for _, timings in timed)),
        "prompt_tokens_median": median(exchange.prompt_tokens for exchange, _ in timed),
        "tokens_per_second": round(sum(exchange.completion_tokens for exchange, _ in timed) / writing, 1),
    }


def share(answered: Sequence[Answered], holds: Callable[[Answered], bool]) -> Figures:
    """The share for which it holds, with Wilson's interval at 95 %."""
    n, z = len(answered), 1.96
    if n == 0:
        return {"n": 0, "share": None, "low": None, "high": None}
    p = sum(map(holds, answered)) / n
    centre, spread = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low, high = ((centre + side) / (1 + z * z / n) for side in (-spread, spread))
    return {"n": n, "share": round(p, 4), "low": round(max(0.0, low), 4), "high": round(min(1.0, high), 4)}


def report(figures: Figures) -> None:
    print(f"model {figures['model']}")
    for name in ("squad_dev", "squad2_unanswerable", "pira_validation_pt"):
        print(f"\n{name}")
        _print(figures[name], indent=2)
    print("\nspeed, one question at a time")
    _print(figures["speed"], indent=2)


def _print(figures: Figures, *, indent: int) -> None:
    for name, value in figures.items():
        label = f"{' ' * indent}{name.replace('_', ' ')}"
        if not isinstance(value, dict):
            print(f"{label:40}{value:>8}")
        elif "share" not in value:
            print(label)
            _print(value, indent=indent + 2)
        elif value["share"] is None:
            print(f"{label:40}       – (n = 0)")
        else:
            print(f"{label:40}{value['share']:8.1%}  ({value['low']:.1%} to {value['high']:.1%}, n = {value['n']})")


def _records(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _sample(records: Sequence[Record], count: int) -> list[Record]:
    return random.Random(_SEED).sample(records, min(count, len(records)))


def _first_sentence(parts: Assistant, exchange: Exchange) -> str:
    if not exchange.hits:
        return ""
    best = exchange.hits[0]
    with parts.database.read() as session:
        (sentence,) = documents.sentences_between(session, best.document_id, best.sentence, best.sentence)
    return sentence.text.strip()


def _normalised(text: str) -> list[str]:
    return _ARTICLES.sub(" ", _MARK.sub("", text).lower().translate(_PUNCTUATION)).split()


def _contains(text: str, answered: Answered) -> bool:
    """Whether one of the gold answers stands in the text, as whole words."""
    words = f" {' '.join(_normalised(text))} "
    gold = (" ".join(_normalised(answer)) for answer in answered.record["answers"])
    return any(f" {answer} " in words for answer in gold if answer)


def _cited_contains(answered: Answered) -> bool:
    return any(_contains(citation.sentence, answered) for citation in answered.exchange.citations)


def _f1(text: str, answered: Answered) -> float:
    said = Counter(_normalised(text))

    def overlap(answer: str) -> float:
        gold = Counter(_normalised(answer))
        return 2 * (said & gold).total() / max(1, said.total() + gold.total())

    return max(overlap(answer) for answer in answered.record["answers"])


def _right_paragraph(answered: Answered) -> bool:
    """Whether a passage holds a whole sentence of the paragraph that the question was asked about."""
    context = " ".join(answered.record["context"].split())
    return any(
        " ".join(passage.text[start:end].split()) in context
        for passage in answered.exchange.passages
        for _, start, end in passage.sentences
        if end - start > 20
    )


if __name__ == "__main__":
    main()
