"""The open data that the starter is trained on: reading it, and cutting text into sentences.

A text is a list of sentences, each running up to the start of the next, so that joining neighbours gives back the
text letter by letter: windows are then exact slices, as they are when the assistant serves.
"""

from __future__ import annotations

import json
import lzma
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Language = Literal["en", "pt"]

_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-ZÀ-Ú]|Mr|Mrs|Ms|Dr|Dra|Sr|Sra|St|Sgt|Prof|Gen|Col|Lt|Jr|Inc|Ltd|Co|No|Vol|vol|pp?|cap|Fig|fig|art"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|vs|al|etc|approx|ca?|D|Exmo|Av)|\b[a-zA-Z]\.[a-zA-Z])\.\s*$"
)
_BOUNDARY = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[¿¡—–-]*[A-ZÀ-Ú0-9`*])|\n\s*\n\s*|\n(?=\s*(?:[-*#|>]|\d+[.)]\s))"
    r"|(?<=[^\n.!?…,;]\n)(?=[A-ZÀ-Ú\"“])"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a text; ``start`` is where its answer, a span of the text, begins (None: no such span)."""

    text: str
    answer: str
    start: int | None


@dataclass(frozen=True, slots=True)
class Text:
    """A text with the questions asked about it; texts with one ``title`` are of one document."""

    title: str
    source: str
    language: Language
    sentences: tuple[str, ...]
    questions: tuple[Question, ...] = ()


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON Lines file, plain or compressed by xz."""
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def split_sentences(text: str) -> tuple[str, ...]:
    """Sentences with the white space that follows them; list items, headings and table rows count as sentences."""
    cuts = [0]
    for match in _BOUNDARY.finditer(text):
        piece = text[cuts[-1] : match.end()]
        is_break = "\n" in match.group()
        if len(piece.strip()) >= 12 and (is_break or not _ABBREVIATION.search(piece)):
            cuts.append(match.end())
    pieces = [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return tuple(piece for piece in pieces if piece)


def read_questions(paths: Sequence[Path]) -> list[Text]:
    """The question files as texts, one for each distinct context, with all its questions."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        for record in records(path):
            grouped.setdefault(record["context"], []).append(record)
    return [_text_of(context, group) for context, group in grouped.items()]


def _text_of(context: str, group: list[dict[str, Any]]) -> Text:
    questions = []
    for record in group:
        answer = record["answers"][0] if record.get("answers") else record.get("answer", "")
        start = record.get("answer_start", -1)
        if "answers" in record:
            start = _best_occurrence(context, answer, record["question"])
        questions.append(Question(record["question"].strip(), answer, start if answer and start >= 0 else None))
    first = group[0]
    title, source = first.get("title") or "", first.get("source", first.get("id", "squad"))
    return Text(title, source, first["lang"], split_sentences(context), tuple(questions))


def _best_occurrence(context: str, answer: str, question: str) -> int:
    """Where the answer stands among most words of the question, since the files name no place; -1: nowhere."""
    asked = set(re.findall(r"\w{3,}", question.lower()))

    def shared(at: int) -> int:
        return len(asked & set(re.findall(r"\w{3,}", context[max(0, at - 120) : at + len(answer) + 120].lower())))

    places = [m.start() for m in re.finditer(re.escape(answer), context)] if answer else []
    return max(places, key=shared, default=-1)


def read_texts(path: Path, *, language: Language, limit: int, seed: int) -> list[Text]:
    """A random ``limit`` characters' worth of the documents of a text file, each cut into sentences."""
    documents = [(r["text"], r["source"]) for r in records(path) if len(r["text"]) > 400]
    random.Random(seed).shuffle(documents)  # noqa: S311
    texts, size = [], 0
    for text, source in documents:
        if size >= limit:
            break
        size += len(text)
        sentences = split_sentences(text[:20_000])
        if len(sentences) >= 4:
            title = source.rpartition("curid=")[2].partition(" ")[2] if "curid=" in source else ""
            texts.append(Text(title, source, language, sentences))
    return texts
