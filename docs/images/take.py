"""Takes the screenshots of the documentation: ``python docs/images/take.py ADDRESS`` of a running, empty program.

Adds the sample documents, asks two questions and saves the pictures beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

FOLDER = Path(__file__).parent
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def take(address: str) -> None:
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = _open(browser, address, DESKTOP)
        page.screenshot(path=FOLDER / "empty.png")
        page.get_by_role("button", name="Try it with sample documents").click()
        expect(page.locator("#transcript .tools")).to_have_count(1)
        page.get_by_label("Your question").fill("How long does the warranty of the lamp last?")
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
        browser.close()


def _open(browser: Browser, address: str, size: dict[str, int], *, scheme: str = "light") -> Page:
    page = browser.new_context(viewport=size, color_scheme=scheme, has_touch=size is PHONE).new_page()
    page.goto(address)
    expect(page.locator(".welcome, #transcript .exchange").first).to_be_visible()
    return page


def _shoot_source(page: Page, name: str) -> None:
    page.locator("#transcript .answer button.chip").last.click()
    expect(page.locator("#source mark")).to_be_visible()
    page.screenshot(path=FOLDER / name)


def _long_text() -> bytes:
    return "".join(f"In chapter {n} the report tells what was done in week {n}.\n\n" for n in range(20_000)).encode()


if __name__ == "__main__":
    take(sys.argv[1])
