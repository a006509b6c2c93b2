"""Both languages say everything that the pages show, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import Any

import pytest

from assistant import words
from assistant.words import en, pt

PAGES = Path(words.__file__).parent.parent
USED = re.compile(r"\b(?:words|w|table|words\.LANGUAGES\[[\w.]+\])\.([A-Z][A-Z_0-9]+)\b")


def keys(table: ModuleType) -> set[str]:
    return {name for name in vars(table) if name.isupper()}


def used() -> set[str]:
    files = [f for folder in ("ui", "web") for suffix in ("*.py", "*.html") for f in (PAGES / folder).rglob(suffix)]
    files.append(PAGES / "verdicts.py")
    return {name for file in files for name in USED.findall(file.read_text())} - {"LANGUAGES", "DEFAULT", "COOKIE"}


def test_no_word_is_missing_and_none_is_left_over() -> None:
    assert keys(en) == keys(pt) == used()


def places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("name", sorted(keys(en)))
def test_both_languages_have_the_same_places_to_fill(name: str) -> None:
    ours: Any = getattr(en, name)
    theirs: Any = getattr(pt, name)
    if isinstance(ours, str):
        assert places(ours) == places(theirs)
    else:
        assert {key: places(text) for key, text in ours.items()} == {key: places(text) for key, text in theirs.items()}


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "en"), ("pt-BR,pt;q=0.9,en;q=0.8", "pt"), ("fr, pt;q=0.5, en;q=0.4", "pt"), ("en-GB", "en"), ("pt;q=0", "en"),
     ("pt;q=x,,;;=", "en"), ("de", "en")],
)  # fmt: skip
def test_the_browser_says_which(header: str, language: str) -> None:
    assert words.chosen({"accept-language": header}) == language


def test_the_persons_choice_wins() -> None:
    assert words.chosen({"accept-language": "en", "cookie": "other=1; fiel_language=pt"}) == "pt"
    assert words.chosen({"accept-language": "pt", "cookie": "fiel_language=xx"}) == "pt"
