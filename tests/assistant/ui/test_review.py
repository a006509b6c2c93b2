"""Rating an answer, reviewing it, and reading the pages in another language, in a real browser."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from assistant.errors import NotFoundError
from assistant.records import Feedback, Reason, Review, SentenceSupport, Support
from assistant.store import exchanges, samples, support
from assistant.store.tables import SampleRow
from tests.assistant.ui.conftest import Running, ask_and_wait, open_page

SCRIPT = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>{{window.hacked = 1}}"


@pytest.fixture(autouse=True)
def _heron(running: Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    running.add(tmp_path_factory.mktemp("heron"), "heron <b>.md", f"The heron nests in the tower. {SCRIPT}\n")


def test_an_answer_is_rated_in_detail_and_reviewed_by_keyboard(opened: Page, running: Running) -> None:
    ask_and_wait(opened, f"Where does the heron nest? {SCRIPT}")
    exchange = opened.locator("#transcript .exchange").last
    exchange.get_by_role("button", name="Bad answer").click()
    exchange.get_by_role("button", name="incomplete").click()
    expect(exchange.get_by_role("button", name="incomplete")).to_have_attribute("aria-pressed", "true")
    exchange.get_by_role("button", name="1 · heron").click()
    expect(exchange.get_by_role("button", name="1 · heron")).to_have_attribute("aria-pressed", "true")
    exchange.get_by_text("Comment or correct the answer").click()
    exchange.get_by_label("Comment").fill(SCRIPT)
    correction = exchange.get_by_label("The answer as it should be")
    assert correction.input_value() == running.last_exchange().answer  # what there is to correct
    correction.fill(f"In the bell tower. {SCRIPT}")
    exchange.get_by_role("button", name="Save").click()
    expect(opened.locator(".toast-body")).to_contain_text("Saved")
    rating = running.last_exchange().rating
    assert rating is not None
    assert rating.feedback == Feedback(-1, (Reason.INCOMPLETE,), SCRIPT, f"In the bell tower. {SCRIPT}", (1,))
    opened.reload()
    expect(exchange.get_by_role("button", name="incomplete")).to_have_attribute("aria-pressed", "true")
    assert opened.evaluate("window.hacked") is None

    opened.goto(f"{running.address}/review?value=-1&words=heron")
    item = opened.locator(".item").first
    expect(item).to_contain_text("In the bell tower. <img src=x")
    waiting = opened.locator(".item").count()
    opened.keyboard.press("j")
    expect(item).to_be_focused()
    opened.keyboard.press("e")
    area = item.get_by_label("The answer to learn")
    expect(area).to_be_focused()
    area.fill("In the old bell tower. [1]")
    item.get_by_role("button", name="Accept as edited").click()
    expect(opened.locator(".item")).to_have_count(waiting - 1)
    rating = running.last_exchange().rating
    assert rating is not None
    assert (rating.review, rating.accepted_answer) == (Review.ACCEPTED, "In the old bell tower. [1]")
    for path in (
        "/review?review=",
        "/review/same?kind=duplicates",
        "/review/sentences",
        "/charts",
        "/audit",
        "/data",
        "/people",
        "/account",
    ):
        opened.goto(running.address + path)
        expect(opened.locator("h1")).to_be_visible()
        assert opened.evaluate("window.hacked") is None
        opened.set_viewport_size({"width": 390, "height": 844})
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390
        opened.set_viewport_size({"width": 1280, "height": 800})


def test_the_badge_comes_when_the_judge_has_looked(opened: Page, running: Running) -> None:
    ask_and_wait(opened, "Where does the heron nest?")
    badge = opened.locator("#transcript .exchange").last.locator(".support")
    badge.get_by_text("1 of 1 sentence supported").click()
    expect(badge.locator(".supported")).to_contain_text("The heron nests in the tower")
    logged = running.last_exchange()
    assert logged.support is not None
    assert logged.support.judge.startswith("judge-a-")
    third = len(logged.answer) // 3
    judged = (
        SentenceSupport(0, third, 0.93, supported=True, passage=1),
        SentenceSupport(third, 2 * third, 0.7, supported=False, passage=1),
        SentenceSupport(2 * third, len(logged.answer), 0.2, supported=False),
    )
    with running.database.write() as session:
        support.keep(session, logged.id, Support(1 / 3, judged, "judge"), answer=logged.answer)
    opened.reload()
    badge.get_by_text("1 of 3 sentences supported").click()
    expect(badge.locator(".supported small")).to_have_text("supported")
    expect(badge.locator(".unclear small")).to_have_text("unclear")
    expect(badge.locator(".not_found small")).to_have_text("not found in the sources")
    expect(badge).not_to_contain_text("%")  # a share would promise what no calibration keeps
    expect(badge).to_contain_text("Nobody here has checked this judge yet.")
    with running.database.write() as session:
        checked = SampleRow(
            question="?", passages=[], sentence="s", judge="judge", supported=True, human=True,
            created_at=datetime.now(UTC),
        )  # fmt: skip
        session.add(checked)
    opened.reload()
    badge.get_by_text("1 of 3 sentences supported").click()
    expect(badge).to_contain_text("it found 1/1 [21%, 100%] supported and 0/0 [0%, 100%] unsupported sentences")
    assert opened.evaluate("window.hacked") is None


def test_sentences_are_judged_blind(opened: Page, running: Running) -> None:
    with running.database.write() as session:
        for judge in ("judge-x", "judge-x"):
            samples.add(
                session, exchange_id=None, question=SCRIPT, passages=[f"The heron nests here. {SCRIPT}"],
                sentence=f"It nests here. {SCRIPT}", judge=judge, supported=False, probability=0.123,
            )  # fmt: skip
    opened.goto(f"{running.address}/review/sentences")
    card = opened.locator(".card")
    for button in ("supported", "not supported"):
        expect(card).to_contain_text("It nests here. <img src=x")
        expect(card).not_to_contain_text("judge-x")
        expect(card).not_to_contain_text("12")
        left = card.get_by_text("to judge").inner_text()
        card.get_by_role("button", name=button, exact=True).click()
        expect(opened.get_by_text(left)).to_have_count(0)
    row = opened.locator("tr", has_text="judge-x")
    expect(row).to_contain_text("0% [0%, 79%] · 0/1")
    expect(row).to_contain_text("100% [21%, 100%] · 1/1")
    assert opened.evaluate("window.hacked") is None


def test_one_exchange_is_deleted(opened: Page, running: Running) -> None:
    ask_and_wait(opened, "Where does the heron nest at night?")
    first = running.last_exchange()
    ask_and_wait(opened, "And where by day?")
    answers = opened.locator("#transcript .exchange")
    answers.first.get_by_role("button", name="Delete question and answer").click()
    opened.locator("#dialog").get_by_role("button", name="OK").click()
    expect(answers).to_have_count(1)
    expect(answers).to_contain_text("And where by day?")
    with running.database.read() as session, pytest.raises(NotFoundError):
        exchanges.get(session, first.id, person_id=running.person.id)
    answers.get_by_role("button", name="Delete question and answer").click()
    opened.locator("#dialog").get_by_role("button", name="OK").click()
    expect(opened.locator(".welcome")).to_be_visible()  # the conversation went with its last one
    expect(opened.locator("#conversation-list").get_by_text("heron nest at night")).to_have_count(0)


def test_golden_sets_come_in_and_ratings_go_out(opened: Page, running: Running) -> None:
    ask_and_wait(opened, "Where does the heron sleep?")
    opened.locator("#transcript .exchange").last.get_by_role("button", name="Good answer").click()
    expect(opened.locator("#transcript .rating")).to_be_visible()
    opened.goto(f"{running.address}/review")
    opened.get_by_label("Words").fill("sleep")
    opened.get_by_role("button", name="Filter").click()  # and with it the fields that nobody filled in
    expect(opened.locator(".item")).to_have_count(1)
    opened.get_by_role("button", name="Accept", exact=True).click()
    expect(opened.locator(".note")).to_be_visible()

    opened.goto(f"{running.address}/data")
    opened.get_by_label("Words").first.fill("sleep")
    opened.get_by_label("Form").select_option("kto")
    with opened.expect_download() as download:
        opened.get_by_role("button", name="Download").click()
    [line] = Path(download.value.path()).read_text().splitlines()
    assert json.loads(line)["label"] is True

    said = opened.locator("form", has_text="Bring in").locator(".said")
    chosen = opened.get_by_label("File (.jsonl or .csv)")
    chosen.set_input_files({"name": "g.csv", "mimeType": "text/csv", "buffer": b"question,answer\nWhere?\n"})
    opened.get_by_role("button", name="Bring in").click()
    expect(said).to_have_text("Line 2: answer is missing")
    content = f'question,answer\nWhere?,"Here. {SCRIPT}"\n'.encode()
    chosen.set_input_files({"name": "g.csv", "mimeType": "text/csv", "buffer": content})
    opened.get_by_role("button", name="Bring in").click()
    expect(said).to_contain_text("1 new, 0 changed")
    opened.reload()
    row = opened.locator("tr", has_text="Where?")
    expect(row).to_contain_text("Here. <img")
    assert opened.evaluate("window.hacked") is None
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_a_link_that_leads_nowhere_says_so_on_a_page(page: Page, running: Running) -> None:
    page.goto(f"{running.address}/invitations/used")
    expect(page.get_by_role("heading", name="This link has been used already")).to_be_visible()
    page.goto(f"{running.address}/no/such/page")
    expect(page.get_by_role("heading", name="There is no such page.")).to_be_visible()
    page.get_by_role("link", name="Back to the chat").click()
    expect(page.locator(".welcome")).to_be_visible()


def test_the_language_is_chosen(page: Page, running: Running) -> None:
    page.goto(f"{running.address}/account")
    page.get_by_label("Language").select_option("pt")
    expect(page.locator("html")).to_have_attribute("lang", "pt-BR")
    open_page(page, running)
    expect(page.get_by_role("button", name="Nova conversa")).to_be_visible()
    expect(page.get_by_label("Sua pergunta")).to_be_visible()
    page.get_by_label("Sua pergunta").fill(" x" * 5000)
    page.keyboard.press("Enter")
    expect(page.locator(".toast-body")).to_contain_text("A pergunta é longa demais: 9,999 caracteres")
    page.goto(f"{running.address}/documents/99999")
    expect(page.get_by_role("heading", name="Não há esse documento.")).to_be_visible()
    page.goto(f"{running.address}/account")
    page.get_by_label("Idioma").select_option("en")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    open_page(page, running)
    expect(page.get_by_role("button", name="New conversation")).to_be_visible()
