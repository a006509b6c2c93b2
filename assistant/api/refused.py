"""Tells the audit log of every request that was refused; tells a body that is too large in the shape of all errors."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.api.door import REFUSED, person_of
from assistant.api.errors import problem
from assistant.refusals import Refusals


class Refused:
    """ASGI middleware around all others. Nothing is noted of paths that do not exist: nothing of anybody's is there."""

    def __init__(self, app: ASGIApp, refusals: Refusals) -> None:
        self._app = app
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        plain = b""

        async def send_noted(message: Message) -> None:
            nonlocal plain
            if message["type"] == "http.response.start":
                await self._note(scope, scope.get(REFUSED, message["status"]))
                headers = MutableHeaders(scope=message)
                # The framework's limit answers in plain text, and so early that no handler of errors sees it.
                if message["status"] == 413 and headers.get("content-type", "").startswith("text/plain"):
                    told = problem(Headers(scope=scope), 413, "What was sent is too large.", kind="too_large")
                    plain = bytes(told.body)
                    headers["content-type"], headers["content-length"] = "application/json", str(len(plain))
            elif plain:
                message = {"type": "http.response.body", "body": plain}
            await send(message)

        await self._app(scope, receive, send_noted)

    async def _note(self, scope: Scope, status: int) -> None:
        if not 400 <= status < 500:
            return
        route = getattr(scope.get("route"), "path", "")
        if status == 404 and not route:
            return
        what = f"{scope['method']} {route}".strip()
        address = scope["client"][0] if scope.get("client") else ""
        await asyncio.to_thread(self._refusals.note, status, what, person=person_of(scope), address=address)
