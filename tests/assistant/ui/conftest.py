"""The running program, a real browser, and what the tests of the page do with them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from assistant.records import Exchange, Person, Role
from assistant.settings import ROOT
from assistant.store import accounts, exchanges
from assistant.store.database import Database, open_database, sqlite_url
from assistant.store.tables import PersonRow

WAIT = 30_000  # milliseconds that an expectation may take to come true on a busy machine
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync")  # fmt: skip


@dataclass(frozen=True)
class Running:
    """The program, in a process of its own for all tests of the page, and the administrator that everybody is."""

    address: str
    state: Path
    http: httpx.Client
    database: Database
    person: Person
    process: subprocess.Popen[str]

    def add(self, folder: Path, name: str, text: str) -> int:
        """Adds a document, waits until it is ready, and returns its id."""
        (folder / name).write_text(text, encoding="utf-8")
        with self.http.stream("POST", "/api/ingest", json={"path": str(folder / name)}) as response:
            assert response.status_code == 200
            response.read()
        [found] = [d for d in self.http.get("/api/documents").json()["documents"] if d["name"] == name]
        assert found["status"] == "ready"
        return int(found["id"])

    def tell_model(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def wait_until_model_stopped(self) -> None:
        assert self.process.stdout is not None
        self.tell_model("closed")
        assert self.process.stdout.readline() == "closed\n"

    def last_exchange(self) -> Exchange:
        with self.database.read() as session:
            return list(exchanges.triples(session, person_id=self.person.id))[-1]

    def stranger(self) -> Person:
        now = datetime.now(UTC)
        with self.database.write() as session:
            row = PersonRow(name=f"stranger-{now.isoformat()}", role=Role.USER, created_at=now)
            session.add(row)
            session.flush()
            return Person(id=row.id, name=row.name, role=Role.USER)


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    state = tmp_path_factory.mktemp("state")
    command = [sys.executable, "-m", "tests.assistant.ui.serving", str(state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Bearer {ready['token']}"}
        database = open_database(sqlite_url(state / "fiel.db"))
        with database.write() as session:
            person = accounts.local_admin(session)
        with httpx.Client(base_url=ready["address"], headers=headers, timeout=60, trust_env=False) as http:
            yield Running(ready["address"], state, http, database, person, process)
        database.close()
        process.stdin.close()  # it stops when nobody speaks to it any more
        process.stdout.read()


@pytest.fixture(scope="package")
def browser() -> Iterator[BrowserContext]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("These tests need Chromium: install it with 'apt-get install chromium'.")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        context = launched.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context
        context.close()
        launched.close()


@pytest.fixture
def page(browser: BrowserContext, running: Running) -> Iterator[Page]:
    """A browser window. Whatever the test does: no script fails, and nothing is asked of anybody but the server."""
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    expect.set_options(timeout=WAIT)
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    running.tell_model("hold")
    assert errors == []
    assert [url for url in asked if not url.startswith((running.address, "data:", "blob:"))] == []


@pytest.fixture
def opened(page: Page, running: Running) -> Page:
    """The page at an empty conversation, once it can be used."""
    return open_page(page, running)


def open_page(page: Page, running: Running, path: str = "/") -> Page:
    page.goto(running.address + path)
    expect(page.locator(".welcome, #transcript .exchange").first).to_be_visible()
    return page


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def ask_and_wait(page: Page, question: str) -> None:
    shown = page.locator("#transcript .tools").count()
    ask(page, question)
    expect(page.locator("#transcript .tools")).to_have_count(shown + 1)
    expect(page.locator("#live .exchange")).to_have_count(0)
