"""Sentences: hand-labelled boundaries, structure of Markdown, and invariants over any text."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.documents.sentences import MAX_PARAGRAPH, MAX_SECTION, MAX_SENTENCE, split
from assistant.records import PageSpan, Sentence

LABELLED = json.loads(Path(__file__).with_name("boundaries.json").read_text("utf-8"))
PIECES = [
    "word",
    "Two words. ",
    " ",
    "\n",
    "\n\n",
    "# ",
    "| a | b |\n",
    "|---|\n",
    "- ",
    "1. ",
    "```\n",
    "Dr. ",
    "… ",
    '"',
]
PIECES += ["é", "日本語", "\t", "<b>", "===\n", "  \n", "\u2028", "x" * 600, ": ", "Name: value\n", "\r"]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=40).map("".join)


def shown(text: str) -> list[str]:
    return [text[s.start : s.end] for s in split(text)]


def found_boundaries(sentences: list[str]) -> tuple[set[int], set[int]]:
    """The true and the found starts of all sentences but the first."""
    starts, position = set(), 0
    for sentence in sentences[:-1]:
        position += len(sentence) + 1
        starts.add(position)
    return starts, {s.start for s in split(" ".join(sentences))} - {0}


@pytest.mark.parametrize("language", ["en", "pt"])
def test_hand_labelled_boundaries(language: str) -> None:
    pairs = [found_boundaries(paragraph) for paragraph in LABELLED[language]]
    true = sum(len(gold) for gold, _ in pairs)
    right = sum(len(gold & found) for gold, found in pairs)
    wrong = sum(len(found - gold) for gold, found in pairs)
    assert true >= 50
    # What is missed are sentences of one word, which are joined to a neighbour on purpose, and "or me. Vitamin C".
    assert right / true >= 0.94
    assert wrong == 0


@settings(max_examples=400)
@given(TEXTS)
def test_sentences_tile_any_text(text: str) -> None:
    sentences = split(text)
    assert bool(sentences) == bool(text.strip())
    if not sentences:
        return
    assert text[: sentences[0].start].strip() == ""
    assert "".join(s.text for s in sentences) == text[sentences[0].start :]
    assert [s.index for s in sentences] == list(range(len(sentences)))
    for sentence in sentences:
        exact = text[sentence.start : sentence.end]
        assert exact
        assert exact == exact.strip()
        assert sentence.text.startswith(exact)
    for before, after in pairwise(sentences):
        assert before.end <= after.start
        assert after.paragraph - before.paragraph in (0, 1)
        assert after.section - before.section in (0, 1)


def test_structure_of_markdown() -> None:
    text = (
        "# User guide\n\nFirst line of a paragraph\nthat goes on here. Second sentence.\n\n"
        "- An item with text.\n- Another item\n\n"
        "| Part | Price |\n| --- | --- |\n| Small lamp | 12. Really |\n\n"
        "```\nx = 1. Then\n\ny = 2\n```\n\nSetext heading\n==============\nLast words."
    )
    assert shown(text) == [
        "# User guide",
        "First line of a paragraph\nthat goes on here.",
        "Second sentence.",
        "- An item with text.",
        "- Another item",
        "| Part | Price |\n| --- | --- |",
        "| Small lamp | 12. Really |",
        "```\nx = 1. Then\n\ny = 2\n```",
        "Setext heading\n==============",
        "Last words.",
    ]
    by_text = {text[s.start : s.end]: s for s in split(text)}
    assert by_text["# User guide"].paragraph == by_text["Second sentence."].paragraph
    assert by_text["- An item with text."].paragraph == by_text["- Another item"].paragraph
    assert by_text["- Another item"].section == 0
    assert by_text["Last words."].section == by_text["Setext heading\n=============="].section == 1


def test_lines_that_stand_for_themselves() -> None:
    assert shown("Name: Ana Silva\nCity: Recife\nPhone: 3333") == ["Name: Ana Silva", "City: Recife", "Phone: 3333"]
    assert shown("Opening hours  \nMonday to Friday") == ["Opening hours", "Monday to Friday"]
    assert shown("Item: Lamp | Note: Dry. Keep it dry.\nItem: Bulb | Note: none") == [
        "Item: Lamp | Note: Dry. Keep it dry.",
        "Item: Bulb | Note: none",
    ]


def test_scraps_are_no_sentences() -> None:
    assert shown("## Prices\n\nA lamp costs 12 euros.") == ["## Prices\n\nA lamp costs 12 euros."]
    assert shown("Is it ready? Yes. We start now.") == ["Is it ready? Yes.", "We start now."]
    assert shown("A first sentence.\n\n***\n\nAnother sentence.") == ["A first sentence.\n\n***", "Another sentence."]
    assert shown("Yes") == ["Yes"]
    assert shown(" \n\t\n") == []


def test_long_sentences_are_cut_at_clauses() -> None:
    prose = "this clause has some words, " * 200
    pieces = shown(prose)
    assert max(map(len, pieces)) <= MAX_SENTENCE
    assert all(piece.endswith(",") for piece in pieces)
    code = "```\n" + "some_call(argument)\n" * 200 + "```"
    assert all(piece.endswith(("some_call(argument)", "```")) for piece in shown(code))
    assert max(len(s) for s in shown("x" * 5_000)) <= MAX_SENTENCE


def lengths(sentences: list[Sentence], key: str) -> dict[int, int]:
    spans: dict[int, list[int]] = {}
    for sentence in sentences:
        spans.setdefault(getattr(sentence, key), []).extend((sentence.start, sentence.end))
    return {number: max(offsets) - min(offsets) for number, offsets in spans.items()}


def test_paragraphs_and_sections_are_capped() -> None:
    sentences = split("This is one more sentence of a long text. " * 500)
    assert max(lengths(sentences, "paragraph").values()) <= MAX_PARAGRAPH
    sizes = [sum(s.section == number for s in sentences) for number in range(sentences[-1].section + 1)]
    assert max(sizes) <= MAX_SECTION + 5
    assert min(sizes[:-1]) >= MAX_SECTION


def test_each_sentence_has_the_page_on_which_it_starts() -> None:
    text = "One page here. It runs\non to the next. Third sentence."
    pages = [PageSpan(1, 0, 23), PageSpan(2, 23, 23), PageSpan(3, 23, len(text))]
    assert [s.page for s in split(text, pages=pages)] == [1, 1, 3]
    assert {s.page for s in split(text)} == {None}
