"""The documents panel: the list with progress, choice, retry, deletion, and what came of an upload."""

from __future__ import annotations

from typing import Any

import gradio as gr
from pydantic import BaseModel, TypeAdapter

from assistant.services import Services
from assistant.ui import lists, views, words
from assistant.ui.events import Updates, chosen_ids, inform, number_of, reported, text_of, warn
from assistant.ui.layout import IDLE_SECONDS, WATCH_SECONDS, Page
from assistant.ui.people import current_person

_EVENTS_AT_ONCE = 16


class _Document(BaseModel):
    name: str


class _Error(BaseModel):
    message: str


class _File(BaseModel):
    name: str
    added: bool = False
    document: _Document | None = None
    error: _Error | None = None


_Told = TypeAdapter(list[_File])


class DocumentEvents:
    """The handlers of the documents panel. One instance serves all people."""

    def __init__(self, *, page: Page, services: Services) -> None:
        self._page = page
        self._services = services

    def wire(self) -> None:
        page = self._page
        shown = [page.documents, page.notice, page.chosen, page.clock]
        place: list[Any] = [page.chosen, page.editing]
        quick: dict[str, Any] = {
            "outputs": shown,
            "show_progress": "hidden",
            "concurrency_limit": _EVENTS_AT_ONCE,
            "concurrency_id": "documents",
            "api_visibility": "private",
        }
        page.clock.tick(self.look, place, **quick)
        page.documents.choose(self.choose, place, **quick)
        page.documents.remove(self.remove, place, **quick)
        page.documents.read_again(self.read_again, place, **quick)
        page.notice.ask_all(self.ask_all, place, **quick)
        page.documents.uploaded(self.uploaded, place, **quick)

    def uploaded(self, chosen: object, editing: str, event: gr.EventData) -> Updates:
        """Tells what came of an upload, in the words of the API's answer; the files themselves went there."""
        with reported(self._services):
            for file in _Told.validate_json(text_of(event, "files")):
                if file.error is not None:
                    warn(words.NOT_ADDED.format(name=file.name, reason=file.error.message))
                elif file.document is not None and not file.added:
                    inform(words.ALREADY_THERE.format(name=file.name, same=file.document.name))
        return self.look(chosen, editing)

    def look(self, chosen: object, editing: str) -> Updates:
        """The list as it is now, and a clock that runs fast only while something is being read or loaded."""
        with reported(self._services):
            documents = self._services.library.documents(current_person(self._services))
        there = {document.id for document in documents}
        busy = views.unread(documents) or self._services.engine.notice
        still = [document_id for document_id in chosen_ids(chosen) if document_id in there]
        return {
            self._page.documents: lists.documents(documents, chosen=still),
            self._page.notice: views.notice(self._services, documents, chosen=still, editing=bool(editing)),
            self._page.chosen: still,
            self._page.clock: gr.Timer(WATCH_SECONDS if busy else IDLE_SECONDS),
        }

    def choose(self, chosen: object, editing: str, event: gr.EventData) -> Updates:
        """Adds a document to those that questions are limited to, or takes it out."""
        with reported(self._services):
            document_id = number_of(event, "document")
        ids = chosen_ids(chosen)
        return self.look([i for i in ids if i != document_id] if document_id in ids else [*ids, document_id], editing)

    def ask_all(self, chosen: object, editing: str) -> Updates:
        return self.look([], editing)

    def remove(self, chosen: object, editing: str, event: gr.EventData) -> Updates:
        with reported(self._services):
            self._services.forgetting.document(number_of(event, "document"), person=current_person(self._services))
        return self.look(chosen, editing)

    def read_again(self, chosen: object, editing: str, event: gr.EventData) -> Updates:
        with reported(self._services):
            self._services.library.retry(number_of(event, "document"), person=current_person(self._services))
        return self.look(chosen, editing)
