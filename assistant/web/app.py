"""Puts these pages onto the application that serves the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, FastAPI, Response
from fastapi.staticfiles import StaticFiles
from pydantic import Field

from assistant import words
from assistant.api.dependencies import Body
from assistant.errors import FielError
from assistant.web import accounts, data, review, training
from assistant.web.render import STATIC, shown

_YEAR = 365 * 24 * 3600
_language = APIRouter(tags=["account"])


class LanguageBody(Body):
    language: Annotated[str, Field(pattern="^(" + "|".join(words.LANGUAGES) + ")$")]


@_language.put("/api/language", status_code=204)
def choose_language(body: LanguageBody) -> Response:
    """The language of the pages in this browser, whatever the browser itself asks for."""
    response = Response(status_code=204)
    response.set_cookie(words.COOKIE, body.language, max_age=_YEAR, samesite="lax", httponly=True)
    return response


def mount(app: FastAPI) -> None:
    for router in (_language, accounts.router, review.router, data.router, training.router):
        app.include_router(router)
    app.add_exception_handler(FielError, shown)
    app.mount("/style", StaticFiles(directory=STATIC), name="style")
