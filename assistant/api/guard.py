"""Keeps web pages from elsewhere out, whether the program asks for a login or listens on loopback and asks nobody.

A browser lets any page send requests to 127.0.0.1. Two things tell such a request: its ``Origin`` and
``Sec-Fetch-Site`` headers, which a page cannot forge, and its ``Host``, which names the attacker's domain when that
domain is made to resolve to 127.0.0.1 (DNS rebinding). With a login the latter is harmless, since the browser sends
the cookie to the host that set it alone; and the host may be any name that a reverse proxy is known by.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.accounts import Accounts
from assistant.api.errors import problem

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": browsers would then send "Origin: null" with this program's own forms.
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware around the whole application, mounts and WebSockets included.

    Refuses with 403 what another web page sent and, while no login is asked for, what was sent to a name other than
    this machine's loopback. Adds the security headers to every answer that does not set them itself.
    """

    def __init__(self, app: ASGIApp, accounts: Accounts) -> None:
        self._app = app
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        reason = _refusal(scope, any_host=await asyncio.to_thread(self._accounts.needs_login))
        if reason is None:
            await self._app(scope, receive, send_guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})  # unaccepted: answered by a 403
        else:
            await problem(Headers(scope=scope), 403, reason, kind="not_allowed")(scope, receive, send_guarded)


def _refusal(scope: Scope, *, any_host: bool) -> str | None:
    """Why the request is not let in, or None."""
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not (any_host or _is_loopback(hosts[0])):
        return "This program answers only to 127.0.0.1, [::1] and localhost."
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    own = f"{scheme}://{hosts[0]}".lower()
    if any(origin.lower() != own for origin in headers.getlist("origin")):
        return "This request comes from another web page, which may not use this program."
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not _follows_link(scope, headers):
        return "This request comes from another web page, which may not use this program."
    return None


def _is_loopback(host: str) -> bool:
    """Whether a Host header (``name``, ``name:port``, ``[v6]:port``) names this machine and nothing else."""
    name, separator, port = host.rpartition(":")
    if not separator or host.endswith("]"):
        name, port = host, ""
    if port and not (port.isascii() and port.isdecimal()):
        return False
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _follows_link(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Whether a person followed a link here: opens a page of its own, which the other page cannot read or frame."""
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
