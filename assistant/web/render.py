"""Templates → pages. Jinja escapes all that is put in; the pages run no script but their own file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assistant import words
from assistant.api import errors
from assistant.api.door import person_of, wants_page
from assistant.errors import FielError
from assistant.records import Role
from assistant.store.forget import REDACTED
from assistant.support import level_of
from assistant.web import markdown

_FOLDER = Path(__file__).parent
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
STATIC = _FOLDER / "static"

_environment = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


_environment.filters["minute"] = _minute
_environment.globals.update(
    counted=words.counted, told=words.told, redacted=REDACTED, answer_shown=markdown.shown, level_of=level_of
)


def page(request: Request, template: str, **values: Any) -> HTMLResponse:
    """The page in the reader's language, with ``w`` (its words) and ``me`` (who is reading, or None)."""
    language = words.chosen(request.headers)
    me = person_of(request.scope)
    html = _environment.get_template(f"{template}.html").render(
        w=words.LANGUAGES[language],
        language=language,
        languages=words.LANGUAGES,
        me=me,
        is_admin=me is not None and me.role is Role.ADMIN,
        here=request.url.path,
        **values,
    )
    return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "private, no-store"})


def problem(request: Request, status: int, message: str) -> HTMLResponse:
    """The page that tells somebody who followed a link what is wrong with it."""
    shown = page(request, "problem", message=words.told(message, words.chosen(request.headers)))
    shown.status_code = status
    return shown


def shown(request: Request, error: Exception) -> Response:
    """An error as a page where a page was asked for, else as the API tells it."""
    assert isinstance(error, FielError)
    if wants_page(request.scope):
        return problem(request, errors.describe(error)[0], str(error))
    return errors.known(request, error)


def following_page(request: Request, *, before: object) -> str:
    """The address of the same page with the same filters, from after the last thing that it shows."""
    return "?" + urlencode({**request.query_params, "before": str(before)})
