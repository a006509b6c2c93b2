"""Adapters and metrics by HTTP, with the real local engine."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from assistant import prompts
from assistant.engines.local import LocalEngine
from assistant.records import Document
from assistant.registry import Registry
from assistant.store import adapters
from assistant.store.database import Database
from assistant.web.app import mount
from tests.assistant.engines.conftest import random_adapter, tiny_llama


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    base = tiny_llama(folder / "tiny")
    random_adapter(base, folder / "red", seed=1)
    return folder


@pytest.fixture
def engine(models: Path) -> Iterator[LocalEngine]:
    engine = LocalEngine(str(models / "tiny"))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def version(database: Database, state: Path, engine: LocalEngine, models: Path) -> str:
    registry = Registry(database, state / "adapters")
    return registry.add(models / "red", base=engine.model, prompt_version=prompts.VERSION, origin="a test").version


def asked(http: httpx.Client) -> str | None:
    """The adapter that an exchange was logged with."""
    messages = [{"role": "user", "content": "When was the lighthouse of Cabo Raso built?"}]
    reply = http.post("/v1/chat/completions", json={"model": "fiel", "messages": messages}).raise_for_status().json()
    logged: str | None = http.get(f"/api/exchanges/{reply['exchange_id']}").json()["adapter"]
    http.put(f"/api/exchanges/{reply['exchange_id']}/rating", json={"value": 1}).raise_for_status()
    return logged


def test_promote_ask_roll_back(http: httpx.Client, add: Callable[..., Document], version: str) -> None:
    add()
    assert asked(http) is None
    listed = http.get("/api/adapters").json()
    assert [adapter["version"] for adapter in listed["adapters"]] == [version]
    assert (listed["live"], listed["champion"], listed["problem"]) == (None, None, None)

    unproven = http.post(f"/api/adapters/{version}/promote")
    assert (unproven.status_code, "did not pass the gate" in unproven.text) == (422, True)
    promoted = http.post(f"/api/adapters/{version}/promote", json={"reason": "a test"})
    assert promoted.json() == {"live": version}
    assert http.post(f"/api/adapters/{version}/withdraw").status_code == 422
    assert asked(http) == version
    assert http.get("/api/status").json()["adapter"] == version
    figures = http.get("/metrics").text
    for line in (
        f'fiel_answers_total{{adapter="{version}",status="complete"}} 1.0',
        'fiel_answers_total{adapter="base",status="complete"} 1.0',
        f'fiel_first_token_seconds_count{{adapter="{version}"}} 1.0',
        f'fiel_ratings{{adapter="{version}",value="1"}} 1.0',
        "fiel_retrieval_seconds_count 2.0",
        "fiel_engine_waiting 0.0",
    ):
        assert line in figures.splitlines()
    assert re.search(rf'^fiel_live_adapter{{adapter="{version}",model="tiny-\w+"}} 1.0$', figures, re.M)

    other = http.post("/api/adapters/rollback", json={"seen": "v9-none"})
    assert (other.status_code, asked(http)) == (422, version)
    assert http.post("/api/adapters/rollback", json={"seen": version}).json() == {"live": None}
    assert http.post("/api/adapters/rollback", json={"seen": version}).status_code == 422  # pressed twice
    assert asked(http) is None
    behind = http.get(f"/api/adapters/{version}/lineage").json()
    assert (behind["adapter"]["status"], behind["adapter"]["rolled_back"]) == ("retired", True)
    assert [(each["reason"], each["until"] is None) for each in behind["services"]] == [("a test", False)]
    assert http.post(f"/api/adapters/{version}/withdraw").json() == {"withdrawn": version}
    assert http.post(f"/api/adapters/{version}/promote", json={"reason": "again"}).status_code == 422


def test_what_cannot_be_done_says_why(http: httpx.Client, version: str) -> None:
    missing = http.post("/api/adapters/v9-none/promote")
    assert (missing.status_code, missing.json()["error"]["message"]) == (404, "There is no adapter v9-none.")
    assert http.post("/api/adapters/rollback").status_code == 404


def test_lineage_both_ways_and_forgetting(
    *, http: httpx.Client, app: FastAPI, add: Callable[..., Document], version: str, database: Database
) -> None:
    add()
    asked(http)
    (logged,) = [json.loads(line)["id"] for line in http.get("/api/triples").text.splitlines()]
    with database.write() as session:
        adapters.record_exchanges(session, version, [logged])
    http.post(f"/api/adapters/{version}/promote", json={"reason": "it looked good"}).raise_for_status()
    mount(app)
    assert http.post("/api/training/forget").status_code == 422, "nothing was deleted yet"
    page = http.get(f"/training/adapters/{version}").raise_for_status().text
    assert "When was the lighthouse of Cabo Raso built?" in page
    assert "it looked good" in page
    assert f'<a href="/training/adapters/{version}">{version}</a>' in http.get("/review?review=").text

    http.delete(f"/api/exchanges/{logged}").raise_for_status()
    assert "Forget it" in http.get("/training").text
    done = http.post("/api/training/forget")
    assert done.status_code == 202
    assert (done.json()["withdrawn"], done.json()["live"]) == ([version], None)
    assert done.json()["run"]["parameters"]["by"] == "forget"
    page = http.get(f"/training/adapters/{version}").text
    assert "lighthouse" not in page
    assert "withdrawn" in page
    assert http.post("/api/training/forget").status_code == 422
