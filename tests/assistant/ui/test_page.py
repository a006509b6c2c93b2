"""The page itself: nothing from documents, names, questions or answers runs; narrow windows; light and dark."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from assistant.ui import answers
from tests.assistant.ui.conftest import Running, ask_and_wait

SCRIPT = "<script>document.title='taken'</script>"
IMAGE = "<img src=x onerror=\"document.title='taken'\">"


def test_nothing_that_is_not_ours_runs(opened: Page, running: Running, tmp_path: Path) -> None:
    word = uuid.uuid4().hex
    name = f"{IMAGE}{word} \ue0000\ue001 ${{alert(1)}} {{{{value}}}}.txt"
    text = (
        f"The word {word} {IMAGE} stands here with {SCRIPT} and [a link](javascript:alert(1)) and "
        f"![a picture](http://elsewhere.example/x.png) and ${{document.title='taken'}} and `code[1]`.\n"
    )
    running.add(tmp_path, name, text)
    ask_and_wait(opened, f"Where does {word} stand {IMAGE} {SCRIPT}?")
    expect(opened.locator("#transcript .question").last).to_contain_text(IMAGE)
    answer = opened.locator("#transcript .answer").last
    expect(answer).to_contain_text(f"{word} {IMAGE} stands here with {SCRIPT}")
    expect(answer).to_contain_text("![a picture](http://elsewhere.example/x.png)")
    expect(answer.locator("code")).to_have_text("code[1]")
    answer.get_by_role("button").last.click()
    expect(opened.locator("#source h3")).to_have_text(name.replace("\ue0000\ue001", "\ue0000\ue001"))
    expect(opened.locator("#source mark")).to_contain_text(IMAGE)
    opened.keyboard.press("Escape")
    opened.get_by_role("button", name="Documents", exact=True).click()
    row = opened.locator("#document-list li", has_text=word)
    expect(row).to_contain_text(IMAGE)
    row.get_by_role("button", name="Delete").click()
    expect(opened.locator("#dialog-text")).to_contain_text(IMAGE)
    opened.keyboard.press("Escape")
    opened.locator("#upload input[type=file]").set_input_files(
        {"name": f"{IMAGE}.txt", "mimeType": "text/plain", "buffer": b""}
    )
    expect(opened.locator(".toast-body")).to_contain_text("was not added")
    opened.reload()
    expect(opened.locator("#transcript .question").last).to_contain_text(IMAGE)
    assert opened.locator("#workspace img, #workspace script, .toast-wrap img, dialog img").count() == 0
    assert opened.title() == "Fiel"


@pytest.mark.parametrize(
    ("answer", "html"),
    [
        ("<b>x</b> & y", "<p>&lt;b&gt;x&lt;/b&gt; &amp; y</p>\n"),
        ("[x](http://e.example)", "<p>[x](http://e.example)</p>\n"),
        ("![x](http://e.example)", "<p>![x](http://e.example)</p>\n"),
        ("<http://e.example>", "<p>&lt;http://e.example&gt;</p>\n"),
        ("So [1].", '<p>So <span class="chip">1</span>.</p>\n'),
        ("`a[1]`", "<p><code>a[1]</code></p>\n"),
        ("```x[1]\"onclick=\n[2]\n```", '<pre><code class="language-x[1]&quot;onclick=">[2]\n</code></pre>\n'),
        ("\ue0000\ue001 \ue0020\ue003 [1]", '<p>0 0 <span class="chip">1</span></p>\n'),
    ],
)  # fmt: skip
def test_an_answer_is_text(answer: str, html: str) -> None:
    shown = answers.pending("?", answer=answer)
    assert str(shown).split('<div class="answer">')[1] == f"{html}</div></article>"


def test_a_phone_needs_no_horizontal_scrolling(opened: Page, running: Running, tmp_path: Path) -> None:
    word = uuid.uuid4().hex
    running.add(tmp_path, f"{word * 4}.txt", f"The very long word {word * 5} fits.")
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.reload()
    expect(opened.locator(".welcome")).to_be_visible()
    _assert_fits(opened)
    ask_and_wait(opened, f"Does the very long word fit {word * 5}?")
    _assert_fits(opened)
    opened.locator("#transcript .answer button.chip").click()
    expect(opened.locator("#source mark")).to_contain_text(word)
    _assert_fits(opened)
    box = opened.locator("#panel").bounding_box()
    assert box is not None
    assert (box["x"], box["width"], box["y"] + box["height"]) == (0, 390, 844)
    opened.locator("#source").get_by_role("button", name="Close").click()
    opened.get_by_role("button", name="Conversations", exact=True).click()
    expect(opened.get_by_label("Search conversations")).to_be_visible()
    _assert_fits(opened)
    opened.keyboard.press("Escape")
    expect(opened.get_by_label("Search conversations")).to_be_hidden()
    opened.get_by_role("button", name="Documents", exact=True).click()
    expect(opened.locator("#document-list")).to_be_visible()
    _assert_fits(opened)


def test_the_theme_is_kept(opened: Page) -> None:
    expect(opened.locator("body")).not_to_have_class("dark")
    paper = "getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
    light = opened.evaluate(paper)
    opened.get_by_role("button", name="Switch between light and dark").click()
    expect(opened.locator("body.dark")).to_have_count(1)
    assert opened.evaluate(paper) != light
    opened.reload()
    expect(opened.locator("body.dark")).to_have_count(1)
    opened.get_by_role("button", name="Switch between light and dark").click()
    expect(opened.locator("body.dark")).to_have_count(0)


def test_no_word_of_the_framework(opened: Page) -> None:
    text = opened.locator("body").inner_text()
    assert "gradio" not in text.lower()
    assert "api" not in text.lower().split()


def _assert_fits(page: Page) -> None:
    wide = page.evaluate(
        """() => [document.documentElement, document.querySelector("#thread"), document.querySelector("#panel")]
            .filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.id)"""
    )
    assert wide == []
