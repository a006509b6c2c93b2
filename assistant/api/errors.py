"""Every error as one shape of JSON, the one that OpenAI's clients read: ``{"error": {"message", "type", …}}``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from assistant import words
from assistant.errors import (
    BusyError,
    ContextError,
    DocumentError,
    EngineError,
    FielError,
    InputError,
    NotAllowedError,
    NotFoundError,
    TooOftenError,
)

_log = logging.getLogger(__name__)

# The first class that fits decides: kinds before their kind.
_ANSWERS: tuple[tuple[type[FielError], int, str], ...] = (
    (NotFoundError, 404, "not_found"),
    (NotAllowedError, 403, "not_allowed"),
    (TooOftenError, 429, "too_many_requests"),
    (InputError, 422, "invalid_request_error"),
    (DocumentError, 422, "invalid_request_error"),
    (ContextError, 422, "invalid_request_error"),
    (EngineError, 502, "engine_error"),
    (BusyError, 503, "busy"),
    (FielError, 503, "server_error"),
)


def body(message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def problem(
    asked: Mapping[str, str], status: int, message: str, *, kind: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An answer that tells a person what is wrong, in the language that the headers ``asked`` say."""
    told = words.told(message, words.chosen(asked))
    return JSONResponse(body(told, kind), status_code=status, headers=headers)


def describe(error: FielError) -> tuple[int, str]:
    """The HTTP status and the ``type`` that stand for an error."""
    return next((status, kind) for cls, status, kind in _ANSWERS if isinstance(error, cls))


def install(app: FastAPI) -> None:
    """Makes ``app`` answer every error in this shape; a stack trace goes to the log alone."""
    app.add_exception_handler(FielError, known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FielError)
    status, kind = describe(error)
    # OpenAI's clients try again after a 5xx, and each try would be logged as an exchange of its own.
    headers = {"X-Should-Retry": "false"} if isinstance(error, EngineError) else None
    return problem(request.headers, _for_openai(request, status), str(error), kind=kind, headers=headers)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    language = words.chosen(request.headers)
    # What was sent is not echoed: it may be huge, or not be text at all.
    places = (
        f"{'.'.join(str(part) for part in fault['loc'] if part != 'body') or 'body'}: "
        f"{words.told(fault['msg'], language)}"
        for fault in error.errors()[:10]
    )
    message = "; ".join(places).encode(errors="replace").decode()
    return problem(request.headers, _for_openai(request, 422), message, kind="invalid_request_error")


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return problem(request.headers, error.status_code, str(error.detail), kind=kind, headers=dict(error.headers or {}))


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
    message = "Something went wrong inside the program. Its log says more."
    return problem(request.headers, 500, message, kind="server_error")


def _for_openai(request: Request, status: int) -> int:
    """OpenAI's API says 400 where the rest of this one says 422."""
    return 400 if status == 422 and request.url.path.startswith("/v1/") else status
