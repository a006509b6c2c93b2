"""The form below a rated answer: reasons, wrong passages, a comment and the answer as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import gradio as gr
from markupsafe import Markup

from assistant.errors import NotFoundError
from assistant.feedback import COMMENT, CORRECTION
from assistant.records import Exchange, Feedback, Reason
from assistant.ui import words
from assistant.ui.events import number_of, text_of
from assistant.ui.render import NOTHING, data, joined


def form(exchange: Exchange) -> Markup:
    """Nothing until there is a thumb. Each reason and each passage is one click; the rest is folded away."""
    if exchange.rating is None:
        return NOTHING
    said = exchange.rating.feedback
    return Markup('<section class="rating" aria-label="{}"><p>{}</p>{}{}{}</section>').format(
        words.RATE_WHY, words.RATE_WHY, _reasons(exchange, said), _passages(exchange, said), _written(exchange, said)
    )


def is_form(event: gr.EventData) -> bool:
    return text_of(event, "change") == "written"


def changed(said: Feedback, event: gr.EventData) -> Feedback:
    """The feedback with the change that the event asks for. Raises NotFoundError for one that the form cannot send."""
    change = text_of(event, "change")
    if change == "reason":
        reason = text_of(event, "reason")
        if reason not in set(Reason):
            raise NotFoundError(words.CHANGE_FAILED)
        return replace(said, reasons=tuple(set(said.reasons) ^ {Reason(reason)}))
    if change == "passage":
        return replace(said, wrong_passages=tuple(set(said.wrong_passages) ^ {number_of(event, "passage")}))
    return replace(said, comment=text_of(event, "comment"), correction=text_of(event, "correction"))


def _reasons(exchange: Exchange, said: Feedback) -> Markup:
    names = words.REASONS
    choices = [
        _choice(names[reason], reason in said.reasons, exchange=exchange.id, change="reason", reason=reason.value)
        for reason in Reason
    ]
    return _group(words.RATE_WHY, choices)


def _passages(exchange: Exchange, said: Feedback) -> Markup:
    if not exchange.passages:
        return NOTHING
    choices = [
        _choice(f"{n} · {p.document}", n in said.wrong_passages, exchange=exchange.id, change="passage", passage=n)
        for n, p in enumerate(exchange.passages, 1)
    ]
    return Markup("<p>{}</p>{}").format(words.RATE_PASSAGES, _group(words.RATE_PASSAGES, choices))


def _written(exchange: Exchange, said: Feedback) -> Markup:
    return Markup(
        "<details{}><summary>{}</summary><form{}><label>{}{}</label><label>{}{}</label>"
        '<button type="submit" class="text-button primary">{}</button></form></details>'
    ).format(
        Markup(" open") if said.comment or said.correction else NOTHING,
        words.RATE_MORE,
        data(event="detail", exchange=exchange.id, change="written"),
        words.RATE_COMMENT,
        _area("comment", said.comment, COMMENT, rows=2),
        words.RATE_CORRECTION,
        _area("correction", said.correction or exchange.answer, CORRECTION, rows=4),
        words.RATE_KEEP,
    )


def _area(name: str, text: str, longest: int, *, rows: int) -> Markup:
    # The line break after the tag is not part of the value, but one that the value begins with would be lost.
    return Markup('<textarea name="{}" rows="{}" maxlength="{}">\n{}</textarea>').format(name, rows, longest, text)


def _group(label: str, choices: Sequence[Markup]) -> Markup:
    return Markup('<div class="choices" role="group" aria-label="{}">{}</div>').format(label, joined(choices))


def _choice(label: str, pressed: bool, **values: object) -> Markup:
    return Markup('<button type="button" aria-pressed="{}" title="{}"{}>{}</button>').format(
        "true" if pressed else "false", label, data(event="detail", **values), label
    )
