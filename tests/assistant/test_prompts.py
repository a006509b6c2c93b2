from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from assistant import prompts
from assistant.records import Message, Turn
from tests.assistant.test_citations import CITY, RIVER


def test_passages_are_numbered_in_the_order_given_between_two_askings() -> None:
    messages = prompts.render(question="Where?", passages=[replace(CITY, page=3), RIVER])
    assert messages == [
        Message("system", prompts.SYSTEM),
        Message(
            "user",
            f"Question: Where?\n\n[1] b.txt, p. 3\n{CITY.text}\n\n[2] a.txt\n{RIVER.text}\n\nQuestion: Where?",
        ),
    ]


def test_the_sentence_that_the_search_ranks_first_is_set_off() -> None:
    text = "It is long.  It has five arches.\nIt is of stone."
    sentences = ((7, 0, 11), (8, 13, 32), (9, 33, 48))
    passage = replace(CITY, text=text, sentences=sentences, hits=(7, 8), best=8)
    marked = "It is long.  >> It has five arches. <<\nIt is of stone."
    assert prompts.render_passage(2, passage) == f"[2] {CITY.document}\n{marked}"
    assert prompts.render_passage(2, replace(passage, best=None)) == f"[2] {CITY.document}\n{text}"


@pytest.mark.parametrize(
    ("sentence", "length"),
    [
        ("## Warranty\n\nIt lasts three years.", 13),
        ("# Lamp\n## Warranty\nIt lasts.", 19),
        ("\n## Warranty\n\nIt lasts.", 14),
        ("## Warranty", 0),
        ("It lasts.", 0),
        ("#1 of the list.\nTwo.", 0),
    ],
)
def test_a_short_heading_stays_outside_the_marks(sentence: str, length: int) -> None:
    assert prompts.heading(sentence) == length
    passage = replace(CITY, text=sentence, sentences=((7, 0, len(sentence)),), hits=(7,), best=7)
    marked = f"{sentence[:length]}>> {sentence[length:]} <<".strip()
    assert prompts.render_passage(1, passage) == f"[1] {CITY.document}\n{marked}"


def test_without_passages_only_the_question_is_asked() -> None:
    assert prompts.render(question="Where?", passages=[])[-1] == Message("user", "Question: Where?")


def test_earlier_turns_lose_the_marks_of_passages_that_are_gone() -> None:
    history = [Turn("Who?", "Ana [1] and Rui [2]."), Turn("Why?", ""), Turn("When?", "In 1894 [1, 2].")]
    assert prompts.render(question="Where?", passages=[CITY], history=history)[1:5] == [
        Message("user", "Who?"),
        Message("assistant", "Ana and Rui."),
        Message("user", "When?"),
        Message("assistant", "In 1894."),
    ]


@pytest.mark.parametrize("refusal", prompts.REFUSALS.values())
def test_knows_its_refusals(refusal: str) -> None:
    assert refusal in prompts.SYSTEM
    for answer in (refusal, refusal.rstrip("."), f" {refusal}\n", f"{refusal} [1]", f"{refusal.rstrip('.')} [1]."):
        assert prompts.is_refusal(answer), answer
    assert not prompts.is_refusal(f"{refusal} It is 300 km long [1].")
    assert not prompts.is_refusal("")


def test_the_version_stands_for_the_rendered_bytes() -> None:
    """A change here is a new version: models and adapters are served with the format they were trained with."""
    messages = prompts.render(question="Q?", passages=[RIVER], history=[Turn("Who?", "Ana [1].")])
    rendered = "\n".join(f"{message.role}: {message.content}" for message in messages)
    assert (prompts.VERSION, hashlib.sha256(rendered.encode()).hexdigest()[:16]) == ("3", "d811584e17850a79")
