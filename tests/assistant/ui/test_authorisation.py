"""Who may do what: every route and every event of the running program, asked for by everybody.

A route or an event that is missing from the tables fails; so does one that is no longer there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from assistant.records import Person, Role
from assistant.settings import ROOT
from assistant.store import exchanges
from assistant.store.database import Database, open_database, sqlite_url
from assistant.store.tables import ExchangeRow
from tests.assistant.store.test_exchanges import exchange_of

PASSWORD = "correct horse battery"
SECRET = "the heron nests in the bell tower"

# open: everybody. link: everybody, for whom no link was made it does not exist. person: who has signed in, for their
# own things. owner: the owner of the thing; for all others it does not exist. admin: admins. token: the command line.
# file: who has signed in, if there is such a file. closed: nobody.
ROUTES = """
open    GET /healthz
open    GET /login
open    GET /robots.txt
open    GET /favicon.ico
file    MOUNT /style/
open    POST /api/session
open    DELETE /api/session
open    PUT /api/language
link    GET /invitations/{token}
link    POST /api/invitations/{token}
person  GET /
person  HEAD /
person  MOUNT /
person  GET /account
person  GET /api/account
person  PUT /api/account/password
person  POST /api/account/delete
person  PUT /api/account/sharing
person  DELETE /api/account/sessions
person  POST /api/account/keys
owner   DELETE /api/account/keys/{key_id}
person  GET /api/conversations
owner   GET /api/conversations/{conversation_id}
owner   PATCH /api/conversations/{conversation_id}
owner   GET /api/conversations/{conversation_id}/export
owner   DELETE /api/conversations/{conversation_id}
owner   GET /api/exchanges/{exchange_id}
owner   DELETE /api/exchanges/{exchange_id}
owner   GET /exchanges/{exchange_id}/support
owner   GET /exchanges/{exchange_id}/support/checked
owner   PUT /api/exchanges/{exchange_id}/rating
owner   GET /api/exchanges/{exchange_id}/rating/history
owner   DELETE /api/exchanges/{exchange_id}/rating
person  GET /api/triples
person  GET /api/documents
person  POST /api/documents
owner   GET /api/documents/{document_id}
owner   GET /api/documents/{document_id}/original
owner   GET /documents/{document_id}
owner   POST /api/documents/{document_id}/retry
owner   DELETE /api/documents/{document_id}
person  POST /v1/chat/completions
person  GET /v1/models
person  GET /v1/models/{name:path}
person  GET /docs
person  GET /docs/oauth2-redirect
person  GET /redoc
person  GET /openapi.json
person  HEAD /openapi.json
file    MOUNT /static-offline-docs/
token   POST /api/ingest
admin   GET /api/status
admin   GET /api/people
admin   POST /api/people
admin   PATCH /api/people/{person_id}
admin   POST /api/people/{person_id}/reset
admin   GET /api/audit
admin   POST /api/review
admin   GET /api/export
admin   GET /api/adapters/{version}/lineage
admin   POST /api/adapters/{version}/withdraw
token   POST /api/backup
admin   GET /api/training
admin   POST /api/training/runs
admin   GET /api/training/runs/{run_id}
admin   POST /api/training/runs/{run_id}/cancel
admin   GET /api/training/runs/{run_id}/report
admin   GET /api/training/runs/{run_id}/log
admin   PUT /api/training/schedule
admin   POST /api/training/forget
admin   POST /api/training/gate/{exchange_id}/open
admin   GET /training
admin   GET /training/live
admin   GET /training/standing
admin   GET /training/adapters/{version}
admin   GET /training/runs/{run_id}
admin   GET /api/samples
admin   POST /api/samples
admin   PUT /api/samples/{sample_id}
admin   GET /review/sentences
admin   GET /api/golden
admin   POST /api/golden
admin   DELETE /api/golden/{golden_id}
admin   GET /api/adapters
admin   POST /api/adapters/{version}/promote
admin   POST /api/adapters/rollback
admin   GET /metrics
admin   GET /people
admin   GET /audit
admin   GET /review
admin   GET /review/same
admin   GET /charts
admin   GET /data
person  GET /config
person  GET /config/
person  GET /theme.css
file    GET /manifest.json
file    GET /assets/{path:path}
file    GET /static/{path:path}
file    GET /svelte/{path:path}
person  GET /gradio_api/app_id
person  GET /gradio_api/app_id/
person  GET /gradio_api/heartbeat/{session_hash}
person  GET /gradio_api/info
person  GET /gradio_api/info/
person  GET /gradio_api/queue/data
person  POST /gradio_api/queue/join
person  GET /gradio_api/startup-events
"""
CLOSED = """
GET /logout
GET /monitoring
GET /monitoring/summary
GET /monitoring/{key}
GET /pwa_icon
GET /pwa_icon/{size}
POST /login
POST /login/
GET /gradio_api/call/v2/{api_name}/{event_id}
GET /gradio_api/call/{api_name}/{event_id}
GET /gradio_api/custom_component/{id}/{environment}/{type}/{file_name}
GET /gradio_api/deep_link
GET /gradio_api/dev/reload
GET /gradio_api/file/{path:path}
GET /gradio_api/file={path_or_url:path}
GET /gradio_api/login_check
GET /gradio_api/login_check/
GET /gradio_api/openapi.json
GET /gradio_api/proxy={url_path:path}
GET /gradio_api/queue/status
GET /gradio_api/runs
GET /gradio_api/runs/
GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file
GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8
GET /gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}
GET /gradio_api/theme.css
GET /gradio_api/token
GET /gradio_api/token/
GET /gradio_api/upload_progress
GET /gradio_api/user
GET /gradio_api/user/
GET /gradio_api/vibe-code
GET /gradio_api/vibe-code/
HEAD /gradio_api/file={path_or_url:path}
HEAD /gradio_api/proxy={url_path:path}
POST /gradio_api/api/{api_name}
POST /gradio_api/api/{api_name}/
POST /gradio_api/call/v2/{api_name}
POST /gradio_api/call/v2/{api_name}/
POST /gradio_api/call/{api_name}
POST /gradio_api/call/{api_name}/
POST /gradio_api/cancel
POST /gradio_api/component_server
POST /gradio_api/component_server/
POST /gradio_api/process_recording
POST /gradio_api/reset
POST /gradio_api/reset/
POST /gradio_api/run/{api_name}
POST /gradio_api/run/{api_name}/
POST /gradio_api/stream/{event_id}
POST /gradio_api/stream/{event_id}/close
POST /gradio_api/undo-vibe-edit
POST /gradio_api/undo-vibe-edit/
POST /gradio_api/upload
POST /gradio_api/vibe-code
POST /gradio_api/vibe-code/
POST /gradio_api/vibe-edit
POST /gradio_api/vibe-edit/
POST /gradio_api/vibe-starter-queries
POST /gradio_api/vibe-starter-queries/
"""
TABLE = {line.split(maxsplit=1)[1]: line.split()[0] for line in ROUTES.split("\n") if line} | dict.fromkeys(
    CLOSED.strip().split("\n"), "closed"
)
EVENTS = frozenset(
    "ask ask_all cancel_edit choose cite delete detail edit example find forget look new open rate read_again remove "
    "rename retry show stop uploaded".split()
)
"""All are for who has signed in, and work on what is that person's own."""

