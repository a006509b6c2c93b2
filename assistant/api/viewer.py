"""The page that shows a document's text with the cited sentence marked. It runs no script and loads nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from html import escape
from types import ModuleType
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from assistant import words
from assistant.api.dependencies import DocumentPath, Me, Parts
from assistant.records import SHARED, Document, DocumentStatus, Sentence
from assistant.store import documents

router = APIRouter(tags=["documents"])

_AROUND = 400  # sentences shown before and after the place in question: a page that any browser shows at once

_Position = Annotated[int, Query(ge=0, le=2**31 - 1)]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1d20; --paper: #fff; --quiet: #62666d; --line: #e3e5e8; --mark: #ffe69a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e9eb; --paper: #17181b; --quiet: #9a9fa8; --line: #303238; --mark: #6b5200; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.65 system-ui, sans-serif; }
header { position: sticky; top: 0; background: var(--paper); border-bottom: 1px solid var(--line); }
header > div, main { max-width: 46rem; margin: 0 auto; padding: .75rem 1.25rem; }
header > div { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
h1 { flex: 1 1 12rem; min-width: 0; margin: 0; font-size: 1rem; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line); color: var(--quiet);
     font-size: .8125rem; font-weight: 600; scroll-margin-top: 5rem; white-space: normal; }
a { color: inherit; text-underline-offset: .2em; }
article { padding: .75rem 0 4rem; white-space: pre-wrap; overflow-wrap: anywhere; }
mark { background: var(--mark); color: inherit; border-radius: .2em; padding: .1em 0; scroll-margin: 40vh 0; }
h2:focus, mark:focus { outline: none; }
p { color: var(--quiet); white-space: normal; }
"""


_TARGET = ' id="cited" tabindex="-1" autofocus'  # what has the focus is scrolled to, without a script


@router.get("/documents/{document_id}", response_class=HTMLResponse)
def view_document(
    document_id: DocumentPath,
    request: Request,
    *,
    services: Parts,
    person: Me,
    start: _Position | None = None,
    end: _Position | None = None,
    page: _Position | None = None,
) -> HTMLResponse:
    """The document's text as a page of its own, at its characters ``[start:end]``, which are marked, or at ``page``."""
    with services.database.read() as session:
        document = documents.get(session, document_id, scopes=(SHARED, person.scope))
        at = documents.sentence_at(session, document_id, start=start, page=page)
        shown = documents.sentences_between(session, document_id, max(0, at - _AROUND), at + _AROUND)
    if start is not None:  # the original opens where the citation is
        page = next((sentence.page for sentence in shown if sentence.index == at), None)
    marked = (start, end) if start is not None and end is not None else None
    language = words.chosen(request.headers)
    text = "".join(_text(shown, words.LANGUAGES[language], marked=marked, focus=page if start is None else None))
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return HTMLResponse(
        _page(document, text, language, shown=shown, page=page, nonce=nonce),
        headers={"Content-Security-Policy": policy, "Cache-Control": "private, no-cache"},
    )


def _text(
    shown: Sequence[Sentence], said: ModuleType, *, marked: tuple[int, int] | None, focus: int | None
) -> Iterator[str]:
    """The sentences as HTML: each page under its number, the marked characters in marks, the first of them in focus."""
    page = None
    target = _TARGET
    for sentence in shown:
        if sentence.page != page:
            page = sentence.page
            here = ' tabindex="-1" autofocus' if page == focus else ""
            yield f'<h2 id="page-{page}"{here}>{escape(said.PAGE.format(page))}</h2>'
        before, inside, after = _cut(sentence, marked or (0, 0))
        yield escape(before)
        if inside:
            yield f"<mark{target}>{escape(inside)}</mark>"
            target = ""
        yield escape(after)


def _cut(sentence: Sentence, marked: tuple[int, int]) -> tuple[str, str, str]:
    """The sentence's text before, within and after the marked characters of the document."""
    length = len(sentence.text)
    first, last = (min(max(position - sentence.start, 0), length) for position in marked)
    return sentence.text[:first], sentence.text[first:last], sentence.text[max(first, last) :]


def _page(
    document: Document, text: str, language: str, *, shown: Sequence[Sentence], page: int | None, nonce: str
) -> str:
    said: ModuleType = words.LANGUAGES[language]
    name = escape(document.name)
    earlier = later = ""
    if document.status is not DocumentStatus.READY:
        text = f"<p>{escape(words.told(document.reason or '', language) or said.STILL_READ)}</p>"
    elif shown and shown[0].index > 0:
        earlier = f'<p><a href="?start={max(0, shown[0].start - 1)}">{said.EARLIER_TEXT}</a></p>'
    if shown and shown[-1].index + 1 < document.sentences:
        later = f'<p><a href="?start={shown[-1].start + len(shown[-1].text)}">{said.LATER_TEXT}</a></p>'
    original = f"/api/documents/{document.id}/original" + (f"#page={page}" if page is not None else "")
    return (
        f"<!doctype html><html lang='{said.LANGUAGE_TAG}'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{name}</title><style nonce='{nonce}'>{_STYLE}</style></head><body>"
        f"<header><div><h1>{name}</h1><a href='{original}'>{said.OPEN_ORIGINAL}</a></div></header>"
        f"<main>{earlier}<article>{text}</article>{later}</main></body></html>"
    )
