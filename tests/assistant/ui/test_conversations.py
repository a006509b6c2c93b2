"""Conversations in a real browser: kept, found, renamed, exported, deleted, and never a stranger's."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from assistant.records import Exchange, ExchangeStatus, Timings
from assistant.store import exchanges
from tests.assistant.ui.conftest import Running, ask_and_wait, open_page


@pytest.fixture(autouse=True, scope="module")
def _mill(running: Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    running.add(tmp_path_factory.mktemp("mill"), "mill.txt", "The mill grinds rye. The miller is called Baltasar.\n")


def test_rename_search_open_export_delete(opened: Page, running: Running) -> None:
    ask_and_wait(opened, "What does the mill grind?")
    conversation = running.last_exchange().conversation_id
    opened.get_by_role("button", name="New conversation").click()
    expect(opened.locator(".welcome")).to_be_visible()
    assert "conversation=" not in opened.url
    ask_and_wait(opened, "What is the miller called?")

    row = opened.locator("#conversation-list li", has_text="What does the mill grind?").first
    title = f"Rye {uuid.uuid4().hex}"
    _menu(row, "Rename")
    opened.get_by_role("dialog").get_by_role("textbox").fill(title)
    opened.keyboard.press("Enter")
    row = opened.locator("#conversation-list li", has_text=title)
    expect(row).to_have_count(1)

    opened.get_by_label("Search conversations").fill(title)
    expect(opened.locator("#conversation-list li")).to_have_count(1)
    row.locator(".open").click()
    expect(opened.locator("#transcript .answer")).to_have_text("The mill grinds rye 1.")
    expect(opened).to_have_url(f"{running.address}/?conversation={conversation}")
    opened.get_by_label("Search conversations").fill("no such words")
    expect(opened.locator("#conversation-list")).to_have_text("No conversation has these words.")
    opened.get_by_label("Search conversations").fill(title)

    with opened.expect_download() as download:
        _menu(row, "Export as Markdown")
    assert "The mill grinds rye" in Path(download.value.path()).read_text(encoding="utf-8")
    with opened.expect_download() as download:
        _menu(row, "Export as JSON")
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["title"] == title

    _menu(row, "Delete")
    opened.get_by_role("dialog").get_by_role("button", name="OK").click()
    expect(opened.locator(".welcome")).to_be_visible()
    opened.get_by_label("Search conversations").fill("")
    expect(opened.locator("#conversation-list li", has_text="What is the miller called?")).not_to_have_count(0)
    expect(row).to_have_count(0)


def test_a_strangers_conversation_is_not_there(page: Page, running: Running) -> None:
    theirs = _exchange_of_a_stranger(running)
    open_page(page, running, f"/?conversation={theirs.conversation_id}")
    expect(page.locator(".toast-body")).to_contain_text("There is no such conversation.")
    expect(page.locator(".welcome")).to_be_visible()
    expect(page).to_have_url(running.address + "/")


def test_a_forged_event_changes_nothing(opened: Page, running: Running) -> None:
    theirs = _exchange_of_a_stranger(running)
    forge = """([where, detail]) => document.querySelector(where + " [id^=html-]")
        .dispatchEvent(new CustomEvent("fiel", {detail}))"""
    for event in ("rate", "retry", "edit", "cite"):
        detail = {"event": event, "exchange": theirs.id, "value": "1", "citation": "0"}
        opened.evaluate(forge, ["#transcript", detail])
        toast = opened.locator(".toast-body")
        expect(toast).to_contain_text("There is no such exchange.")
        toast.get_by_test_id("toast-close").click()
        expect(toast).to_have_count(0)
    opened.evaluate(forge, ["#conversation-list", {"event": "delete", "conversation": theirs.conversation_id}])
    expect(opened.locator(".toast-body")).to_contain_text("There is no such conversation.")
    with running.database.read() as session:
        assert exchanges.get(session, theirs.id, person_id=theirs.person_id) == theirs


def _menu(row: object, item: str) -> None:
    row.hover()
    row.locator("summary").click()
    row.locator(".menu").get_by_text(item, exact=True).click()


def _exchange_of_a_stranger(running: Running) -> Exchange:
    stranger = running.stranger()
    with running.database.write() as session:
        conversation = exchanges.add_conversation(session, person_id=stranger.id, title="Private")
        exchange = Exchange(
            id=uuid.uuid4().hex, conversation_id=conversation.id, person_id=stranger.id, question="What is my salary?",
            search_query="", document_ids=(), history=(), passages=(), left_out=(), hits=(), prompt_version="1",
            model="quoter-1", adapter=None, answer="Much", citations=(), refused=False, status=ExchangeStatus.COMPLETE,
            private=True, prompt_tokens=1, completion_tokens=1, timings=Timings(1.0, 1.0, 1.0),
            created_at=datetime.now(UTC),
        )  # fmt: skip
        exchanges.add(session, exchange)
    return exchange
