"""Whether the champion has taken a clear turn for the worse, by people's thumbs or the judge's support scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from assistant.records import AdapterService, Side
from assistant.store import adapters
from assistant.store.tables import ExchangeRow, RatingRow, SupportRow

LEAST = 30
"""Scores that there have to be before and since."""
CLEAR = 3.0
"""Standard errors between the two means: by chance one look in 700, and people look often."""
_LATEST = 1_000
_LONGEST = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Turn:
    """``measure`` (``thumbs`` or ``support``) fell from ``before`` to ``now``, means of so many scores in [0, 1]."""

    measure: str
    version: str
    before: float
    now: float
    n_before: int
    n_now: int


def turns(session: Session, base: str) -> list[Turn]:
    """Those of the champion since it answers, against whatever answered before it; none while the base answers."""
    served = adapters.services(session, base)
    if not served or (version := served[0].version) is None:
        return []
    began = datetime.min.replace(tzinfo=UTC)
    before = served[1] if len(served) > 1 else AdapterService(None, began, served[0].since, None, "")
    found = []
    for measure, query in (("thumbs", _thumbs()), ("support", _support())):
        old, new = (_scores(session, query, base, each) for each in (before, served[0]))
        if min(old.count, new.count) >= LEAST and old.mean - new.mean > CLEAR * math.hypot(old.error, new.error):
            found.append(Turn(measure, version, old.mean, new.mean, old.count, new.count))
    return found


@dataclass(frozen=True, slots=True)
class _Scores:
    count: int
    mean: float
    error: float


def _thumbs() -> Select[Any]:
    value = case((RatingRow.value > 0, 1.0), else_=0.0).label("score")
    return select(value).join(ExchangeRow, ExchangeRow.id == RatingRow.exchange_id)


def _support() -> Select[Any]:
    return select(SupportRow.score.label("score")).join(ExchangeRow, ExchangeRow.id == SupportRow.exchange_id)


def _scores(session: Session, query: Select[Any], base: str, service: AdapterService) -> _Scores:
    """Of the latest answers that were given in this time, in its last 60 days."""
    until = service.until or datetime.now(UTC)
    query = query.where(
        ExchangeRow.side.in_(list(Side)),  # for the index: whatever showed a passage has one
        ExchangeRow.created_at.between(max(service.since, until - _LONGEST), until),
        ExchangeRow.model == base,
        ExchangeRow.adapter.is_(None) if service.version is None else ExchangeRow.adapter == service.version,
    )
    latest = query.order_by(ExchangeRow.created_at.desc()).limit(_LATEST).subquery()
    score = latest.c.score
    count, mean, square = session.execute(select(func.count(score), func.avg(score), func.avg(score * score))).one()
    if not count:
        return _Scores(0, 0.0, math.inf)
    # One more score on either side, so that scores which are all alike do not look certain.
    spread = (max(square - mean**2, 0.0) * count + 0.5) / (count + 2)
    return _Scores(count, float(mean), math.sqrt(spread / count))
