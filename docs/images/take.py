"""Takes the screenshots of the documentation, all in one run: ``python -m docs.images.take [--scripted]``.

Starts the program in a throw-away state folder, adds the sample documents, asks and rates, and plants eight weeks of
made-up ratings by made-up people for the queue and the charts. ``--scripted`` answers with the sentence of the passages
that shares most words with the question, as the browser tests do, instead of with the bundled model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import update

from assistant.prompts import REFUSALS
from assistant.records import Exchange, Feedback, Reason, Review, Role
from assistant.settings import ROOT
from assistant.store import accounts, exchanges, ratings
from assistant.store.database import Database, open_database, sqlite_url
from assistant.store.tables import RatingRow

FOLDER = Path(__file__).parent
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
QUESTION = "How long does the warranty of the lamp last?"
MORE = (
    "What do I do if I lose my laptop?",
    "How do I start the timer of the desk lamp?",
    "Quantos livros cada leitor pode levar?",
    "Quando o filtro permanente deve ser trocado?",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scripted", action="store_true", help="answer without the bundled model")
    scripted = parser.parse_args().scripted
    expect.set_options(timeout=300_000)
    with tempfile.TemporaryDirectory() as folder, _program(Path(folder), scripted=scripted) as address:
        database = open_database(sqlite_url(Path(folder) / "fiel.db"))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
            )
            conversation = _chat(browser, address)
            _rating(browser, conversation)
            for question in MORE:
                _asked(address, question)
            _plant(database)
            for name, size in (("", DESKTOP), ("phone-", PHONE)):
                for page in ("review", "charts", "training"):
                    shown = _open(browser, f"{address}/{page}", size, ready="main .card")
                    shown.screenshot(path=FOLDER / f"{name}{page}.png")
            browser.close()
        database.close()


@contextmanager
def _program(state: Path, *, scripted: bool) -> Iterator[str]:
    """The address of the program, which runs until the end of the block."""
    command = ["-m", "tests.assistant.ui.serving", str(state)] if scripted else ["launch.py", "--state", str(state)]
    port = {} if scripted else {"FIEL_PORT": "0"}
    environment = os.environ | port | {"PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, *command], stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(("{", "Fiel is ready: ")):
                break
        yield json.loads(line)["address"] if scripted else line.removeprefix("Fiel is ready: ").strip()
        assert process.stdin is not None
        process.stdin.close()  # which ends the scripted one
        if not scripted:
            process.send_signal(signal.SIGINT)
        process.stdout.read()


def _chat(browser: Browser, address: str) -> str:
    """The chat from empty to two answers, with sources and documents; the address of the conversation."""
    page = _open(browser, address, DESKTOP)
    page.screenshot(path=FOLDER / "empty.png")
    page.get_by_role("button", name="Try it with sample documents").click()
    expect(page.locator("#transcript .tools")).to_have_count(1)
    page.get_by_label("Your question").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator("#transcript .tools")).to_have_count(2)
    conversation = page.url
    _shoot_source(page, "answer-light.png")
    _shoot_source(_open(browser, conversation, DESKTOP, scheme="dark"), "answer-dark.png")
    page.get_by_role("button", name="Documents", exact=True).click()
    file = {"name": "annual-report.txt", "mimeType": "text/plain", "buffer": _long_text()}
    page.locator("#upload input[type=file]").set_input_files(file)
    expect(page.locator("#document-list progress")).to_be_visible()
    page.screenshot(path=FOLDER / "documents.png")
    _open(browser, address, PHONE).screenshot(path=FOLDER / "phone-empty.png")
    phone = _open(browser, conversation, PHONE)
    phone.screenshot(path=FOLDER / "phone-answer.png")
    _shoot_source(phone, "phone-source.png")
    return conversation


def _asked(address: str, question: str) -> None:
    body = {"model": "fiel", "messages": [{"role": "user", "content": question}]}
    httpx.post(f"{address}/v1/chat/completions", json=body, timeout=600).raise_for_status()


def _rating(browser: Browser, conversation: str) -> None:
    page = _open(browser, conversation, DESKTOP)
    answer = page.locator("#transcript .exchange").last
    answer.get_by_role("button", name="Bad answer").click()
    answer.get_by_role("button", name="incomplete").click()
    expect(answer.get_by_role("button", name="incomplete")).to_have_attribute("aria-pressed", "true")
    for name, size in (("rating.png", DESKTOP), ("phone-rating.png", PHONE)):
        page = _open(browser, conversation, size)
        answer = page.locator("#transcript .exchange").last
        answer.get_by_text("Comment or correct the answer").click()
        answer.get_by_label("Comment").fill("It should say that the shade is not covered.")
        answer.get_by_role("button", name="Save").scroll_into_view_if_needed()
        page.screenshot(path=FOLDER / name)


def _plant(database: Database) -> None:
    """Eight weeks of ratings, of exchanges that repeat those that were really asked."""
    draw = random.Random(4)  # noqa: S311  (the same pictures each time)
    with database.write() as session:
        asked = list(exchanges.triples(session))
        people = [accounts.add(session, name=name, role=Role.USER) for name in ("ana", "bruno", "clara", "davi")]
        for day in range(56):
            for _ in range(draw.randrange(1, 8)):
                made = datetime.now(UTC) - timedelta(days=56 - day, minutes=draw.randrange(600))
                adapter = (None, "v1-3f9c2a71", "v2-b07d5e14")[min(2, day // 20)]
                up = draw.random() < (0.55, 0.66, 0.78)[min(2, day // 20)]
                person = draw.choice(people)
                conversation = exchanges.add_conversation(session, person_id=person.id, title="planted")
                exchange = replace(
                    draw.choice(asked), id=uuid4().hex, conversation_id=conversation.id, person_id=person.id,
                    created_at=made, adapter=adapter, history=(), rating=None, support=None,
                )  # fmt: skip
                if draw.random() < 0.06:
                    exchange = _refused(exchange, draw)
                exchanges.add(session, exchange)
                reasons = () if up else tuple(draw.sample(list(Reason), draw.choice((1, 1, 2))))
                said = Feedback(1 if up else -1, reasons, comment="" if up else draw.choice(_COMMENTS))
                review = Review.PENDING if day > 52 else Review.ACCEPTED
                ratings.rate(session, exchange.id, person_id=person.id, feedback=said, review=review, held=day > 54)
                planted = RatingRow.exchange_id == exchange.id
                session.execute(update(RatingRow).where(planted).values(updated_at=made, created_at=made))


_COMMENTS = ("", "", "The second half of the rule is missing.", "That is the older version.", "I asked for the date.")
_UNKNOWN = ("Is there a warranty for lost parts?", "Who designed the lamp?", "May the machine be used outdoors?")


def _refused(exchange: Exchange, draw: random.Random) -> Exchange:
    return replace(exchange, question=draw.choice(_UNKNOWN), answer=REFUSALS["en"], refused=True, citations=())


def _open(
    browser: Browser, address: str, size: dict[str, int], *, scheme: str = "light",
    ready: str = ".welcome, #transcript .exchange",
) -> Page:  # fmt: skip
    page = browser.new_context(viewport=size, color_scheme=scheme, has_touch=size is PHONE).new_page()
    page.goto(address)
    expect(page.locator(ready).first).to_be_visible()
    return page


def _shoot_source(page: Page, name: str) -> None:
    page.locator("#transcript .answer button.chip").last.click()
    expect(page.locator("#source mark")).to_be_visible()
    page.screenshot(path=FOLDER / name)


def _long_text() -> bytes:
    return "".join(f"In chapter {n} the report tells what was done in week {n}.\n\n" for n in range(15_000)).encode()


if __name__ == "__main__":
    main()
