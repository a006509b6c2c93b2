"""The page of what goes out and comes in, for admins: exports, the golden set, and adapters that deletions affect."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from assistant import golden
from assistant.api.dependencies import Parts, Text, current_admin
from assistant.records import Review
from assistant.store import accounts, adapters, review
from assistant.web.render import following_page, page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[Depends(current_admin)])

_COUNTED = 1_000
_PAGE = 50


@router.get("/data")
def show_data(
    request: Request,
    services: Parts,
    *,
    search: Annotated[Text, Query(max_length=200)] = "",
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> HTMLResponse:
    accepted = review.Filters(review=Review.ACCEPTED)
    with services.database.read() as session:
        found = golden.found(session, search=search.strip(), before=before, limit=_PAGE)
        return page(
            request,
            "data",
            chosen=review.Filters(),
            accepted=review.count(session, accepted, most=_COUNTED + 1),
            counted_up_to=_COUNTED,
            base=review.BASE,
            people=accounts.accounts(session),
            adapters=review.adapters(session),
            golden=found,
            golden_count=golden.count(session),
            search=search,
            following=following_page(request, before=found[-1][0]) if len(found) == _PAGE else "",
            versions=adapters.every(session),
        )
