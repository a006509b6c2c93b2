"""Rows of what a judge found of answers: which of their sentences the passages support."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from assistant.records import SentenceSupport, Support
from assistant.store.tables import ExchangeRow, SupportRow

_sentences = TypeAdapter(tuple[SentenceSupport, ...])


def keep(session: Session, exchange_id: str, support: Support, *, answer: str) -> None:
    """Sets what was found of ``answer``; nothing happens if the exchange went or lost its words meanwhile."""
    row = session.get(ExchangeRow, exchange_id)
    if row is None or row.answer != answer:
        return
    session.merge(
        SupportRow(
            exchange_id=exchange_id,
            score=support.score,
            sentences=[asdict(sentence) for sentence in support.sentences],
            judge=support.judge,
            created_at=datetime.now(UTC),
        )
    )


def support_of(row: SupportRow) -> Support:
    return Support(score=row.score, sentences=_sentences.validate_python(row.sentences), judge=row.judge)
