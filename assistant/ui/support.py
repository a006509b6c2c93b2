"""The badge of an answer: how many of its sentences the sources support, and each of them when it is opened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from assistant import words as languages
from assistant.api.dependencies import Me, Parts, Text
from assistant.records import Exchange, ExchangeStatus, SentenceSupport
from assistant.store import exchanges, samples
from assistant.support import level_of
from assistant.ui import icons, words
from assistant.ui.render import NOTHING, joined

router = APIRouter(include_in_schema=False)

_AWAITED = timedelta(minutes=2)
"""An answer that nobody has judged by then is not judged while somebody waits for it."""


@router.get("/exchanges/{exchange_id}/support", response_class=HTMLResponse)
def get_badge(exchange_id: Text, request: Request, services: Parts, person: Me) -> Response:
    """The badge as a piece of the page; 204 while no judge has looked."""
    with services.database.read() as session:
        exchange = exchanges.get(session, exchange_id, person_id=person.id)
    if exchange.support is None:
        return Response(status_code=204)
    with words.building(languages.chosen(request.headers)):
        return HTMLResponse(badge(exchange))


@router.get("/exchanges/{exchange_id}/support/checked", response_class=HTMLResponse)
def get_checked(exchange_id: Text, request: Request, services: Parts, person: Me) -> HTMLResponse:
    """How far people here agreed with the judge of the badge, as a piece of the page."""
    with services.database.read() as session:
        support = exchanges.get(session, exchange_id, person_id=person.id).support
        found = next((one for one in samples.agreements(session) if support and one.judge == support.judge), None)
    with words.building(languages.chosen(request.headers)):
        if found is None:
            return HTMLResponse(Markup("<p>{}</p>").format(words.SUPPORT_UNCHECKED))
        shares = {"found": _share(found.sensitivity), "not_found": _share(found.specificity)}
        return HTMLResponse(Markup("<p>{}</p>").format(words.SUPPORT_CHECKED.format(**shares)))


def _share(share: samples.Share) -> str:
    low, high = share.interval
    return f"{share.hits}/{share.n} [{low:.0%}, {high:.0%}]"


def badge(exchange: Exchange) -> Markup:
    """Nothing until a judge has looked, but for a new answer a place that the script fills when one has."""
    if exchange.support is None:
        new = datetime.now(UTC) - exchange.created_at < _AWAITED and exchange.status is ExchangeStatus.COMPLETE
        place = Markup('<span data-await="/exchanges/{}/support"></span>').format(exchange.id)
        return place if new and exchange.citations else NOTHING
    sentences = exchange.support.sentences
    if not sentences:
        return NOTHING
    supported = sum(sentence.supported for sentence in sentences)
    text = words.SUPPORT[1 if len(sentences) == 1 else 2].format(supported=supported, total=len(sentences))
    return Markup(
        '<details class="support{}"><summary title="{}">{}<span>{}</span></summary><ol>{}</ol>'
        '<p data-checked="/exchanges/{}/support/checked"></p></details>'
    ).format(
        NOTHING if supported == len(sentences) else Markup(" partly"),
        words.SUPPORT_TEXT,
        icons.CHECK,
        text,
        joined(_sentence(exchange.answer, sentence) for sentence in sentences),
        exchange.id,
    )


def _sentence(answer: str, found: SentenceSupport) -> Markup:
    level = level_of(found)
    return Markup('<li class="{}"><span>{}</span> <small>{}</small></li>').format(
        level, answer[found.start : found.end].strip(), words.LEVELS[level]
    )