BODIES = {
    "POST /api/invitations/{token}": {"password": PASSWORD},
    "PATCH /api/conversations/{conversation_id}": {"title": "Mine"},
    "PUT /api/exchanges/{exchange_id}/rating": {"value": 1},
    "PATCH /api/people/{person_id}": {"role": "user"},
    "PUT /api/samples/{sample_id}": {"supported": True},
    "POST /api/ingest": {"path": "/"},
    "POST /api/backup": {"path": "/"},
}
NOT_THERE = {
    "POST /api/adapters/{version}/promote",
    "POST /api/adapters/rollback",
    "POST /api/adapters/{version}/withdraw",
    "GET /api/adapters/{version}/lineage",
    "POST /api/training/gate/{exchange_id}/open",
    "GET /training/adapters/{version}",
    "PUT /api/samples/{sample_id}",
}
"""Who may call these is told that there is no such thing: none is made here."""
HIDDEN, NOT_ALLOWED, STRANGER = {404}, {403}, {401}


@dataclass(frozen=True)
class World:
    address: str
    database: Database
    keys: Mapping[str, str]
    people: Mapping[str, Person]
    routes: frozenset[str]
    events: frozenset[str]

    def client(self, name: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[name]}"} if name in self.keys else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, trust_env=False)

    def status(self, name: str, method: str, path: str, body: object) -> int:
        with self.client(name) as http, http.stream(method, path, json=body) as response:
            return response.status_code

    def exchange(self) -> tuple[str, str]:
        """The ids of a new conversation of Ana's and of its one exchange, which is private."""
        ana = self.people["ana"]
        with self.database.write() as session:
            conversation = exchanges.add_conversation(session, person_id=ana.id, title=f"{SECRET}?")
            made = exchange_of(ana, conversation.id, question=f"{SECRET}?")
            exchanges.add(session, made)
            session.get_one(ExchangeRow, made.id).private = True
        return conversation.id, made.id

    def document(self) -> int:
        """The id of a new document of Ana's, which cannot be read and has failed."""
        with self.client("ana") as http:
            file = ("secret.pdf", f"%PDF-1.7 {SECRET} {uuid4().hex}".encode())
            [added] = http.post("/api/documents", files={"files": file}).json()["files"]
            number = int(added["document"]["id"])
            while http.get(f"/api/documents/{number}").json()["status"] != "failed":
                pass
        return number

    def key(self) -> int:
        with self.client("ana") as http:
            return int(http.post("/api/account/keys", json={"name": "another"}).json()["id"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The program with Ada, an admin, and Ana and Rui, who are not."""
    state = tmp_path_factory.mktemp("guarded")
    command = [sys.executable, "-m", "tests.assistant.ui.serving", str(state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        local = {"Authorization": f"Bearer {ready['token']}"}
        keys, people = {}, {}
        for name, role in (("ada", Role.ADMIN), ("ana", Role.USER), ("rui", Role.USER), ("eva", Role.USER)):
            with httpx.Client(base_url=ready["address"], timeout=60, trust_env=False) as http:
                made = http.post("/api/people", json={"name": name, "role": role}, headers=local).json()
                http.post(f"/api{made['link']}", json={"password": PASSWORD}).raise_for_status()
                keys[name] = http.post("/api/account/keys", json={"name": "tests"}).json()["key"]
            people[name] = Person(made["id"], name, role)
        database = open_database(sqlite_url(state / "fiel.db"))
        routes, events = frozenset(ready["routes"]), frozenset(ready["events"])
        yield World(ready["address"], database, keys, people, routes, events)
        database.close()
        process.stdin.close()
        process.stdout.read()


def test_the_tables_name_every_route_and_every_event(world: World) -> None:
    assert set(TABLE) == world.routes
    assert world.events == EVENTS


@pytest.mark.parametrize("route", [route for route, who in TABLE.items() if who not in ("closed", "file")])
def test_a_route_lets_in_who_may(world: World, route: str) -> None:
    who = TABLE[route]
    refused = {
        "open": {},
        "link": dict.fromkeys(("stranger", "rui", "ada", "ana"), HIDDEN),
        "person": {"stranger": STRANGER},
        "owner": {"stranger": STRANGER, "rui": HIDDEN, "ada": HIDDEN},
        "admin": {"stranger": STRANGER, "rui": NOT_ALLOWED, "ana": NOT_ALLOWED},
        "token": {"stranger": STRANGER, **dict.fromkeys(("rui", "ada", "ana"), NOT_ALLOWED)},
    }[who]
    method, path = route.replace("MOUNT", "GET").split()
    path = _filled(world, path)
    found = {
        name: world.status(name, method, path, BODIES.get(route, {})) for name in ("stranger", "rui", "ada", "ana")
    }
    for name, status in found.items():
        if name in refused:
            assert status in refused[name], (name, found)
        else:
            assert status not in {401, 403, 404, *range(500, 600)} - ({404} if route in NOT_THERE else set()), found


@pytest.mark.parametrize("route", [route for route, who in TABLE.items() if who in ("closed", "file")])
def test_files_and_what_is_closed_are_nothing_to_strangers(world: World, route: str) -> None:
    method, path = route.replace("MOUNT", "GET").split()
    path = _filled(world, path)
    assert world.status("stranger", method, path, {}) in (401, 404)
    if TABLE[route] == "closed":
        assert {world.status(name, method, path, {}) for name in ("ana", "ada")} <= {404, 405}


def _filled(world: World, path: str) -> str:
    if "{conversation_id}" in path or "{exchange_id}" in path:
        conversation, exchange = world.exchange()
        return path.format(conversation_id=conversation, exchange_id=exchange)
    if "{document_id}" in path:
        return path.format(document_id=world.document())
    if "{key_id}" in path:
        return path.format(key_id=world.key())
    names = {"person_id": world.people["eva"].id, "name:path": "fiel", "path:path": "x", "path_or_url:path": "x"}
    for name, value in names.items():
        path = path.replace("{" + name + "}", str(value))
    while "{" in path:
        path = path[: path.index("{")] + "x" + path[path.index("}") + 1 :]
    return path


def test_events_are_nothing_to_strangers(world: World) -> None:
    for number in range(40):
        body = {"data": [], "fn_index": number, "session_hash": uuid4().hex}
        assert world.status("stranger", "POST", "/gradio_api/queue/join", body) == 401


def test_an_event_that_is_none_is_refused(world: World) -> None:
    for body in ({"data": [], "fn_index": 9999}, {"data": [], "fn_index": "x"}, {"data": []}, [], "x"):
        assert world.status("ana", "POST", "/gradio_api/queue/join", body) == 422


def test_no_event_shows_or_changes_what_is_another_persons(world: World) -> None:
    """Ada and Rui send every event with the ids of Ana's things in every place; the same shows Ana her own."""
    conversation, exchange = world.exchange()
    document = world.document()
    values = {"exchange": exchange, "conversation": conversation, "document": str(document), "citation": "0",
              "value": "1", "index": "999", "answer": "x", "change": "reason", "reason": "wrong",
              "files": "[]"}  # fmt: skip
    with world.client("ana") as http:
        config = http.get("/config").json()
        mine = http.get(f"/api/conversations/{conversation}").json(), http.get(f"/api/documents/{document}").json()
    kinds = {component["id"]: component["type"] for component in config["components"]}
    handlers = [event for event in config["dependencies"] if event["backend_fn"]]
    seen = set()
    for event in handlers:
        given = {"textbox": conversation, "json": [document]}
        data = [given.get(kinds[number]) for number in event["inputs"]]
        body = {"data": data, "event_data": values, "fn_index": event["id"], "trigger_id": event["targets"][0][0]}
        for name in ("rui", "ada"):
            assert SECRET not in _outcome(world, name, body), (name, event["targets"])
        if event["targets"][0][1] in ("load", "open", "edit"):
            seen.add(SECRET in _outcome(world, "ana", body))
    assert seen == {True}  # so that the above can fail
    assert len(handlers) >= len(EVENTS)
    with world.client("ana") as http:
        assert http.get(f"/api/conversations/{conversation}").json() == mine[0]
        assert http.get(f"/api/documents/{document}").json() == mine[1]


def _outcome(world: World, name: str, body: dict[str, Any]) -> str:
    """All that an event answers with."""
    body = body | {"session_hash": uuid4().hex}
    with world.client(name) as http:
        http.post("/gradio_api/queue/join", json=body).raise_for_status()
        said = []
        with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": body["session_hash"]}) as response:
            for line in response.iter_lines():
                said.append(line)
                if '"msg":"close_stream"' in line.replace(" ", "") or '"process_completed"' in line:
                    break
    return "\n".join(said)


def test_only_admins_change_what_everybody_shares(world: World, tmp_path: Path) -> None:
    with world.client("ada") as http:
        [added] = http.post("/api/documents", files={"files": ("shared.txt", b"A heron is a bird.")}).json()["files"]
    path = f"/api/documents/{added['document']['id']}"
    assert {name: world.status(name, "GET", path, None) for name in ("ana", "rui")} == {"ana": 200, "rui": 200}
    assert world.status("stranger", "GET", path, None) == 401
    assert world.status("ana", "DELETE", path, None) == 403
    assert world.status("ada", "DELETE", path, None) == 204


def test_a_page_sends_who_has_not_signed_in_to_the_login(world: World) -> None:
    with world.client("stranger") as http:
        response = http.get("/review?value=1", headers={"Accept": "text/html"})
        assert (response.status_code, response.headers["location"]) == (303, "/login?next=/review%3Fvalue%3D1")
        for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
            page = http.get("/login", params={"next": elsewhere}).text
            assert 'data-then="/"' in page


def test_a_session_is_a_cookie_that_scripts_cannot_read(world: World) -> None:
    with world.client("stranger") as http:
        response = http.post("/api/session", json={"name": "ana", "password": PASSWORD})
        assert {"HttpOnly", "SameSite=lax"} <= {part.strip() for part in response.headers["set-cookie"].split(";")}
        assert http.get("/api/account").json()["name"] == "ana"
        http.delete("/api/session")
        assert http.get("/api/account").status_code == 401
    proxied = {"X-Forwarded-Proto": "https", "Host": "fiel.example", "Origin": "https://fiel.example"}
    with world.client("stranger") as http:
        response = http.post("/api/session", json={"name": "ana", "password": PASSWORD}, headers=proxied)
        assert response.status_code == 204
        assert "Secure" in response.headers["set-cookie"]
