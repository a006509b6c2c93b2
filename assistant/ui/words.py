"""The words of the chat page: ``words.SEND`` is what stands there in the language of whoever is reading.

That is the language of the request that Gradio is working on, and while a page is being built the page's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from gradio.context import LocalContext

from assistant import words
from assistant.words import counted

__all__ = ["building", "counted", "language", "told"]

_building = ContextVar("building", default=words.DEFAULT)


@contextmanager
def building(language: str) -> Iterator[None]:
    """The page that is built in the block is in this language."""
    token = _building.set(language)
    try:
        yield
    finally:
        _building.reset(token)


def language() -> str:
    request = LocalContext.request.get(None)
    return words.chosen(request.headers) if request is not None else _building.get()


def told(text: object) -> str:
    """An error's text, which is English, in the reader's language."""
    return words.told(str(text), language())


def __getattr__(name: str) -> Any:
    return getattr(words.LANGUAGES[language()], name)
