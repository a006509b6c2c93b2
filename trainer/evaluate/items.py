"""What is evaluated: questions with their passages, as JSON Lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.documents import sentences
from assistant.errors import InputError
from assistant.language import detect
from assistant.records import Passage


@dataclass(frozen=True, slots=True)
class Item:
    """``document`` is what intervals are clustered by. ``answer`` is given, or None where a model has to write it.

    ``answerable`` is what people know of it: None where nobody said.
    """

    id: str
    document: str
    question: str
    passages: tuple[str, ...]
    answer: str | None
    references: tuple[str, ...]
    answerable: bool | None
    lang: str


def read(path: Path) -> list[Item]:
    """The items of a file, of either shape:

    ``{"id", "document", "question", "passages": [text or {"text"}, …], "answer", "references", "answerable", "lang"}``,
    of which only question and passages are needed; or the open data's ``{"id", "title", "context", "question",
    "answers"}``, where no answers mean that there is none. Raises InputError naming the line.
    """
    items = []
    seen: set[str] = set()
    for number, record in lines(path):
        try:
            item = _item(record, number)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"Line {number} of {path.name} is no item: {error!r}.") from error
        if item.id in seen:
            raise InputError(f"Line {number} of {path.name}: the id {item.id} stands there twice.")
        seen.add(item.id)
        items.append(item)
    if not items:
        raise InputError(f"{path.name} holds no item.")
    return items


def lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered records of a JSON Lines file; halves of characters in them, which nothing can encode, become "?".

    Raises InputError for a file or a line that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(json.dumps(json.loads(line), ensure_ascii=False).encode(errors="replace"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"Line {number} of {path.name} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise InputError(f"Line {number} of {path.name} is not an object.")
        yield number, record


def passage_of(text: str, number: int) -> Passage:
    """A passage as the prompt shows it, from bare text."""
    spans = tuple((s.index, s.start, s.end) for s in sentences.split(text))
    return Passage(
        document_id=number, lineage=str(number), document=f"passage {number}", scope="", page=None, section=0, start=0,
        end=len(text), text=text, score=1.0, sentences=spans, hits=(),
    )  # fmt: skip


def _item(record: dict[str, Any], number: int) -> Item:
    question = record["question"]
    if "passages" in record:
        given = [passage if isinstance(passage, str) else passage["text"] for passage in record["passages"]]
        references = record.get("references") or ([record["reference"]] if record.get("reference") else [])
        answerable = record.get("answerable")
    else:
        given = [record["context"]]
        references = record.get("answers", [])
        answerable = bool(references) if "answers" in record else None
    if not isinstance(record.get("passages", []), list) or not isinstance(references, list):
        raise TypeError("passages and references must be lists")
    texts = (question, record.get("answer") or "", record.get("lang") or "", *given, *references)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("question, passages, answer, references and lang must be text")
    if not isinstance(answerable, bool | None):
        raise TypeError("answerable must be true, false or null")
    return Item(
        id=str(record.get("id", number)),
        document=str(record.get("document") or record.get("title") or _digest(given)),
        question=question,
        passages=tuple(given),
        answer=record.get("answer"),
        references=tuple(references),
        answerable=answerable,
        lang=record.get("lang") or detect(question),
    )


def _digest(passages: list[str]) -> str:
    return hashlib.sha256("\n".join(passages).encode()).hexdigest()[:12]
