from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from assistant.records import Document
from assistant.services import Services
from assistant.store import exchanges
from assistant.store.tables import ExchangeRow
from tests.assistant.api.conftest import LIGHTHOUSE, TOKEN
from tests.conftest import People


@pytest.fixture
def asked(http: httpx.Client, add: Callable[..., Document]) -> dict[str, str]:
    """A question that was asked and answered."""
    add()
    body = {"messages": [{"role": "user", "content": "When was the lighthouse of Cabo Raso built?"}]}
    reply: dict[str, str] = http.post("/v1/chat/completions", json=body).raise_for_status().json()
    return reply


def test_rating(http: httpx.Client, asked: dict[str, str]) -> None:
    path = f"/api/exchanges/{asked['exchange_id']}"
    assert http.get(path).json()["rating"] is None
    for value in (1, -1):
        assert http.put(f"{path}/rating", json={"value": value}).json()["value"] == value
        assert http.get(path).json()["rating"] == value
    assert http.delete(f"{path}/rating").status_code == 204
    assert http.get(path).json()["rating"] is None
    for wrong in (0, 2, "1", None, 1.5):
        assert http.put(f"{path}/rating", json={"value": wrong}).status_code == 422, wrong
    assert http.put("/api/exchanges/unknown/rating", json={"value": 1}).status_code == 404


def test_what_belongs_to_others_does_not_exist(
    http: httpx.Client, asked: dict[str, str], services: Services, people: People
) -> None:
    with services.database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=people.ana.id, title="Hers")
        session.get_one(ExchangeRow, asked["exchange_id"]).person_id = people.ana.id
    assert http.get(f"/api/exchanges/{asked['exchange_id']}").status_code == 404
    assert http.put(f"/api/exchanges/{asked['exchange_id']}/rating", json={"value": 1}).status_code == 404
    assert http.delete(f"/api/exchanges/{asked['exchange_id']}/rating").status_code == 404
    assert http.get("/api/triples").text == ""
    path = f"/api/conversations/{conversation.id}"
    assert http.get(path).status_code == http.delete(path).status_code == 404
    assert http.patch(path, json={"title": "Mine"}).status_code == 404
    assert http.get(f"{path}/export").status_code == 404
    body = {"messages": [{"role": "user", "content": "And then?"}], "conversation_id": conversation.id}
    assert http.post("/v1/chat/completions", json=body).status_code == 404


def test_triples_are_json_lines(http: httpx.Client, asked: dict[str, str]) -> None:
    response = http.get("/api/triples")
    assert response.headers["content-type"] == "application/jsonl"
    (triple,) = map(json.loads, response.text.splitlines())
    assert triple["id"] == asked["exchange_id"]
    assert triple["question"] == "When was the lighthouse of Cabo Raso built?"
    assert triple["context"][0]["text"].startswith("The lighthouse of Cabo Raso")
    assert triple["answer"].endswith("built in 1894 [1].")
    assert (triple["rating"], triple["model"], triple["adapter"]) == (None, "parrot-1", None)
    assert triple["timings"]["total"] >= triple["timings"]["first_token"] > 0
    assert triple == http.get(f"/api/exchanges/{asked['exchange_id']}").json()


def test_conversations(http: httpx.Client, asked: dict[str, str]) -> None:
    (conversation,) = http.get("/api/conversations").json()["conversations"]
    assert conversation["id"] == asked["conversation_id"]
    assert http.get("/api/conversations", params={"search": "1894"}).json()["conversations"] == [conversation]
    assert http.get("/api/conversations", params={"search": "%"}).json()["conversations"] == []

    path = f"/api/conversations/{conversation['id']}"
    assert http.patch(path, json={"title": " On lighthouses "}).json()["title"] == "On lighthouses"
    whole = http.get(path).json()
    assert [exchange["id"] for exchange in whole["exchanges"]] == [asked["exchange_id"]]

    exported = http.get(f"{path}/export")
    assert exported.headers["content-disposition"].startswith("attachment; filename=")
    assert exported.text.startswith("# On lighthouses\n\n## When was the lighthouse")
    assert "- [1] lighthouse.txt: “The lighthouse of Cabo Raso was built in 1894.”" in exported.text
    assert http.get(f"{path}/export", params={"form": "json"}).json() == whole

    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 404
    assert http.get(f"/api/exchanges/{asked['exchange_id']}").status_code == 404


def test_ingest_of_a_local_folder(http: httpx.Client, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "lighthouse.md").write_text(LIGHTHOUSE)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    body = {"path": str(folder)}
    authorized = {"Authorization": f"Bearer {TOKEN}"}

    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        assert http.post("/api/ingest", json=body, headers=headers).status_code == 403
    assert http.get("/api/documents").json() == {"documents": []}

    for path in (str(tmp_path / "missing"), "relative", ".", "/\0"):
        response = http.post("/api/ingest", json={"path": path}, headers=authorized)
        assert response.status_code == 422, path

    *progress, last = map(json.loads, http.post("/api/ingest", json=body, headers=authorized).text.splitlines())
    assert progress[-1] == {"progress": 1.0}
    assert last["summary"]["new"] == 2
    assert [failure["name"] for failure in last["summary"]["failed"]] == ["broken.pdf"]
    assert http.get("/api/status").json()["documents"] == {"queued": 0, "indexing": 0, "ready": 1, "failed": 1}


def test_status_and_health(http: httpx.Client, asked: dict[str, str]) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    status = http.get("/api/status").json()
    assert (status["model"], status["sentences"], status["queue"], status["exchanges"]) == ("parrot-1", 3, 0, 1)
    assert status["state_bytes"] > 10_000
