"""Whatever is refused leaves an entry in the audit log, and nothing else; and never so many that they do harm."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import func, select

from assistant import refusals
from assistant.accounts import Accounts
from assistant.records import Document, Event, Role
from assistant.refusals import Refusals
from assistant.store import audit
from assistant.store.database import Database
from assistant.store.tables import AuditRow, RatingRow
from tests.conftest import People

PASSWORD = "correct horse battery"


@pytest.fixture
def ana(http: httpx.Client, database: Database, people: People) -> httpx.Client:
    """A browser in which a user has signed in; there are accounts now."""
    accounts = Accounts(database)
    _, token = accounts.invite("bea", Role.USER, by=people.admin)
    http.post(f"/api/invitations/{token}", json={"password": PASSWORD}).raise_for_status()
    return http


def refused(database: Database) -> list[Event]:
    with database.read() as session:
        return [event for event in audit.events(session) if event.action.startswith("refused")]


def test_every_kind_is_noted_without_what_was_written(
    ana: httpx.Client, database: Database, add: Callable[..., Document]
) -> None:
    add()
    messages = [{"role": "user", "content": "When was the lighthouse built?"}]
    exchange = ana.post("/v1/chat/completions", json={"messages": messages}).json()["exchange_id"]
    rating = f"/api/exchanges/{exchange}/rating"
    for method, path, body in (
        ("PUT", "/api/exchanges/planted-forged-id/rating", {"value": 1}),
        ("PUT", rating, {"value": 1, "comment": "planted " * 1000}),
        ("PUT", rating, {"value": 1, "person_id": 1}),
        ("GET", "/api/people", None),
        ("POST", "/api/invitations/planted-used-link", {"password": PASSWORD}),
    ):
        assert ana.request(method, path, json=body).is_client_error
    huge = ana.post("/api/session", content=b"planted" * 1_000_000)
    assert (huge.status_code, huge.json()["error"]["message"]) == (413, "What was sent is too large.")
    assert int(huge.headers["content-length"]) == len(huge.content)
    found = [(event.action, event.person, event.subject) for event in reversed(refused(database))]
    assert found == [
        ("refused: not found", "bea", "PUT /api/exchanges/{exchange_id}/rating"),
        ("refused: invalid", "bea", "PUT /api/exchanges/{exchange_id}/rating"),
        ("refused: invalid", "bea", "PUT /api/exchanges/{exchange_id}/rating"),
        ("refused: not allowed", "bea", "GET /api/people"),
        ("refused: not found", "bea", "POST /api/invitations/{token}"),
        ("refused: too large", "bea", "POST /api/session"),
    ]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(RatingRow)) == 0


def test_strangers_and_sessions_that_ended(ana: httpx.Client, database: Database) -> None:
    ana.delete("/api/session").raise_for_status()
    assert ana.get("/", headers={"accept": "text/html"}).headers["location"] == "/login?next=/"
    assert refused(database) == []  # nobody was refused: they were asked to sign in
    assert ana.get("/api/conversations").status_code == 401
    ended = {"accept": "text/html", "cookie": "fiel_session=ended"}
    assert ana.get("/", headers=ended).status_code == 303
    assert ana.post("/api/session", json={"name": "bea", "password": "wrong password"}).status_code == 403
    elsewhere = {"origin": "https://elsewhere.example"}
    assert ana.post("/api/session", json={"name": "bea", "password": PASSWORD}, headers=elsewhere).status_code == 403
    assert ana.get("/no/such/page").status_code == 401
    assert [(event.action, event.subject) for event in reversed(refused(database))] == [
        ("refused: not signed in", "GET from 127.0.0.1"),
        ("refused: not signed in", "GET from 127.0.0.1"),
        ("refused: not allowed", "POST /api/session from 127.0.0.1"),
        ("refused: not allowed", "POST from 127.0.0.1"),
        ("refused: not signed in", "GET from 127.0.0.1"),
    ]
    with database.read() as session:
        (event,) = audit.events(session, action="sign in refused")
    assert (event.person, event.subject) == ("bea", "127.0.0.1")


def test_a_flood_leaves_few_entries(database: Database, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Refusals(database)
    for _ in range(50):
        noted.note(404, "GET /x", person=people.ana)
        noted.note(500, "GET /x", person=people.rui)  # not refused: it failed
    for number in range(300):
        noted.note(401, "GET", person=None, address=f"10.0.0.{number}")
    assert len(refused(database)) == 100
    monkeypatch.setattr(refusals, "_KEPT", 7)
    Refusals(database).note(404, "GET /latest", person=people.ana)
    with database.read() as session:
        kept = session.scalars(select(AuditRow.subject).where(AuditRow.action == "refused: not found")).all()
    assert len(kept) == 7
    assert kept[-1] == "GET /latest"
