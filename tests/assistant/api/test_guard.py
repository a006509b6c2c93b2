from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from starlette.responses import PlainTextResponse
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture(autouse=True)
def mounted(app: FastAPI) -> None:
    """A page beside the API, as Gradio's is, and a WebSocket."""
    app.mount("/page", PlainTextResponse("hello"))

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())


def statuses(http: httpx.Client, headers: dict[str, str], method: str = "GET") -> set[int]:
    """What the API and a mounted page say to a request with these headers."""
    return {
        http.request(method, path, headers=headers).status_code for path in ("/api/documents", "/page/", "/healthz")
    }


FOREIGN_HOSTS = (
    "evil.example evil.example:80 localhost.evil.example 127.0.0.1.evil.example 192.168.1.2 0.0.0.0 localhost:x [::2] "
    "localhost:80@evil.example 169.254.169.254 127.0.0.1:80:80"
).split()
LOOPBACK_HOSTS = "localhost LOCALHOST:7860 127.0.0.1 127.0.0.1:1 [::1] [::1]:7860".split()
FOREIGN_PAGES = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost:1"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    LINK | {"Origin": "https://evil.example"},
)


def test_only_loopback_hosts_are_let_in(http: httpx.Client) -> None:
    for host in [*FOREIGN_HOSTS, ""]:
        assert statuses(http, {"Host": host}) == {403}, host
    for host in LOOPBACK_HOSTS:
        assert statuses(http, {"Host": host}) == {200}, host


def test_other_pages_are_refused(http: httpx.Client) -> None:
    for headers in FOREIGN_PAGES:
        for method in ("GET", "POST"):
            assert statuses(http, headers, method) == {403}, headers
    refused = http.post("/api/documents", headers={"Origin": "null"})
    assert refused.json()["error"]["type"] == "not_allowed"
    assert refused.headers["x-content-type-options"] == "nosniff"


def test_form_of_another_page_is_refused(http: httpx.Client) -> None:
    headers = LINK | {"Content-Type": "text/plain"}
    assert http.post("/v1/chat/completions", content='{"messages":[]}', headers=headers).status_code == 403


def test_own_pages_and_links_are_let_in(http: httpx.Client, address: str) -> None:
    assert statuses(http, {"Origin": address}) == {200}
    assert statuses(http, {"Sec-Fetch-Site": "same-origin"}) == {200}
    assert statuses(http, {"Sec-Fetch-Site": "none"}) == {200}
    assert statuses(http, LINK) == {200}


def test_websockets_are_guarded(address: str) -> None:
    url = address.replace("http", "ws") + "/echo"
    with connect(url, origin=address, proxy=None) as socket:  # type: ignore[arg-type]
        socket.send("hello")
        assert socket.recv() == "hello"
    for origin in ("https://evil.example", "null"):
        with pytest.raises(InvalidStatus) as caught:
            connect(url, origin=origin, proxy=None)  # type: ignore[arg-type]
        assert caught.value.response.status_code == 403


def test_security_headers(http: httpx.Client) -> None:
    for path in ("/healthz", "/page/", "/nowhere", "/docs"):
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
