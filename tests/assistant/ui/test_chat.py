"""Asking in a real browser: the streamed answer, its citations and ratings, stop, retry, edit, copy, the keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from assistant.engines.starting import LOADING
from assistant.records import ExchangeStatus
from tests.assistant.ui.conftest import Running, ask, ask_and_wait, open_page

LIGHTHOUSE = (
    "The lighthouse of Cabo Raso was built in 1894. Its lamp burned olive oil until 1911. "
    "A keeper lived in it with his family.\n"
)


@pytest.fixture(autouse=True, scope="module")
def _lighthouse(running: Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    running.add(tmp_path_factory.mktemp("lighthouse"), "lighthouse.txt", LIGHTHOUSE)


def test_upload_ask_citation_thumbs_reload(opened: Page, running: Running, tmp_path: Path) -> None:
    file = tmp_path / "Ponte da Arrábida.md"
    file.write_text(
        "# Bridge\n\nThe bridge of Arrábida was opened in 1963. Its arch spans 270 metres.\n", encoding="utf-8"
    )
    opened.get_by_role("button", name="Documents", exact=True).click()
    opened.locator("#upload input[type=file]").set_input_files(file)
    row = opened.locator("#document-list li", has_text="Ponte da Arrábida.md")
    expect(row).to_have_class("ready")
    opened.keyboard.press("Escape")
    expect(opened.locator("#panel")).to_be_hidden()

    ask(opened, "How many metres does the arch span, slowly?")
    streaming = opened.locator("#live .exchange")
    expect(streaming.locator(".answer")).to_have_text("Its")
    expect(opened.get_by_role("button", name="Stop")).to_be_visible()
    running.tell_model("go")
    exchange = opened.locator("#transcript .exchange")
    expect(exchange.locator(".answer")).to_have_text("Its arch spans 270 metres 1.")
    expect(opened.get_by_role("button", name="Send")).to_be_visible()

    exchange.get_by_role("button", name="Source 1: Ponte da Arrábida.md").first.click()
    expect(opened.locator("#source mark")).to_have_text("Its arch spans 270 metres.")
    expect(opened.locator("#source h3")).to_have_text("Ponte da Arrábida.md")
    link = opened.get_by_role("link", name="Open in document")
    with opened.context.expect_page() as viewer:
        link.click()
    expect(viewer.value.locator("mark")).to_have_text("Its arch spans 270 metres.")
    viewer.value.close()

    exchange.get_by_role("button", name="Good answer").click()
    expect(exchange.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    assert (logged := running.last_exchange()).rating is not None
    assert logged.rating.feedback.value == 1
    exchange.get_by_role("button", name="Bad answer").click()
    expect(exchange.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    opened.reload()
    expect(exchange.locator(".answer")).to_have_text("Its arch spans 270 metres 1.")
    expect(exchange.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "false")
    expect(exchange.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    exchange.get_by_role("button", name="Bad answer").click()
    expect(exchange.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "false")
    assert running.last_exchange().rating is None


def test_stop_keeps_what_was_said(opened: Page, running: Running) -> None:
    ask(opened, "When was the lighthouse built, slowly?")
    expect(opened.locator("#live .answer")).to_have_text("The")
    opened.get_by_role("button", name="Stop").click()
    expect(opened.locator("#transcript .exchange")).to_contain_text("Stopped before it was finished.")
    expect(opened.get_by_role("button", name="Send")).to_be_visible()
    running.wait_until_model_stopped()
    logged = running.last_exchange()
    assert (logged.status, logged.answer) == (ExchangeStatus.STOPPED, "The")


def test_closing_the_window_stops_the_model(running: Running, page: Page) -> None:
    open_page(page, running)
    ask(page, "When was the lighthouse built, for ever?")
    expect(page.locator("#live .answer")).to_contain_text("and on and on")
    page.close()
    running.wait_until_model_stopped()


def test_retry_and_edit_replace_what_came_after(opened: Page, running: Running) -> None:
    ask_and_wait(opened, "When was the lighthouse built?")
    ask_and_wait(opened, "What did the lamp burn?")
    first = opened.locator("#transcript .exchange").first
    first.get_by_role("button", name="Ask again").click()
    expect(opened.locator("#transcript .exchange")).to_have_count(1)
    expect(opened.locator("#transcript .answer")).to_have_text("The lighthouse of Cabo Raso was built in 1894 1.")

    first.get_by_role("button", name="Edit question").click()
    box = opened.get_by_label("Your question")
    expect(box).to_have_value("When was the lighthouse built?")
    expect(opened.locator("#notice")).to_contain_text("You are changing an earlier question")
    opened.keyboard.press("Escape")
    expect(opened.locator("#notice p")).to_have_count(0)
    expect(box).to_have_value("")

    first.get_by_role("button", name="Edit question").click()
    expect(box).to_have_value("When was the lighthouse built?")
    box.fill("Who lived in it, the keeper?")
    opened.get_by_role("button", name="Send").click()
    expect(opened.locator("#transcript .answer")).to_have_text("A keeper lived in it with his family 1.")
    expect(opened.locator("#transcript .exchange")).to_have_count(1)
    expect(opened.locator("#notice p")).to_have_count(0)


def test_a_failure_is_told_and_loses_nothing(opened: Page, running: Running) -> None:
    ask(opened, "When was the lighthouse built, break?")
    expect(opened.locator(".toast-body")).to_contain_text("The model stopped answering. Ask again in a moment.")
    expect(opened.locator("#transcript .exchange")).to_contain_text("This answer could not be finished.")
    assert running.last_exchange().status is ExchangeStatus.FAILED

    long = "lamp " * 1000
    ask(opened, long)
    expect(opened.locator(".toast-wrap")).to_contain_text("The question is too long: 4,999 characters, at most 4,000")
    expect(opened.get_by_label("Your question")).to_have_value(long)
    expect(opened.get_by_role("button", name="Send")).to_be_visible()


def test_copy(opened: Page) -> None:
    ask_and_wait(opened, "Which olive oil did its lamp burn?")
    opened.get_by_role("button", name="Copy answer").click()
    expect(opened.get_by_role("button", name="Copied")).to_be_visible()
    copied = opened.evaluate("navigator.clipboard.readText()")
    assert copied == "Its lamp burned olive oil until 1911 [1]."


def test_everything_by_keyboard(opened: Page, running: Running) -> None:
    expect(opened.get_by_label("Your question")).to_be_focused()
    opened.keyboard.type("Which olive oil")
    opened.keyboard.press("Shift+Enter")
    opened.keyboard.type("did its lamp burn?")
    opened.keyboard.press("Enter")
    expect(opened.locator("#transcript .tools")).to_have_count(1)
    assert running.last_exchange().question == "Which olive oil\ndid its lamp burn?"

    chip = opened.locator("#transcript .answer button.chip")
    _tab_to(opened, "#transcript .answer button.chip", backwards=True)
    opened.keyboard.press("Enter")
    expect(opened.locator("#source mark")).to_have_text("Its lamp burned olive oil until 1911.")
    opened.keyboard.press("Escape")
    expect(opened.locator("#panel")).to_be_hidden()
    expect(chip).to_be_focused()
    outline = chip.evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid"
    _tab_to(opened, "#transcript [aria-label='Good answer']")
    opened.keyboard.press("Space")
    expect(opened.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")


def _tab_to(page: Page, selector: str, *, backwards: bool = False) -> None:
    for _ in range(30):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} cannot be reached by keyboard")


def test_while_the_model_is_loaded_the_page_says_so_and_the_question_waits(opened: Page, running: Running) -> None:
    running.tell_model("load")
    ask(opened, "When was the lighthouse of Cabo Raso built?")
    expect(opened.locator("#live .note")).to_have_text(LOADING)
    expect(opened.locator("#notice")).to_contain_text(LOADING)
    running.tell_model("go")
    answer = opened.locator("#transcript .exchange .answer")
    expect(answer).to_contain_text("was built in 1894")
    expect(opened.locator("#notice")).not_to_contain_text(LOADING)
