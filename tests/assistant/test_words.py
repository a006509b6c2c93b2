"""Both languages say everything that the pages show, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import Any

import pytest

from assistant import words
from assistant.words import en, errors_pt, pt, training_pt

PAGES = Path(words.__file__).parent.parent
TRAINER = PAGES.parent / "trainer"
ERRORS = errors_pt.ERRORS | training_pt.ERRORS
USED = re.compile(r"\b(?:words|w|said|table|words\.LANGUAGES\[[\w.]+\])\.([A-Z][A-Z_0-9]+)\b")


def keys(table: ModuleType) -> set[str]:
    return {name for name in vars(table) if name.isupper()}


def used() -> set[str]:
    files = [
        f for folder in ("api", "ui", "web") for suffix in ("*.py", "*.html") for f in (PAGES / folder).rglob(suffix)
    ]
    files.append(PAGES / "verdicts.py")
    return {name for file in files for name in USED.findall(file.read_text())} - {"LANGUAGES", "DEFAULT", "COOKIE"}


def test_no_word_is_missing_and_none_is_left_over() -> None:
    assert keys(en) == keys(pt) == used()


@pytest.mark.parametrize("table", [en, pt])
def test_no_word_is_said_twice(table: ModuleType) -> None:
    assert table.__file__ is not None
    tree = ast.parse(Path(table.__file__).read_text())
    names = [target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]  # type: ignore[attr-defined]
    assert sorted(names) == sorted(set(names))


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


ROOTS = ("FielError", "SettingsError", "BusyError", "NotFoundError", "NotAllowedError", "TooOftenError", "InputError",
         "DocumentError", "EngineError", "ModelError", "EngineLostError", "ContextError")  # fmt: skip
ON_THE_TERMINAL = {"cli.py", "settings.py", "state.py", "dataset.py"}
"""Modules whose errors are told before there is a page, or by the command line alone."""


def template(node: ast.expr) -> str | None:
    """The text that an expression makes, with {} for what is put in; None where it is none of this module's."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def errors_and_texts() -> tuple[set[str], set[str]]:
    """The texts that errors are raised with, and all texts that stand anywhere in the program or what a run works."""
    raised, texts = set(), set()
    for file in [*PAGES.rglob("*.py"), *TRAINER.glob("*.py")]:
        if file.parent.name == "words":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant | ast.JoinedStr):
                texts.add(template(node))
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ROOTS
            if named and node.args and file.name not in ON_THE_TERMINAL:
                raised.add(template(node.args[0]))
    said = {text.strip("\n") for text in texts if text}
    return {text for text in raised if text}, said | {text.removeprefix("Line {}: ") for text in said}


def test_every_error_is_told_in_portuguese_and_no_translation_is_left_over() -> None:
    raised, texts = errors_and_texts()
    known = {*ERRORS, *(f"Line {{}}: {text}" for text in ERRORS)}  # a line of a golden set says any of its faults
    assert raised - known == set()
    assert set(ERRORS) - texts - {"Line {}: {}"} == set()
    assert [text for text, told in ERRORS.items() if text.count("{}") != told.count("{}")] == []


def test_where_a_run_is_is_told_in_portuguese() -> None:
    phases = {
        template(value)
        for file in TRAINER.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for value in _phases(node)
    }
    named = {"candidate", "champion"}  # put into them
    assert phases - {None} == set(training_pt.PHASES) - named


def _phases(node: ast.AST) -> list[ast.expr]:
    """What this expression reports as the phase of a run."""
    if isinstance(node, ast.Dict):
        return [v for k, v in zip(node.keys, node.values, strict=True) if k is not None and template(k) == "phase"]
    reports = {"phase", "_told", "told", "_answers"}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute) and node.args:
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        return node.args[:1] if name in reports else []
    return []


def test_why_questions_wait_is_told_in_portuguese() -> None:
    _, texts = errors_and_texts()
    notices = {text for text in texts if re.match(r"The language model .*(wait|left out|in a moment)", text)}
    assert len(notices) > 6
    assert notices - set(ERRORS) == set()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("There is no such document.", "Não há esse documento."),
        ("The file has more than the 5 MB allowed. Split it.", "O arquivo tem mais que os 5 MB permitidos. Divida-o."),
        ("Line 3: this is not JSON\nLine 9: answer is missing\n… and 7 more",
         "Linha 3: não é JSON\nLinha 9: falta answer\n… e mais 7"),
        ("The adapter v1 does not answer a test question: The adapter v1 is not loaded.",
         "O adaptador v1 não responde a uma pergunta de teste: O adaptador v1 não está carregado."),
        ("Line 1: {0.__class__} is missing", "Linha 1: falta {0.__class__}"),
        ("Nobody wrote this.", "Nobody wrote this."),
    ],
)  # fmt: skip
def test_errors_are_told_in_the_readers_language(text: str, told: str) -> None:
    assert words.told(text, "pt") == told
    assert words.told(text, "en") == text
