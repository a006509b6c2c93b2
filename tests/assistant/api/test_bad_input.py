from __future__ import annotations

import json
import logging

import httpx
import pytest
from fastapi import FastAPI

ASK = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}
QUESTION = [{"role": "user", "content": "Why?"}]


def body(**more: object) -> bytes:
    return json.dumps({"messages": QUESTION} | more).encode()


BAD: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("POST", ASK, b"", JSON),
    ("POST", ASK, b"{", JSON),
    ("POST", ASK, b"null", JSON),
    ("POST", ASK, b"[]", JSON),
    ("POST", ASK, b"\xff\xfe", JSON),
    ("POST", ASK, b'{"messages": NaN}', JSON),
    ("POST", ASK, b"[" * 100_000, JSON),
    ("POST", ASK, body(), {"Content-Type": "text/plain"}),
    ("POST", ASK, body(), {}),
    ("POST", ASK, body(messages=[]), JSON),
    ("POST", ASK, body(messages={}), JSON),
    ("POST", ASK, body(messages=QUESTION * 1001), JSON),
    ("POST", ASK, body(messages=[{"role": "user"}]), JSON),
    ("POST", ASK, body(messages=[{"role": "user", "content": None}]), JSON),
    ("POST", ASK, body(messages=[{"role": "user", "content": 1}]), JSON),
    ("POST", ASK, body(messages=[{"role": "user", "content": "  \n"}]), JSON),
    ("POST", ASK, body(messages=[{"role": "user", "content": "a\0b"}]), JSON),
    ("POST", ASK, b'{"messages": [{"role": "user", "content": "\\ud800"}]}', JSON),
    ("POST", ASK, b'{"\\ud800": 1, "messages": [{"role": "user", "content": 1}]}', JSON),
    ("POST", ASK, body(messages=[{"role": "tool", "content": "x"}]), JSON),
    ("POST", ASK, body(model=1), JSON),
    ("POST", ASK, body(model="gpt-4o"), JSON),
    ("POST", ASK, body(stream="yes"), JSON),
    ("POST", ASK, body(n=3), JSON),
    ("POST", ASK, body(document_ids="1"), JSON),
    ("POST", ASK, body(document_ids=[0]), JSON),
    ("POST", ASK, body(document_ids=[True]), JSON),
    ("POST", ASK, body(document_ids=[2**70]), JSON),
    ("POST", ASK, body(document_ids=[12345]), JSON),
    ("POST", ASK, body(document_ids=list(range(1, 2000))), JSON),
    ("POST", ASK, body(conversation_id="unknown"), JSON),
    ("POST", ASK, body(conversation_id="\0"), JSON),
    ("GET", ASK, b"", {}),
    ("GET", "/v1/models/unknown", b"", {}),
    ("GET", "/v1/models/%00", b"", {}),
    ("POST", "/api/documents", b"", {}),
    ("POST", "/api/documents", b"{}", JSON),
    ("POST", "/api/documents", b"files=x", {"Content-Type": "application/x-www-form-urlencoded"}),
    ("POST", "/api/documents", b"x", {"Content-Type": "multipart/form-data"}),
    ("POST", "/api/documents", b"x", {"Content-Type": "multipart/form-data; boundary=x"}),
    ("POST", "/api/documents", b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\ntext\r\n--x--\r\n',
     {"Content-Type": "multipart/form-data; boundary=x"}),
    ("POST", "/api/documents",
     b'--x\r\nContent-Disposition: form-data; name="files"; filename="\xff"\r\n\r\n\r\n--x--\r\n',
     {"Content-Type": "multipart/form-data; boundary=x"}),
    ("GET", "/api/documents/0", b"", {}),
    ("GET", "/api/documents/-1", b"", {}),
    ("GET", "/api/documents/one", b"", {}),
    ("GET", "/api/documents/99999999999999999999999", b"", {}),
    ("GET", "/api/documents/12345", b"", {}),
    ("GET", "/api/documents/%ff/original", b"", {}),
    ("GET", "/api/documents/../../etc/passwd", b"", {}),
    ("GET", "/documents/12345", b"", {}),
    ("GET", "/documents/1?start=x", b"", {}),
    ("GET", "/documents/1?start=-1&end=9", b"", {}),
    ("DELETE", "/api/documents/12345", b"", {}),
    ("DELETE", "/api/documents", b"", {}),
    ("POST", "/api/documents/12345/retry", b"", {}),
    ("GET", "/api/exchanges/%00", b"", {}),
    ("GET", "/api/exchanges/%ff", b"", {}),
    ("GET", "/api/exchanges/" + "x" * 10_000, b"", {}),
    ("PUT", "/api/exchanges/unknown/rating", b'{"value": 1}', JSON),
    ("PUT", "/api/exchanges/unknown/rating", b'{"value": 1, "person_id": 2}', JSON),
    ("PATCH", "/api/conversations/unknown", b'{"title": "x"}', JSON),
    ("PATCH", "/api/conversations/unknown", b'{"title": "  "}', JSON),
    ("PATCH", "/api/conversations/unknown", b'{"title": "\\ud800"}', JSON),
    ("GET", "/api/conversations?search=%00", b"", {}),
    ("GET", "/api/conversations?limit=0", b"", {}),
    ("GET", "/api/conversations/unknown/export?form=exe", b"", {}),
    ("POST", "/api/ingest", b'{"path": "/etc/passwd"}', JSON),
    ("POST", "/api/ingest", b'{"path": "\\ud800"}', JSON | {"Authorization": "Bearer local-token"}),
    ("POST", "/api/ingest", b'{"path": "/"}', JSON | {"Authorization": "Bearer \xff"}),
]  # fmt: skip


