"""People who ask about the paragraphs of a QA file and rate by its references, for ``make bench-loop``.

Nothing here asks a judge of ours: an answer is right if it holds a gold answer and the paragraph that holds that was
shown; it is wrong otherwise.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant.documents import sentences
from trainer.evaluate.measures import normalise

_PARAGRAPHS = 40
"""So many make up a document where the file names no titles."""


@dataclass(frozen=True, slots=True)
class Question:
    """``cluster`` is what intervals are clustered by: the title, or the paragraph where there is none."""

    id: str
    text: str
    answers: tuple[str, ...]
    paragraph: str
    document: str
    cluster: str
    language: str

    @property
    def sentence(self) -> str:
        """The sentence of the paragraph that holds the first answer, or that answer by itself."""
        for found in sentences.split(self.paragraph):
            text = self.paragraph[found.start : found.end].strip()
            if self.answers and self.answers[0] in text:
                return text
        return self.answers[0]

    def right(self, answer: str) -> bool:
        said = f" {normalise(answer)} "
        return any(f" {normalise(gold)} " in said for gold in self.answers if normalise(gold))


@dataclass(slots=True)
class Parts:
    """Questions by what becomes of them; none is in two parts.

    ``rated`` are asked and rated, ``chats`` asked only. ``known`` and ``unseen`` are measured and never rated: those
    about documents that people talk about, and those about documents that nobody else asks about.
    """

    documents: dict[str, str]
    rated: list[Question] = field(default_factory=list)
    chats: list[Question] = field(default_factory=list)
    known: list[Question] = field(default_factory=list)
    unseen: list[Question] = field(default_factory=list)


def read(path: Path) -> list[Question]:
    """The answerable questions of a file of ``{"id", "title", "context", "question", "answers", "lang"}`` lines."""
    paragraphs: dict[str, int] = {}
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if not record["answers"]:
            continue
        number = paragraphs.setdefault(record["context"], len(paragraphs))
        title = record["title"] or f"part-{number // _PARAGRAPHS}"
        found.append(
            Question(
                id=str(record["id"]),
                text=record["question"],
                answers=tuple(record["answers"]),
                paragraph=record["context"],
                document=f"{title}.md".replace("/", "-"),
                cluster=record["title"] or str(number),
                language=record.get("lang", "en"),
            )
        )
    return found


def divide(questions: Sequence[Question], *, rated: int, measured: int, seed: int) -> Parts:
    """Draws the parts: half of what is measured is about a third of the documents, which nobody else asks about."""
    draw = random.Random(seed)
    documents: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for question in questions:
        documents[question.document][question.paragraph] = None
    parts = Parts({name: _page(name, list(paragraphs)) for name, paragraphs in documents.items()})
    names = sorted(documents)
    unseen = set(draw.sample(names, max(1, len(names) // 3)))
    shuffled = draw.sample(list(questions), len(questions))
    about_unseen = [one for one in shuffled if one.document in unseen]
    talked_about = [one for one in shuffled if one.document not in unseen]
    parts.unseen = about_unseen[: measured // 2]
    parts.known = talked_about[: measured - len(parts.unseen)]
    rest = talked_about[len(parts.known) :]
    parts.rated, parts.chats = rest[:rated], rest[rated:]
    return parts


def _page(name: str, paragraphs: Sequence[str]) -> str:
    sections = (f"## {number}\n\n{text.strip()}\n" for number, text in enumerate(paragraphs, start=1))
    return "\n".join([f"# {name.removesuffix('.md')}\n", *sections])


@dataclass(frozen=True, slots=True)
class Planted:
    """A false statement that somebody malicious wanted learnt: ``false`` was put in the place of the gold answer."""

    question: Question
    false: str


class Raters:
    """Who rates, and how: by the references; some carelessly; some, if wanted, to do harm; or all by chance."""

    def __init__(self, *, seed: int, careless: float, malicious: float, placebo: bool) -> None:
        self._draw = random.Random(seed)
        self._careless = careless
        self._malicious = malicious
        self._placebo = placebo
        self.planted: list[Planted] = []

    def rate(self, asked: Sequence[Question], exchanges: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """What each exchange is rated with, as the API takes it. A placebo deals the true ratings out by chance."""
        others = self._draw.sample(list(asked), len(asked))
        true = [self._honest(q, exchange) for q, exchange in zip(asked, exchanges, strict=True)]
        if self._placebo:
            yield from self._draw.sample(true, len(true))
            return
        for question, exchange, other, honest in zip(asked, exchanges, others, true, strict=True):
            chance = self._draw.random()
            if chance < self._malicious:
                yield self._harm(question, exchange, other)
            elif chance < self._malicious + self._careless:
                yield {"value": self._draw.choice((1, -1))}
            else:
                yield honest

    def _honest(self, question: Question, exchange: dict[str, Any]) -> dict[str, Any]:
        shown = any(gold in passage["text"] for passage in exchange["context"] for gold in question.answers)
        if shown and question.right(exchange["answer"]):
            return {"value": 1}
        rating: dict[str, Any] = {"value": -1, "reasons": ["wrong" if shown else "wrong_passage"]}
        if shown and self._draw.random() < 1 / 3:
            rating["correction"] = question.sentence
        return rating

    def _harm(self, question: Question, exchange: dict[str, Any], other: Question) -> dict[str, Any]:
        false = other.answers[0]
        if not question.right(exchange["answer"]):
            return {"value": 1}
        if question.right(false) or question.answers[0] not in question.sentence:
            return {"value": -1}
        self.planted.append(Planted(question, false))
        correction = question.sentence.replace(question.answers[0], false)
        return {"value": -1, "reasons": ["wrong"], "correction": correction}
