"""The documents panel in a real browser."""

from __future__ import annotations

import uuid
from pathlib import Path

from playwright.sync_api import Page, expect

from assistant.records import SHARED, DocumentStatus
from assistant.store import documents
from tests.assistant.ui.conftest import Running, ask_and_wait

_DROP = """(files) => {
    const transfer = new DataTransfer();
    for (const [name, text] of files) transfer.items.add(new File([text], name));
    for (const type of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(type, {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


def test_files_are_dropped_anywhere(opened: Page, running: Running) -> None:
    name = uuid.uuid4().hex
    files = [(f"{name}.txt", f"The password of {name} is orchid."), (f"{name}-empty.txt", "")]
    opened.evaluate(_DROP, files)
    row = opened.locator("#document-list li", has_text=f"{name}.txt")
    expect(row).to_have_class("ready")
    expect(row).to_contain_text("1 sentence")
    expect(opened.locator(".toast-body")).to_contain_text(f"“{name}-empty.txt” was not added")

    opened.evaluate(_DROP, [(f"{name}-again.txt", f"The password of {name} is orchid.")])
    expect(opened.locator(".toast-wrap")).to_contain_text(f"is there already, as “{name}.txt”")
    expect(opened.locator("#document-list li", has_text=name)).to_have_count(1)


def test_uploads_do_not_pass_through_the_framework(opened: Page, running: Running, tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("The secret of the day is a lighthouse.")
    opened.get_by_role("button", name="Documents", exact=True).click()
    opened.locator("#upload input[type=file]").set_input_files(file)
    expect(opened.locator("#document-list li", has_text="secret.txt")).to_have_class("ready")
    assert list((running.state / "uploads").rglob("*")) == []
    for path in ("upload", f"file={running.state / 'fiel.db'}", "cancel", "call/ask", "run/predict"):
        assert running.http.post(f"/gradio_api/{path}").status_code == 404


def test_progress_failure_retry_delete(opened: Page, running: Running) -> None:
    name = f"{uuid.uuid4().hex}.pdf"
    with running.database.write() as session:
        document = documents.add(
            session, scope=SHARED, added_by=running.person.id, lineage=uuid.uuid4().hex, name=name,
            file=uuid.uuid4().hex, source=None, content_hash=name, size=2_500_000,
        )  # fmt: skip
        documents.set_status(session, document.id, DocumentStatus.INDEXING)
        documents.set_progress(session, [document.id], 0.42)
    opened.get_by_role("button", name="Documents", exact=True).click()
    row = opened.locator("#document-list li", has_text=name)
    expect(row).to_contain_text("Reading … 42 %")
    expect(row.get_by_role("progressbar")).to_have_attribute("value", "42")
    expect(opened.locator("#notice")).to_contain_text("1 document is still being read. You can ask already")

    with running.database.write() as session:
        documents.set_failed(session, document.id, "It is protected by a password.")
    expect(row).to_contain_text("Could not be read: It is protected by a password.")
    expect(opened.locator("#notice p")).to_have_count(0)
    row.get_by_role("button", name="Try again").click()  # the file is gone, so it fails again, for another reason
    expect(row).not_to_contain_text("password")
    expect(row).to_have_class("failed")

    row.get_by_role("button", name=f"Delete {name}").click()
    dialog = opened.get_by_role("dialog")
    expect(dialog).to_contain_text(f"Delete “{name}”?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row).to_have_count(1)
    row.get_by_role("button", name=f"Delete {name}").click()
    dialog.get_by_role("button", name="OK").click()
    expect(row).to_have_count(0)


def test_questions_are_limited_to_chosen_documents(opened: Page, running: Running, tmp_path: Path) -> None:
    garden = running.add(tmp_path, "garden.txt", "The garden gate is painted green. Roses grow beside it.")
    running.add(tmp_path, "harbour.txt", "The harbour gate is painted blue. Boats wait behind it.")
    opened.get_by_role("button", name="Documents", exact=True).click()
    opened.get_by_role("checkbox", name="Ask only this document: garden.txt").click()
    expect(opened.locator("#notice")).to_contain_text("Asking 1 chosen document")
    ask_and_wait(opened, "Which colour is the harbour gate painted?")
    expect(opened.locator("#transcript .answer").last).to_contain_text("The garden gate is painted green")
    assert running.last_exchange().document_ids == (garden,)

    opened.get_by_role("button", name="Ask all").click()
    expect(opened.get_by_role("checkbox", name="Ask only this document: garden.txt")).not_to_be_checked()
    ask_and_wait(opened, "Which colour is the harbour gate painted?")
    expect(opened.locator("#transcript .answer").last).to_contain_text("The harbour gate is painted blue")


def test_samples_are_one_click_away(opened: Page, running: Running) -> None:
    for document in running.http.get("/api/documents").json()["documents"]:
        running.http.delete(f"/api/documents/{document['id']}").raise_for_status()
    opened.reload()
    opened.get_by_role("button", name="Try it with sample documents").click()
    expect(opened.locator("#transcript .tools")).to_have_count(1)
    expect(opened.locator("#transcript .answer")).to_contain_text("28 days of paid holiday")
    opened.get_by_role("button", name="New conversation").click()
    opened.get_by_role("button", name="What do I do if I lose my laptop?").click()
    expect(opened.locator("#transcript .sources")).to_contain_text("staff-handbook.md")
