"""The page of training in a real browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from assistant.records import RunStatus
from assistant.store import gate, runs
from tests.assistant.ui.conftest import Running


def test_what_a_run_changes_is_shown_without_a_reload_and_what_was_unfolded_stays_so(
    page: Page, running: Running
) -> None:
    page.goto(f"{running.address}/training")
    expect(page.get_by_text("Tries left within a year: 12.")).to_be_visible()
    page.evaluate("window.unbroken = true")
    fold = page.locator("details", has_text="Sealed questions")
    fold.locator("summary").click()
    with running.database.write() as session:
        run = runs.claim(session, runs.add(session, kind="train", seed=0).id)
        gate.take_ticket(session, run.id, dataset_hash="none")
        runs.finish(session, run.id, token=run.token, status=RunStatus.DONE)
    expect(page.get_by_text("Tries left within a year: 11.")).to_be_visible()
    expect(page.get_by_role("link", name=str(run.id), exact=True)).to_be_visible()
    expect(fold).to_have_attribute("open", "")
    assert page.evaluate("window.unbroken")
