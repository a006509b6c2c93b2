"""Pages for admins: the review queue, ratings of one question side by side, blind labelling, and charts."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from assistant.api.dependencies import Parts, current_admin
from assistant.api.review import Filtered
from assistant.records import Review
from assistant.store import accounts, charts, samples
from assistant.store import review as store
from assistant.web.render import page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[Depends(current_admin)])

_COUNTED = 1000
_PAGE = 20
_Before = Annotated[str, Query(pattern=r"^$|^\d{4}-[\d\-T:.+]{10,40}Z? \d{1,15}$")]


@router.get("/review")
def review_queue(request: Request, services: Parts, chosen: Filtered, before: _Before = "") -> HTMLResponse:
    """What waits for review, if the address does not say otherwise."""
    if "review" not in request.query_params:
        chosen = replace(chosen, review=Review.PENDING)
    with services.database.read() as session:
        items = store.queue(session, chosen, before=_position(before), limit=_PAGE)
        values: dict[str, Any] = {
            "items": items,
            "count": store.count(session, chosen, most=_COUNTED + 1),
            "counted_up_to": _COUNTED,
            "people": accounts.accounts(session),
            "adapters": store.adapters(session),
            "agreements": samples.agreements(session),
        }
    asked = {name: value for name, value in request.query_params.items() if name != "before"}
    last = items[-1] if len(items) == _PAGE else None
    following = _link(asked | {"before": f"{_seen(last)} {last.id}"}) if last else ""
    return page(request, "review", chosen=asdict(chosen), following=following, base=store.BASE, seen=_seen, **values)


@router.get("/review/same")
def same_question(
    request: Request, services: Parts, kind: Literal["contradictions", "duplicates"] = "contradictions"
) -> HTMLResponse:
    with services.database.read() as session:
        groups = store.same_question(session, contradicting=kind == "contradictions")
    return page(request, "same", groups=groups, kind=kind, seen=_seen)


@router.get("/review/sentences")
def label_sentences(request: Request, services: Parts) -> HTMLResponse:
    with services.database.read() as session:
        values: dict[str, Any] = {
            "sample": samples.following(session),
            "waiting": samples.waiting(session),
            "agreements": samples.agreements(session),
        }
    return page(request, "samples", **values)


@router.get("/charts")
def show_charts(request: Request, services: Parts, days: Annotated[int, Query(ge=1, le=3650)] = 30) -> HTMLResponse:
    since = datetime.now(UTC) - timedelta(days=days)
    with services.database.read() as session:
        return page(
            request,
            "charts",
            days=days,
            latest=charts.LATEST,
            by_day=charts.by_day(session, since),
            by_adapter=charts.by_adapter(session, since),
            by_document=charts.by_document(session, since),
            by_reason=charts.by_reason(session, since),
            unanswered=charts.unanswered(session, since),
        )


def _seen(item: store.Item) -> str:
    assert item.exchange.rating is not None  # it is a queue of ratings
    return item.exchange.rating.updated_at.isoformat()


def _position(before: str) -> tuple[datetime, int] | None:
    moment, _, number = before.partition(" ")
    return (datetime.fromisoformat(moment), int(number)) if number else None


def _link(values: dict[str, str]) -> str:
    return "?" + urlencode(values)
