"""Exchanges as HTML: the question, the answer with its citations as chips, and the source that a chip opens."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup

from assistant.citations import marks
from assistant.records import Citation, Exchange, ExchangeStatus
from assistant.store.forget import REDACTED
from assistant.ui import feedback, icons, support, words
from assistant.ui.render import NOTHING, data, icon_button, joined, panel_title
from assistant.web.markdown import closed_chip, written


def transcript(exchanges: Sequence[Exchange]) -> Markup:
    return Markup('<div role="log" aria-label="{}">{}</div>').format(
        words.CONVERSATION, joined(map(_exchange, exchanges))
    )


def pending(question: str, *, note: str = "", answer: str = "") -> Markup:
    """An exchange while it is being answered; its citation marks cannot be opened yet."""
    body = written(answer, [closed_chip(mark.group(1)) for mark in _MARK.finditer(answer)], _spans(answer))
    if note:
        body = Markup('<p class="note"><span class="pulse"></span>{}</p>').format(note)
    article = Markup('<article class="exchange streaming" aria-busy="true">{}<div class="answer">{}</div></article>')
    return article.format(_question(question), body)


def source(citation: Citation, *, passage_start: int, available: bool) -> Markup:
    """The window of a citation with the cited sentence highlighted; ``passage_start``: its offset in the document."""
    start, end = citation.start - passage_start, citation.end - passage_start
    page = Markup("<p>{}</p>").format(words.PAGE.format(citation.page)) if citation.page is not None else NOTHING
    return Markup('{}<div class="source"><h3>{}</h3>{}<blockquote>{}<mark>{}</mark>{}</blockquote>{}</div>').format(
        panel_title(f"{words.SOURCE} {citation.n}", "panel"),
        citation.document,
        page,
        citation.window[:start].lstrip(),
        citation.window[start:end],
        citation.window[end:].rstrip(),
        _links(citation) if available else Markup('<p class="note">{}</p>').format(words.DOCUMENT_GONE),
    )


def no_source() -> Markup:
    return Markup('{}<p class="note">{}</p>').format(panel_title(words.SOURCE, "panel"), words.SOURCE_HINT)


_MARK = re.compile(r"\[(\d+)\]")


def _spans(answer: str) -> list[tuple[int, int]]:
    return [mark.span() for mark in _MARK.finditer(answer)]


def _exchange(exchange: Exchange) -> Markup:
    return Markup('<article class="exchange">{}<div class="answer" aria-label="{}">{}</div>{}{}{}{}</article>').format(
        _question(exchange.question, exchange=exchange.id),
        words.ANSWER,
        _answer(exchange),
        _status(exchange),
        _sources(exchange),
        _tools(exchange),
        feedback.form(exchange),
    )


def _question(question: str, *, exchange: str = "") -> Markup:
    edit = icon_button("edit", words.EDIT, icons.EDIT, exchange=exchange) if exchange else NOTHING
    return Markup('<div class="question">{}<p aria-label="{}">{}</p></div>').format(edit, words.QUESTION, question)


def _answer(exchange: Exchange) -> Markup:
    if exchange.answer == REDACTED:
        return Markup('<p class="note">{}</p>').format(words.REDACTED)
    numbers = {(c.n, c.sentence_index): index for index, c in enumerate(exchange.citations)}
    chips, spans = [], []
    for start, end, citation in marks(exchange.answer, exchange.passages):
        index = numbers.get((citation.n, citation.sentence_index))
        chips.append(closed_chip(citation.n) if index is None else _chip(exchange, index))
        spans.append((start, end))
    return written(exchange.answer, chips, spans)


def _chip(exchange: Exchange, index: int) -> Markup:
    citation = exchange.citations[index]
    label = words.SOURCE_OF.format(n=citation.n, document=citation.document)
    return Markup('<button type="button" class="chip" title="{}" aria-label="{}"{}>{}</button>').format(
        label, label, data(event="cite", exchange=exchange.id, citation=index), citation.n
    )


def _status(exchange: Exchange) -> Markup:
    text = {ExchangeStatus.STOPPED: words.STOPPED, ExchangeStatus.FAILED: words.FAILED}.get(exchange.status, "")
    if not text and not exchange.answer and exchange.status is ExchangeStatus.COMPLETE:
        text = words.EMPTY_ANSWER
    return Markup('<p class="note">{}</p>').format(text) if text else NOTHING


def _sources(exchange: Exchange) -> Markup:
    """One line for each cited passage: its number, document and page."""
    first = {citation.n: index for index, citation in reversed(list(enumerate(exchange.citations)))}
    rows = [_source_row(exchange, index) for _, index in sorted(first.items())]
    if not rows:
        return NOTHING
    return Markup('<ul class="sources" aria-label="{}">{}</ul>').format(words.SOURCES, joined(rows))


def _source_row(exchange: Exchange, index: int) -> Markup:
    citation = exchange.citations[index]
    page = Markup("<span>{}</span>").format(words.PAGE_SHORT.format(citation.page)) if citation.page else NOTHING
    return Markup(
        '<li><button type="button"{}><span class="chip">{}</span><span class="name">{}</span>{}</button></li>'
    ).format(data(event="cite", exchange=exchange.id, citation=index), citation.n, citation.document, page)


def _tools(exchange: Exchange) -> Markup:
    value = exchange.rating.feedback.value if exchange.rating else 0
    copy = Markup(
        '<button type="button" class="icon-button" title="{label}" aria-label="{label}" data-copied="{copied}" '
        "data-copy>{icon}</button>"
    ).format(label=words.COPY, copied=words.COPIED, icon=icons.COPY)
    return Markup('<div class="tools">{}{}{}{}{}{}{}</div>').format(
        icon_button("rate", words.GOOD, icons.UP, pressed=value > 0, exchange=exchange.id, value=1),
        icon_button("rate", words.BAD, icons.DOWN, pressed=value < 0, exchange=exchange.id, value=-1),
        copy,
        icon_button("retry", words.RETRY, icons.RETRY, exchange=exchange.id),
        _forget(exchange),
        support.badge(exchange),
        Markup('<small class="by" title="{}">{}</small>').format(words.ANSWERED_BY, exchange.adapter or exchange.model),
    )


def _forget(exchange: Exchange) -> Markup:
    confirm = words.CONFIRM_DELETE_EXCHANGE
    return icon_button("forget", words.DELETE_EXCHANGE, icons.TRASH, exchange=exchange.id, confirm=confirm)


def _links(citation: Citation) -> Markup:
    page = NOTHING if citation.page is None else Markup("&amp;page={}").format(citation.page)
    at_page = NOTHING if citation.page is None else Markup("#page={}").format(citation.page)
    return Markup(
        '<p class="links">'
        '<a href="/documents/{id}?start={start}&amp;end={end}{page}" target="_blank" rel="noopener">{read}{out}</a>'
        '<a href="/api/documents/{id}/original{at_page}" target="_blank" rel="noopener">{original}{out}</a></p>'
    ).format(
        id=citation.document_id,
        start=citation.start,
        end=citation.end,
        page=page,
        at_page=at_page,
        read=words.OPEN_DOCUMENT,
        original=words.OPEN_ORIGINAL,
        out=icons.OUT,
    )
