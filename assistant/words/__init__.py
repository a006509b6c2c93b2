"""The words of the pages, in each language that there is, and which of them somebody wants to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from http.cookies import CookieError, SimpleCookie
from types import ModuleType

from assistant.words import en, pt, training_pt
from assistant.words.errors_pt import CHECKS, ERRORS

LANGUAGES: Mapping[str, ModuleType] = {"en": en, "pt": pt}
DEFAULT = "en"
COOKIE = "fiel_language"
_ERRORS = ERRORS | CHECKS | training_pt.ERRORS | training_pt.PHASES


def chosen(headers: Mapping[str, str]) -> str:
    """The language that was chosen here (a cookie), else the first that the browser asks for, else English."""
    cookies = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        cookies.clear()
    if (cookie := cookies.get(COOKIE)) is not None and cookie.value in LANGUAGES:
        return str(cookie.value)
    return accepted(headers.get("accept-language", ""))


def accepted(header: str) -> str:
    """What ``Accept-Language`` prefers of the languages that there are."""
    wanted = []
    for position, part in enumerate(header.split(",")[:20]):
        tag, _, parameters = part.partition(";")
        name, _, value = parameters.strip().partition("=")
        try:
            weight = float(value) if name == "q" else 1.0
        except ValueError:
            continue
        wanted.append((-weight, position, tag.strip().lower().partition("-")[0]))
    return next((tag for weight, _, tag in sorted(wanted) if weight < 0 and tag in LANGUAGES), DEFAULT)


def counted(forms: Mapping[int, str], count: int) -> str:
    """The singular (1) or the plural (2) form, with the number in it."""
    return forms[1 if count == 1 else 2].format(f"{count:,}")


def told(text: str, language: str) -> str:
    """What the program says of an error (always in English) in a language; as it is where there is no such text."""
    if language == DEFAULT:
        return text
    if text in _ERRORS:
        return _ERRORS[text]
    for pattern, translated in _patterns():
        if found := pattern.fullmatch(text):
            return translated.format(*(told(value, language) for value in found.groups()))
    return "\n".join(told(line, language) for line in text.split("\n")) if "\n" in text else text


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """The texts with places to fill, those with most words of their own first: of two that fit, it says more. But where
    a text begins with a place, anything fits there: these come last."""
    texts = sorted((text for text in _ERRORS if "{}" in text), key=lambda text: (text.startswith("{}"), -len(text)))
    expressions = ("(.+?)".join(map(re.escape, text.split("{}"))) for text in texts)
    return [(re.compile(e, re.DOTALL), _ERRORS[text]) for e, text in zip(expressions, texts, strict=True)]
