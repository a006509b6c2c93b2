"""The golden questions as the gate asks them: with the passages that were found for them last.

What is kept of them among the gate's scores belongs to no exchange, so it goes whenever a document goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from assistant import splits
from assistant.records import Passage
from assistant.store import examples, gate
from assistant.store.database import Database
from assistant.store.tables import GateScoreRow, GoldenRow

MOST = 600
"""Of the latest golden questions, so many are asked."""

_passages = TypeAdapter(tuple[Passage, ...])


@dataclass(frozen=True, slots=True)
class Frozen:
    id: int
    question: str
    answer: str
    passages: tuple[Passage, ...]
    """At least one."""

    @property
    def group(self) -> str:
        return splits.group_of(self.passages) or ""


def freeze(database: Database, search: Callable[[str], tuple[Passage, ...]]) -> None:
    """Finds and keeps the passages of the golden questions, for a cycle that begins. Raises what ``search`` raises."""
    with database.read() as session:
        asked = [(row.id, row.question) for row in _latest(session)]
    for number, question in asked:
        found = search(question)
        shown, documents = [asdict(passage) for passage in found], {passage.document_id for passage in found}
        with database.write() as session:
            session.execute(delete(GateScoreRow).where(GateScoreRow.key == _key(number)))
            gate.keep_score(session, _key(number), shown, exchange_id=None, documents=documents)


def frozen(session: Session) -> Iterator[Frozen]:
    """Those for which something was found."""
    for row in _latest(session):
        kept = gate.score(session, _key(row.id))
        if kept:
            yield Frozen(row.id, row.question, row.answer, _passages.validate_python(kept))


def proving(session: Session) -> Iterator[Frozen]:
    """Those that the gate asks: not where something is learnt from the section that they are about."""
    learnt = examples.open_groups(session)
    return (each for each in frozen(session) if each.group not in learnt)


def _latest(session: Session) -> Iterator[GoldenRow]:
    return iter(session.scalars(select(GoldenRow).order_by(GoldenRow.id.desc()).limit(MOST)).all())


def _key(number: int) -> str:
    return f"golden:{number}"
