"""What handlers share: what an event says, and how a failure reaches the person."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from assistant.api.errors import describe
from assistant.errors import FielError, NotFoundError
from assistant.services import Services
from assistant.ui import render, words
from assistant.ui.people import person_or_none

Updates = dict[Any, Any]
"""New values by widget; the widgets that are not named stay as they are."""

_log = logging.getLogger(__name__)


def text_of(event: gr.EventData, name: str) -> str:
    """A value that the clicked element carried. Raises NotFoundError if there is none: the page is not ours."""
    value = event._data.get(name) if isinstance(event._data, dict) else None
    if not isinstance(value, str):
        raise NotFoundError(words.CHANGE_FAILED)
    return value


def number_of(event: gr.EventData, name: str) -> int:
    """A whole number that the clicked element carried. Raises NotFoundError if it is none that an id can be."""
    value = text_of(event, name)
    if not value.removeprefix("-").isdecimal() or len(value) > 9:
        raise NotFoundError(words.CHANGE_FAILED)
    return int(value)


def chosen_ids(value: object) -> tuple[int, ...]:
    """The document ids that the browser holds; what cannot be an id is left out."""
    return tuple(item for item in value if type(item) is int and 0 < item < 2**31) if isinstance(value, list) else ()


def warn(text: object) -> None:
    gr.Warning(render.message(text), title="")


def inform(text: object) -> None:
    gr.Info(render.message(text), title="")


def refused(services: Services, error: FielError) -> None:
    """Tells the audit log of what a person was refused; of what failed through no fault of theirs, nothing."""
    status, _ = describe(error)
    if status < 500:
        services.refusals.note(status, "the chat page", person=person_or_none(services))


@contextmanager
def reported(services: Services) -> Iterator[None]:
    """Turns an error into a message in plain words that ends the handler; the details go to the log alone."""
    try:
        yield
    except FielError as error:
        refused(services, error)
        raise gr.Error(render.message(error), title="", print_exception=False) from error
    except gr.Error:
        raise
    except Exception as error:
        _log.exception("a handler of the page failed")
        raise gr.Error(words.CHANGE_FAILED, title="", print_exception=False) from error
