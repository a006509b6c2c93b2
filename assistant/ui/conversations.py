"""The list of conversations: open, begin, search, rename, delete, and the page as it is first shown."""

from __future__ import annotations

from typing import Any

import gradio as gr

from assistant.errors import InputError, NotFoundError
from assistant.services import Services
from assistant.store import exchanges
from assistant.ui import answers, views, words
from assistant.ui.events import Updates, reported, text_of, warn
from assistant.ui.layout import REMEMBER, Page
from assistant.ui.people import current_person

_EVENTS_AT_ONCE = 16

# The address of the page names the conversation, so that a reload and a bookmark come back to it.
_FROM_ADDRESS = "() => [new URLSearchParams(location.search).get('conversation') ?? '', '']"


class ConversationEvents:
    """The handlers of the list of conversations. One instance serves all people."""

    def __init__(self, *, page: Page, services: Services) -> None:
        self._page = page
        self._services = services

    def wire(self, blocks: gr.Blocks) -> None:
        page = self._page
        shown = [
            page.conversation, page.transcript, page.conversations, page.editing, page.question, page.source,
        ]  # fmt: skip
        quick: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_limit": _EVENTS_AT_ONCE,
            "concurrency_id": "conversations",
            "api_visibility": "private",
        }
        blocks.load(self.show, [page.conversation, page.search], shown, js=_FROM_ADDRESS, **quick)
        page.conversation.change(None, page.conversation, None, js=REMEMBER, queue=False)
        page.new.click(self.new, page.search, shown, **quick)
        # Not ``input``: Gradio sends that at key presses alone, neither for Backspace nor for what is pasted.
        page.search.change(self.find, [page.conversation, page.search], page.conversations, **quick)
        page.conversations.open(self.open, page.search, shown, **quick)
        page.conversations.rename(self.rename, [page.conversation, page.search], page.conversations, **quick)
        page.conversations.delete(self.delete, [page.conversation, page.search], shown, **quick)

    def show(self, conversation: str, search: str) -> Updates:
        """A conversation with everything around it; an empty one if it is not there (any more)."""
        page, services, person = self._page, self._services, current_person(self._services)
        with reported(self._services):
            try:
                transcript = views.transcript(services, person, conversation)
            except NotFoundError as error:
                warn(error)
                conversation, transcript = "", views.transcript(services, person, "")
            return {
                page.conversation: conversation,
                page.transcript: transcript,
                page.conversations: views.conversations(services, person, current=conversation, search=search),
                page.editing: "",
                page.source: answers.no_source(),
            }

    def new(self, search: str) -> Updates:
        return self.show("", search) | {self._page.question: ""}

    def open(self, search: str, event: gr.EventData) -> Updates:
        with reported(self._services):
            conversation = text_of(event, "conversation")
        return self.show(conversation, search)

    def find(self, conversation: str, search: str) -> str:
        with reported(self._services):
            return views.conversations(
                self._services, current_person(self._services), current=conversation, search=search
            )

    def rename(self, conversation: str, search: str, event: gr.EventData) -> str:
        person = current_person(self._services)
        with reported(self._services):
            title = text_of(event, "answer").strip()
            if not title:
                raise InputError(words.NAME_MISSING)
            with self._services.database.write() as session:
                exchanges.rename_conversation(session, text_of(event, "conversation"), person_id=person.id, title=title)
        return self.find(conversation, search)

    def delete(self, conversation: str, search: str, event: gr.EventData) -> Updates:
        """Deletes a conversation; if it is the one that is shown, an empty one takes its place."""
        person = current_person(self._services)
        with reported(self._services):
            deleted = text_of(event, "conversation")
            self._services.forgetting.conversation(deleted, person=person)
        if deleted != conversation:
            return {self._page.conversations: self.find(conversation, search)}
        return self.show("", search)
