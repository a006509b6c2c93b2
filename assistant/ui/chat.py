"""Asking: the question box, the streamed answer, stop, retry, edit, thumbs, and the source of a citation."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr
from gradio.blocks import Block

from assistant.chat import Event, Finished, Retrieved, Waiting
from assistant.errors import FielError, NotFoundError
from assistant.records import Exchange, Person
from assistant.services import Services
from assistant.store import exchanges
from assistant.ui import answers, feedback, samples, views, words
from assistant.ui.events import Updates, chosen_ids, inform, number_of, reported, text_of, warn
from assistant.ui.layout import Page
from assistant.ui.people import current_person

Given = dict[Any, Any]
"""What the browser sent, by widget."""

_log = logging.getLogger(__name__)

_ASKING_AT_ONCE = 8
_EVENTS_AT_ONCE = 16
_FRAME_SECONDS = 0.05  # a stream is drawn at most this often
_LOOK_SECONDS = 0.2  # between looks at the progress of the sample documents


class ChatEvents:
    """The handlers of the chat. One instance serves all people and their browser windows."""

    def __init__(self, *, page: Page, services: Services) -> None:
        self._page = page
        self._services = services
        self._stops: dict[str, asyncio.Event] = {}

    def wire(self) -> None:
        page = self._page
        stream: dict[str, Any] = {
            "outputs": [
                page.question, page.editing, page.notice, page.transcript, page.live, page.conversation,
                page.conversations, page.send, page.stop,
            ],
            "show_progress": "hidden",
            "concurrency_limit": _ASKING_AT_ONCE,
            "concurrency_id": "ask",
            "api_visibility": "private",
        }  # fmt: skip
        quick: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_limit": _EVENTS_AT_ONCE,
            "concurrency_id": "chat",
            "api_visibility": "private",
        }
        place: set[Block] = {page.conversation, page.chosen, page.search}
        gr.on([page.question.submit, page.send.click], self.ask, {page.question, page.editing, *place}, **stream)
        page.transcript.retry(self.retry, place, **stream)
        page.transcript.example(self.example, place, **stream)
        edited = [page.question, page.editing, page.notice]
        page.stop.click(self.stop, None, None, **quick)
        page.transcript.edit(self.edit, page.chosen, edited, **quick)
        page.notice.cancel_edit(self.cancel_edit, page.chosen, edited, **quick)
        page.transcript.rate(self.rate, None, page.transcript, **quick)
        page.transcript.detail(self.detail, None, page.transcript, **quick)
        page.transcript.cite(self.cite, None, page.source, **quick)
        left = [page.transcript, page.conversation, page.conversations, page.source]
        page.transcript.forget(self.forget, {page.conversation, page.search}, left, **quick)

    async def ask(self, given: Given, request: gr.Request) -> AsyncGenerator[Updates, None]:
        """Answers what is in the question box, in place of the exchange that is being edited, if any."""
        question, editing = given[self._page.question], given[self._page.editing]
        if question.strip():
            async with aclosing(self._asked(question, given, request, replaces=editing)) as asked:
                async for updates in asked:
                    yield updates

    async def retry(self, given: Given, event: gr.EventData, request: gr.Request) -> AsyncGenerator[Updates, None]:
        """Asks an exchange's question again, limited to the documents that are chosen now."""
        with reported():
            exchange = await asyncio.to_thread(self._exchange, text_of(event, "exchange"))
        given = given | {self._page.conversation: exchange.conversation_id}
        async with aclosing(self._asked(exchange.question, given, request, replaces=exchange.id)) as asked:
            async for updates in asked:
                yield updates

    async def example(self, given: Given, event: gr.EventData, request: gr.Request) -> AsyncGenerator[Updates, None]:
        """Asks an example question; the sample documents are added first, and their progress is shown."""
        page, library, person = self._page, self._services.library, self._person()
        with reported():
            question = samples.question(number_of(event, "index"))
            added = await asyncio.to_thread(samples.add, library, person=person)
        while (progress := await asyncio.to_thread(samples.progress, library, added, person)) < 1:
            note = words.ADDING_SAMPLES.format(round(progress * 100))
            yield {page.transcript: "", page.live: answers.pending(question, note=note)}
            await asyncio.sleep(_LOOK_SECONDS)
        async with aclosing(self._asked(question, given, request)) as asked:
            async for updates in asked:
                yield updates

    def stop(self, request: gr.Request) -> None:
        """Ends the answer that is being written in this window."""
        if (stop := self._stops.get(self._window(request))) is not None:
            stop.set()

    def edit(self, chosen: object, event: gr.EventData) -> Updates:
        """Puts an earlier question into the question box."""
        with reported():
            exchange = self._exchange(text_of(event, "exchange"))
        return {self._page.question: exchange.question} | self._editing(exchange.id, chosen_ids(chosen))

    def cancel_edit(self, chosen: object) -> Updates:
        return {self._page.question: ""} | self._editing("", chosen_ids(chosen))

    def _editing(self, exchange_id: str, chosen: Sequence[int]) -> Updates:
        documents = self._services.library.documents(self._person())
        notice = views.notice(self._services, documents, chosen=chosen, editing=bool(exchange_id))
        return {self._page.editing: exchange_id, self._page.notice: notice}

    def rate(self, event: gr.EventData) -> str:
        """Rates an exchange; the same thumb again withdraws the rating."""
        person = self._person()
        with reported():
            exchange_id, value = text_of(event, "exchange"), number_of(event, "value")
            self._services.ratings.thumb(person, exchange_id, value)
            return self._conversation_of(exchange_id, person)

    def detail(self, event: gr.EventData) -> str:
        """Adds a reason or the mark of a wrong passage to a rating, takes it away, or sets what was written."""
        person = self._person()
        with reported():
            exchange_id = text_of(event, "exchange")
            rating = self._exchange(exchange_id).rating
            if rating is None:
                raise NotFoundError(words.CHANGE_FAILED)
            self._services.ratings.rate(person, exchange_id, feedback.changed(rating.feedback, event))
            if feedback.is_form(event):
                inform(words.RATING_KEPT)
            return self._conversation_of(exchange_id, person)

    def forget(self, given: Given, event: gr.EventData) -> Updates:
        """Deletes an exchange with its rating; what is left of its conversation is shown."""
        page, person = self._page, self._person()
        with reported():
            self._services.forgetting.exchange(text_of(event, "exchange"), person=person)
            settled = self._settled(given[page.conversation], given[page.search])
        shown = (page.transcript, page.conversation, page.conversations)
        return {widget: settled[widget] for widget in shown} | {page.source: answers.no_source()}

    def _conversation_of(self, exchange_id: str, person: Person) -> str:
        with self._services.database.read() as session:
            conversation = exchanges.get(session, exchange_id, person_id=person.id).conversation_id
            return answers.transcript(exchanges.in_conversation(session, conversation, person_id=person.id))

    def cite(self, event: gr.EventData) -> str:
        """Opens the window that a citation points to, as it was when the question was asked."""
        person = self._person()
        with reported():
            exchange, index = self._exchange(text_of(event, "exchange")), number_of(event, "citation")
            if not 0 <= index < len(exchange.citations):
                raise NotFoundError(words.CHANGE_FAILED)
            citation = exchange.citations[index]
            visible = {document.id for document in self._services.library.documents(person)}
        passage = exchange.passages[citation.n - 1]
        return answers.source(citation, passage_start=passage.start, available=citation.document_id in visible)

    async def _asked(
        self, question: str, given: Given, request: gr.Request, *, replaces: str = ""
    ) -> AsyncGenerator[Updates, None]:
        """The page while a question is answered: busy, then token by token, then settled again."""
        page, window = self._page, self._window(request)
        if window in self._stops:
            warn(words.STILL_ANSWERING)
            return
        stop = self._stops[window] = asyncio.Event()
        shown = _Shown(question, given[page.conversation])
        chosen = chosen_ids(given[page.chosen])
        try:
            yield await asyncio.to_thread(self._busy, shown, chosen, replaces)
            events = self._services.chat.answer(
                question,
                person=self._person(),
                conversation_id=shown.conversation or None,
                document_ids=chosen,
                replaces=replaces or None,
            )
            async with aclosing(_until(events, stop)) as until:
                async for event in until:
                    if shown.take(event):
                        yield {page.live: shown.html(), page.conversation: shown.conversation}
        except FielError as error:
            warn(error)
            yield {page.question: question}
        except Exception:  # noqa: BLE001  (whatever it is, the page must become usable again)
            _log.exception("an answer failed")
            warn(words.CHANGE_FAILED)
            yield {page.question: question}
        finally:
            del self._stops[window]
        yield await asyncio.to_thread(self._settled, shown.conversation, given[page.search])

    def _busy(self, shown: _Shown, chosen: Sequence[int], replaces: str) -> Updates:
        page = self._page
        earlier = views.shown_exchanges(self._services, self._person(), shown.conversation)
        ids = [exchange.id for exchange in earlier]
        if replaces in ids:  # it and what came after it leave the conversation
            earlier = earlier[: ids.index(replaces)]
        return {
            page.question: "",
            page.transcript: answers.transcript(earlier),
            page.live: shown.html(),
            page.send: gr.update(visible=False),
            page.stop: gr.update(visible=True),
        } | self._editing("", chosen)

    def _settled(self, conversation: str, search: str) -> Updates:
        """The page after an answer, as the log has it; an empty one if the conversation was deleted meanwhile."""
        page, services, person = self._page, self._services, self._person()
        try:
            transcript = views.transcript(services, person, conversation)
        except NotFoundError:
            conversation, transcript = "", views.transcript(services, person, "")
        return {
            page.transcript: transcript,
            page.live: "",
            page.conversation: conversation,
            page.conversations: views.conversations(services, person, current=conversation, search=search),
            page.send: gr.update(visible=True),
            page.stop: gr.update(visible=False),
        }

    def _exchange(self, exchange_id: str) -> Exchange:
        with self._services.database.read() as session:
            return exchanges.get(session, exchange_id, person_id=self._person().id)

    def _person(self) -> Person:
        return current_person(self._services)

    def _window(self, request: gr.Request) -> str:
        """One browser window of one person: it writes one answer at a time."""
        return f"{self._person().id}/{request.session_hash}"


