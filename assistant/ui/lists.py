"""The list of documents and the list of conversations as HTML."""

from __future__ import annotations

from collections.abc import Container, Sequence

from markupsafe import Markup

from assistant.records import Conversation, Document, DocumentStatus
from assistant.ui import icons, words
from assistant.ui.render import NOTHING, data, icon_button, joined


def documents(listed: Sequence[Document], *, chosen: Container[int]) -> Markup:
    """Each document with its state; the ``chosen`` ones are those that questions are limited to."""
    if not listed:
        return Markup('<p class="note">{}</p>').format(words.NO_DOCUMENTS)
    return Markup('<ul class="documents">{}</ul>').format(joined(_document(d, d.id in chosen) for d in listed))


def conversations(listed: Sequence[Conversation], *, current: str, searching: bool) -> Markup:
    if not listed:
        text = words.NOTHING_FOUND if searching else words.NO_CONVERSATIONS
        return Markup('<p class="note">{}</p>').format(text)
    rows = joined(_conversation(conversation, conversation.id == current) for conversation in listed)
    return Markup('<ul class="conversations">{}</ul>').format(rows)


def _document(document: Document, chosen: bool) -> Markup:
    again = NOTHING
    if document.status is DocumentStatus.FAILED:
        again = icon_button("read_again", words.RETRY_DOCUMENT, icons.RETRY, document=document.id)
    delete = icon_button(
        "remove",
        words.DELETE_DOCUMENT.format(document.name),
        icons.TRASH,
        document=document.id,
        confirm=words.CONFIRM_DELETE_DOCUMENT.format(document.name),
    )
    return Markup('<li class="{}">{}<div class="body">{}{}</div>{}{}</li>').format(
        document.status.value, _choice(document, chosen), _name(document), _state(document), again, delete
    )


def _choice(document: Document, chosen: bool) -> Markup:
    if document.status is not DocumentStatus.READY:
        return Markup('<span class="choice"></span>')
    return Markup(
        '<button type="button" class="choice" role="checkbox" aria-checked="{checked}" title="{label}" '
        'aria-label="{label}"{data}>{icon}</button>'
    ).format(
        checked="true" if chosen else "false",
        label=words.CHOOSE.format(document.name),
        data=data(event="choose", document=document.id),
        icon=icons.CHECK,
    )


def _name(document: Document) -> Markup:
    if document.status is not DocumentStatus.READY:
        return Markup('<span class="name">{}</span>').format(document.name)
    return Markup('<a class="name" href="/documents/{}" target="_blank" rel="noopener">{}</a>').format(
        document.id, document.name
    )


def _state(document: Document) -> Markup:
    if document.status is DocumentStatus.FAILED:
        return Markup('<p class="problem">{}: {}</p>').format(words.DOCUMENT_FAILED, document.reason or "")
    if document.status is DocumentStatus.READY:
        parts = [words.counted(words.SENTENCES, document.sentences), _size(document.size)]
        if document.pages:
            parts.insert(0, words.counted(words.PAGES, document.pages))
        return Markup("<p>{}</p>{}").format(" · ".join(parts), _empty_pages(document))
    if document.status is DocumentStatus.QUEUED:
        return Markup("<p>{}</p>").format(words.QUEUED)
    percent = round(document.progress * 100)
    text = words.INDEXING.format(percent)
    return Markup('<p>{}</p><progress max="100" value="{}" aria-label="{}"></progress>').format(text, percent, text)


def _empty_pages(document: Document) -> Markup:
    if not document.empty_pages:
        return NOTHING
    return Markup('<p class="caution">{}</p>').format(words.counted(words.EMPTY_PAGES, document.empty_pages))


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def _conversation(conversation: Conversation, current: bool) -> Markup:
    return Markup(
        '<li><button type="button" class="open" title="{title}"{current}{open}>{title}</button>'
        '<details class="menu"><summary class="icon-button" aria-label="{options}">{more}</summary><div>'
        '<button type="button"{rename}>{rename_word}</button>'
        '<a href="/api/conversations/{id}/export?form=markdown" download>{markdown}</a>'
        '<a href="/api/conversations/{id}/export?form=json" download>{json}</a>'
        '<button type="button" class="danger"{delete}>{delete_word}</button></div></details></li>'
    ).format(
        title=conversation.title,
        current=Markup(' aria-current="true"') if current else NOTHING,
        open=data(event="open", conversation=conversation.id),
        options=words.CONVERSATION_MENU.format(conversation.title),
        more=icons.MORE,
        rename=data(event="rename", conversation=conversation.id, prompt=words.RENAME_PROMPT, value=conversation.title),
        rename_word=words.RENAME,
        id=conversation.id,
        markdown=words.EXPORT_MARKDOWN,
        json=words.EXPORT_JSON,
        delete=data(
            event="delete",
            conversation=conversation.id,
            confirm=words.CONFIRM_DELETE_CONVERSATION.format(conversation.title),
        ),
        delete_word=words.DELETE,
    )
