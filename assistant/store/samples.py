"""Sentences that people judge blind, and how far a judge agrees with them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from assistant.errors import NotFoundError
from assistant.store import exchanges
from assistant.store.tables import ExchangeRow, SampleRow, SupportRow

_LATEST = 2_000


@dataclass(frozen=True, slots=True)
class Sample:
    """What a person is shown: never the verdict of the judge, nor which judge it was."""

    id: int
    question: str
    passages: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``n``, with Wilson's 95 % interval (Wilson 1927)."""

    hits: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        if not self.n:
            return 0.0, 1.0
        z, p = 1.96, self.hits / self.n
        middle = (p + z * z / (2 * self.n)) / (1 + z * z / self.n)
        half = z / (1 + z * z / self.n) * math.sqrt(p * (1 - p) / self.n + z * z / (4 * self.n * self.n))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the sentences that people found supported, those that ``judge`` did too; likewise of the unsupported ones."""

    judge: str
    sensitivity: Share
    specificity: Share

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of both shares; None until both kinds were seen."""
        if not self.sensitivity.n or not self.specificity.n:
            return None
        return (self.sensitivity.hits / self.sensitivity.n + self.specificity.hits / self.specificity.n) / 2

    def as_json(self) -> dict[str, Any]:
        shares = {"sensitivity": self.sensitivity, "specificity": self.specificity}
        return {
            "judge": self.judge,
            "balanced_accuracy": self.balanced_accuracy,
            **{name: {"hits": s.hits, "n": s.n, "interval": s.interval} for name, s in shares.items()},
        }


def add(
    session: Session,
    *,
    exchange_id: str | None,
    question: str,
    passages: Sequence[str],
    sentence: str,
    judge: str,
    supported: bool,
    probability: float | None,
) -> None:
    """Puts a sentence up for labelling. Whoever calls chooses at random, whatever the verdict: else both shares lie.

    Nothing happens if the exchange, or a passage of it, was deleted meanwhile.
    """
    if exchange_id is not None:
        row = session.get(ExchangeRow, exchange_id)
        if row is None or [passage["text"] for passage in row.passages] != list(passages):
            return
    values = {"exchange_id": exchange_id, "question": question, "passages": list(passages), "sentence": sentence}
    verdict = {"judge": judge, "supported": supported, "probability": probability}
    session.add(SampleRow(**values, **verdict, created_at=datetime.now(UTC)))


def draw(session: Session, count: int) -> int:
    """Puts up a random sentence of each of up to ``count`` random answers of late; returns how many.

    Only of exchanges that may be seen by others, and of each one once.
    """
    there = select(SampleRow.exchange_id).where(SampleRow.exchange_id.is_not(None))
    latest = (
        select(ExchangeRow.id)
        .join(SupportRow, SupportRow.exchange_id == ExchangeRow.id)
        .where(exchanges.learnable(), ExchangeRow.id.not_in(there))
        .order_by(ExchangeRow.created_at.desc())
        .limit(_LATEST)
    )
    ids = list(session.scalars(latest))
    chosen = random.sample(ids, min(count, len(ids)))
    query = select(ExchangeRow, SupportRow).join(SupportRow, SupportRow.exchange_id == ExchangeRow.id)
    for row, support in session.execute(query.where(ExchangeRow.id.in_(chosen))):
        one = random.choice(support.sentences)  # noqa: S311
        add(
            session,
            exchange_id=row.id,
            question=row.question,
            passages=[passage["text"] for passage in row.passages],
            sentence=row.answer[one["start"] : one["end"]],
            judge=support.judge,
            supported=one["supported"],
            probability=one["probability"],
        )
    return len(chosen)


def questions(session: Session, judge: str) -> frozenset[str]:
    """The questions to which an answer was put up that ``judge`` had judged."""
    return frozenset(session.scalars(select(SampleRow.question).where(SampleRow.judge == judge)))


def following(session: Session) -> Sample | None:
    """The first one that waits for a label, of those whose exchange may still be seen by others."""
    row = session.scalar(_waiting().order_by(SampleRow.id).limit(1))
    return None if row is None else Sample(row.id, row.question, tuple(row.passages), row.sentence)


def waiting(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(_waiting().subquery())) or 0


def label(session: Session, sample_id: int, *, supported: bool, by: int) -> None:
    """Raises NotFoundError if there is no such sample, or somebody was faster."""
    row = session.scalar(_waiting().where(SampleRow.id == sample_id))
    if row is None:
        raise NotFoundError("This sentence is gone, or somebody has judged it already.")
    row.human, row.labelled_by, row.labelled_at = supported, by, datetime.now(UTC)


def agreements(session: Session) -> list[Agreement]:
    """How far each judge agrees with people, as far as they labelled."""
    rows = session.execute(
        select(SampleRow.judge, SampleRow.human, SampleRow.supported, func.count())
        .where(SampleRow.human.is_not(None))
        .group_by(SampleRow.judge, SampleRow.human, SampleRow.supported)
    )
    counts = {(judge, human, supported): number for judge, human, supported, number in rows}

    def share(judge: str, *, human: bool) -> Share:
        agreed, not_agreed = counts.get((judge, human, human), 0), counts.get((judge, human, not human), 0)
        return Share(agreed, agreed + not_agreed)

    return [
        Agreement(judge, share(judge, human=True), share(judge, human=False))
        for judge in sorted({key[0] for key in counts})
    ]


def _waiting() -> Select[SampleRow]:
    visible = select(ExchangeRow.id).where(exchanges.learnable())
    seen = or_(SampleRow.exchange_id.is_(None), SampleRow.exchange_id.in_(visible))
    return select(SampleRow).where(SampleRow.human.is_(None), seen)
