"""The words of the pages, in each language that there is, and which of them somebody wants to read."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from types import ModuleType

from assistant.words import en, pt

LANGUAGES: Mapping[str, ModuleType] = {"en": en, "pt": pt}
DEFAULT = "en"
COOKIE = "fiel_language"


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
