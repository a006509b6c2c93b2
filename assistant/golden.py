"""Questions with the answers they should get, brought in as JSON Lines or CSV. All of a file comes in, or nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from assistant.errors import InputError, NotFoundError
from assistant.store.tables import GateScoreRow, GoldenRow

_FAULTS = 20
_LINES = 100_000


class Golden(BaseModel):
    """One line of a golden set; more fields than these are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True, str_strip_whitespace=True)

    question: str = Field(min_length=1, max_length=4_000)
    answer: str = Field(min_length=1, max_length=10_000)


def read(content: bytes) -> list[Golden]:
    """The lines of a file: JSON objects, or CSV with the columns ``question`` and ``answer``.

    Raises InputError that names the first wrong lines, each with what is wrong.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"Line {line}: this is not UTF-8 text") from error
    found: list[Golden] = []
    faults: list[str] = []
    first: dict[str, int] = {}
    for number, row in _json_lines(text) if text.lstrip().startswith("{") else _csv_rows(text):
        if isinstance(row, str):
            faults.append(f"Line {number}: {row}")
            continue
        try:
            golden = Golden.model_validate(row)
        except ValidationError as error:
            faults += [f"Line {number}: {_fault(str(f['loc'][0]), f['type'])}" for f in error.errors()]
            continue
        if first.setdefault(golden.question, number) != number:
            faults.append(f"Line {number}: the question stands in line {first[golden.question]} already")
        found.append(golden)
    if faults:
        more = f"\n… and {len(faults) - _FAULTS} more" if len(faults) > _FAULTS else ""
        raise InputError("\n".join(faults[:_FAULTS]) + more)
    if not found:
        raise InputError("There is no question in this file.")
    if len(found) > _LINES:
        raise InputError(f"At most {_LINES:,} questions fit.")
    return found


def keep(session: Session, golden: list[Golden], *, added_by: int) -> tuple[int, int]:
    """Adds what is new and replaces the answers of questions that are known; returns how many of each."""
    known = {row.question: row for row in session.scalars(select(GoldenRow))}
    new = changed = 0
    for one in golden:
        row = known.get(one.question)
        if row is None:
            now = datetime.now(UTC)
            session.add(GoldenRow(question=one.question, answer=one.answer, added_by=added_by, created_at=now))
            new += 1
        elif row.answer != one.answer:
            row.answer = one.answer
            changed += 1
    return new, changed


def remove(session: Session, golden_id: int) -> None:
    row = session.get(GoldenRow, golden_id)
    if row is None:
        raise NotFoundError("There is no such golden question.")
    session.delete(row)
    session.execute(delete(GateScoreRow).where(GateScoreRow.exchange_id.is_(None)))


def found(
    session: Session, *, search: str = "", before: int | None = None, limit: int = 50
) -> list[tuple[int, Golden]]:
    """With their ids, the latest first; ``search`` looks in questions and answers, ``before`` is the last id seen."""
    query = select(GoldenRow).order_by(GoldenRow.id.desc()).limit(limit)
    if search:
        inside = (column.icontains(search, autoescape=True) for column in (GoldenRow.question, GoldenRow.answer))
        query = query.where(or_(*inside))
    if before is not None:
        query = query.where(GoldenRow.id < before)
    rows = session.scalars(query)
    return [(row.id, Golden.model_construct(question=row.question, answer=row.answer)) for row in rows]


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(GoldenRow)) or 0


def listed(session: Session) -> list[Golden]:
    """In the order in which they came."""
    rows = session.scalars(select(GoldenRow).order_by(GoldenRow.id))
    return [Golden.model_construct(question=row.question, answer=row.answer) for row in rows]


def _fault(field: str, kind: str) -> str:
    if kind == "missing":
        return f"{field} is missing"
    if kind == "string_too_short":
        return f"{field} is empty"
    return f"{field} is too long" if kind == "string_too_long" else f"{field} is not text"


def _json_lines(text: str) -> Iterator[tuple[int, object]]:
    """Number and content of each line that is not empty; what is wrong with it, as text, where it is no object."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "this is not JSON"
        else:
            yield number, row if isinstance(row, dict) else "this is not a JSON object"


def _csv_rows(text: str) -> Iterator[tuple[int, object]]:
    """Likewise for CSV, separated by commas, semicolons or tabs."""
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        if not {"question", "answer"} <= set(reader.fieldnames or ()):
            yield 1, "the columns must be named question and answer"
            return
        for row in reader:
            yield (
                reader.line_num,
                {name: value for name, value in row.items() if name is not None and value is not None},
            )
    except csv.Error as error:
        yield reader.line_num, f"this is not CSV ({error})"