def test_bad_input_is_told_in_words(http: httpx.Client) -> None:
    wrong = []
    for method, path, content, headers in BAD:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = http.request(method, path, content=content, headers=raw)
        try:
            message = response.json()["error"]["message"]
        except (ValueError, KeyError):
            message = ""
        if not (400 <= response.status_code < 500 and message):
            wrong.append((method, path[:60], content[:60], response.status_code, response.text[:200]))
    assert wrong == []


def test_errors_speak_the_readers_language(http: httpx.Client) -> None:
    def told(language: str, method: str, path: str, **more: object) -> str:
        response = http.request(method, path, headers={"Accept-Language": language}, **more)  # type: ignore[arg-type]
        return str(response.json()["error"]["message"])

    assert told("pt-BR", "GET", "/api/documents/12345") == "Não há esse documento."
    assert told("en", "GET", "/api/documents/12345") == "There is no such document."
    assert told("pt", "PUT", "/api/exchanges/x/rating", json={}) == "value: falta este campo"


def test_huge_body_is_refused(http: httpx.Client) -> None:
    assert http.post(ASK, content=b'{"messages": "' + b"x" * 5_000_000 + b'"}', headers=JSON).status_code == 413


def test_forms_send_empty_fields(http: httpx.Client) -> None:
    fields = ("review", "value", "reason", "document", "person", "adapter", "since", "until", "support_below", "words")
    empty = dict.fromkeys(fields, "")
    assert http.get("/api/export", params=empty).status_code == 200
    assert http.get("/api/audit", params={"since": "", "until": ""}).status_code == 200
    for name, value in (
        ("document", "0"), ("person", "x"), ("support_below", "1.5"), ("until", "9999-12-31"), ("since", "today"),
    ):  # fmt: skip
        assert http.get("/api/export", params=empty | {name: value}).status_code == 422, name


def test_harmless_oddities_are_served(http: httpx.Client) -> None:
    for path in ("/api/conversations?search=%ff", "/api/conversations?search=%25_%27%22", "/api/conversations?search="):
        assert http.get(path).status_code == 200


def test_unexpected_error_shows_no_trace(app: FastAPI, http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("a secret of the program")

    with caplog.at_level(logging.ERROR):
        response = http.get("/broken")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["error"]["type"] == "server_error"
    assert "a secret of the program" in caplog.text


def test_documentation_needs_no_network(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert {ASK, "/api/documents", "/api/exchanges/{exchange_id}/rating", "/healthz"} <= set(paths)
    for page in ("/docs", "/redoc"):
        html = http.get(page).text
        assert "https://" not in html
        for script in {part.split('"')[0] for part in html.split('src="')[1:]}:
            assert len(http.get(script).content) > 100_000