class _Shown:
    """What is shown of an answer while it is written."""

    def __init__(self, question: str, conversation: str) -> None:
        self._question = question
        self.conversation = conversation
        self._note = words.SEARCHING
        self._answer = ""
        self._drawn = 0.0

    def take(self, event: Event) -> bool:
        """Takes the event in; whether it is time to draw."""
        if isinstance(event, Waiting):
            self._note = event.reason
            return True
        if isinstance(event, Retrieved):
            self.conversation = event.exchange.conversation_id
            self._note = words.counted(words.READING, len(event.exchange.passages))
            return True
        if isinstance(event, Finished):
            if event.problem is not None:
                warn(event.problem)
            return False  # what the log says is shown instead
        first = not self._answer
        self._answer += event.text
        self._note = ""
        return first or time.monotonic() - self._drawn >= _FRAME_SECONDS

    def html(self) -> str:
        self._drawn = time.monotonic()
        return answers.pending(self._question, note=self._note, answer=self._answer)


async def _until(events: AsyncGenerator[Event, None], stop: asyncio.Event) -> AsyncGenerator[Event, None]:
    """Passes the events on until ``stop`` is set, even in the middle of waiting for one; then closes them."""
    stopped = asyncio.ensure_future(stop.wait())
    step: asyncio.Future[Event | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(anext(events, None))
            await asyncio.wait({step, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done() or (event := step.result()) is None:
                return
            yield event
    finally:
        stopped.cancel()
        if step is not None:
            step.cancel()
            await asyncio.wait({step})  # the stop is logged by now
        await events.aclose()
