"""Finds out who is asking, and lets nobody past who is not: API, pages, mounts and WebSockets alike.

In this order: the token of the command line (the local admin), an API key, the session of a browser; and while there
is no account at all, everybody is the local admin. What may be asked without that is listed here and nowhere else.
"""

from __future__ import annotations

import asyncio
import secrets
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant.accounts import Accounts
from assistant.api.errors import problem
from assistant.records import Person

COOKIE = "fiel_session"
REFUSED = "fiel.refused"
"""In the scope of a request: the status that stands for its refusal where the answer's is another."""
_PERSON = "fiel.person"
_OPEN = frozenset({"/healthz", "/login", "/api/session", "/api/language", "/robots.txt", "/favicon.ico"})
_OPEN_BELOW = ("/invitations/", "/api/invitations/", "/style/")


def is_open(path: str) -> bool:
    """Whether somebody who has not signed in may ask for it."""
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def person_of(scope: Scope) -> Person | None:
    """Who is asking; None for somebody who has not signed in."""
    person: Person | None = scope.get(_PERSON)
    return person


class Door:
    """ASGI middleware inside the guard and around everything else."""

    def __init__(self, app: ASGIApp, accounts: Accounts, local_admin: Person, local_token: str) -> None:
        self._app = app
        self._accounts = accounts
        self._local_admin = local_admin
        self._local_token = local_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        person = await asyncio.to_thread(self._who, HTTPConnection(scope))
        if person is not None or is_open(scope["path"]):
            scope[_PERSON] = person
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "Please sign in."})
        elif wants_page(scope):
            if COOKIE in HTTPConnection(scope).cookies:  # of a session that has ended
                scope[REFUSED] = 401
            back = quote(scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else ""))
            await RedirectResponse(f"/login?next={back}", status_code=303)(scope, receive, send)
        else:
            headers = {"WWW-Authenticate": "Bearer"}
            refusal = problem(Headers(scope=scope), 401, "Please sign in.", kind="not_signed_in", headers=headers)
            await refusal(scope, receive, send)

    def _who(self, connection: HTTPConnection) -> Person | None:
        bearer = connection.headers.get("authorization", "").removeprefix("Bearer ")
        if bearer and secrets.compare_digest(bearer.encode(), self._local_token.encode()):
            return self._local_admin
        if not self._accounts.needs_login():
            return self._local_admin  # whatever key a client sends along: OpenAI's wants one
        if bearer:
            return self._accounts.by_key(bearer)
        token = connection.cookies.get(COOKIE, "")
        return self._accounts.by_session(token) if token else None


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks for a page to show, and not a script or a program for data."""
    return scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")
