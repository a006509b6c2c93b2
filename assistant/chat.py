"""The story of one question: find passages, ask the model, stream the answer, log the exchange."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from assistant import followups, language, prompts
from assistant.adapters import Adapters
from assistant.citations import cited
from assistant.engines.base import Delta, Engine, Sampling
from assistant.errors import EngineError, EngineLostError, InputError, NotFoundError
from assistant.fitting import fit
from assistant.metrics import Metrics
from assistant.records import SHARED, Exchange, ExchangeStatus, Person, Timings, Turn, Usage
from assistant.retrieval.search import Search
from assistant.settings import Settings
from assistant.store import documents, exchanges
from assistant.store.database import Database
from assistant.support import Supporter

_log = logging.getLogger(__name__)

_TURNS = 3  # earlier turns that a question is read with


@dataclass(frozen=True, slots=True)
class Waiting:
    """The model cannot answer yet, because of ``reason``; the question waits for it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The search is done and the exchange is logged; the answer follows."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The exchange as it stands in the log: complete, or failed with ``problem`` in words for the person."""

    exchange: Exchange
    problem: str | None = None


Event = Waiting | Retrieved | Token | Finished


class Chat:
    """Answers questions. One instance serves all people at once."""

    def __init__(
        self,
        *,
        database: Database,
        search: Search,
        engine: Engine,
        adapters: Adapters,
        settings: Settings,
        supporter: Supporter | None = None,
    ) -> None:
        """``supporter`` judges finished answers in the background; without one they stay without a badge."""
        self._database = database
        self._search = search
        self._engine = engine
        self._adapters = adapters
        self.metrics = Metrics()
        self._settings = settings
        self._supporter = supporter

    async def answer(
        self,
        question: str,
        *,
        person: Person,
        conversation_id: str | None = None,
        history: Sequence[Turn] | None = None,
        document_ids: Sequence[int] = (),
        replaces: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Streams one Retrieved, the Tokens and one Finished; before them one Waiting if the model is not ready.

        Without ``conversation_id`` a conversation is begun. ``history`` gives the earlier turns of a client that keeps
        them itself, instead of those of the conversation. ``replaces`` names an exchange that is asked again or was
        edited: it and what came after it leave the conversation. ``document_ids`` limits the search. Closing the
        generator stops the model; what was said so far is logged as *stopped*.

        Raises InputError for a question that cannot be asked, NotFoundError for ids that are not this person's and
        ModelError when there is no model to wait for, all before anything is logged.
        """
        started = time.perf_counter()
        question = self._checked(question)
        turns, private = await asyncio.to_thread(self._context, person, conversation_id, replaces, document_ids)
        if history is not None:
            # What a client's earlier answers rest on is not known: they are taken for private.
            turns, private = tuple(history[-_TURNS:]), private or bool(history)
        if (reason := self._engine.notice) is not None:
            yield Waiting(reason)
        await self._ready()
        query = await self._search_query(question, turns)
        scopes = (SHARED, person.scope)
        found = await asyncio.to_thread(self._search.search, query, scopes=scopes, document_ids=document_ids)
        passages, turns, left_out = await fit(
            self._engine, self._asked(question, query), found.passages, turns, answer_tokens=self.answer_tokens
        )
        with self._adapters.answer() as adapter:
            exchange = Exchange(
                id=uuid4().hex,
                conversation_id=conversation_id or "",
                person_id=person.id,
                question=question,
                search_query=query,
                document_ids=tuple(document_ids),
                history=turns,
                passages=passages,
                left_out=left_out,
                hits=found.hits,
                prompt_version=prompts.VERSION,
                model=self._engine.model,
                adapter=adapter,
                answer="",
                citations=(),
                refused=False,
                status=ExchangeStatus.STREAMING,
                private=private or any(passage.scope != SHARED for passage in passages),
                prompt_tokens=0,
                completion_tokens=0,
                timings=Timings(retrieve=_milliseconds_since(started), first_token=None, total=0.0),
                created_at=datetime.now(UTC),
            )
            exchange = await self._begun(exchange, replaces)
            async with aclosing(self._stream(exchange, started)) as events:
                async for event in events:
                    yield event

    def _checked(self, question: str) -> str:
        question = question.strip()
        longest = self._settings.limits.question_characters
        if not question:
            raise InputError("Please type a question.")
        if len(question) > longest:
            raise InputError(f"The question is too long: {len(question):,} characters, at most {longest:,} fit.")
        return question

    def _context(
        self, person: Person, conversation_id: str | None, replaces: str | None, document_ids: Sequence[int]
    ) -> tuple[tuple[Turn, ...], bool]:
        """The turns that the question follows, and whether any of them rests on a private document."""
        with self._database.read() as session:
            for document_id in document_ids:
                documents.get(session, document_id, scopes=(SHARED, person.scope))
            edited = None if replaces is None else exchanges.get(session, replaces, person_id=person.id)
            if edited is not None and edited.conversation_id != conversation_id:
                raise NotFoundError("There is no such exchange in this conversation.")
            if conversation_id is None:
                return (), False
            earlier = exchanges.in_conversation(session, conversation_id, person_id=person.id)
            if edited is not None:
                earlier = [exchange for exchange in earlier if exchange.created_at < edited.created_at]
        turns = [Turn(e.question, e.answer) for e in earlier]
        return tuple(turns[-_TURNS:]), any(exchange.private for exchange in earlier)

    async def _search_query(self, question: str, history: Sequence[Turn]) -> str:
        if self._engine.follows_instructions:
            return await followups.by_model(question, history, engine=self._engine)
        return followups.by_rule(question, history)

    def _asked(self, question: str, query: str) -> str:
        """What the model reads as the question: a model that cannot put two turns together gets what was searched."""
        return question if self._engine.follows_instructions else query

    @property
    def answer_tokens(self) -> int:
        """Tokens of an answer, at most: as set, but never more than half of the model's window."""
        return min(self._settings.generation.max_tokens, self._engine.context_tokens // 2)

    async def _begun(self, exchange: Exchange, replaces: str | None) -> Exchange:
        """Logs the exchange; one that is cancelled in this very moment is logged as *stopped*."""
        beginning = asyncio.ensure_future(asyncio.to_thread(self._begin, exchange, replaces))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await asyncio.wait([beginning])
            if beginning.exception() is None:
                stopped = replace(beginning.result(), status=ExchangeStatus.STOPPED)
                await asyncio.shield(asyncio.to_thread(self._finish, stopped))
            raise

    def _begin(self, exchange: Exchange, replaces: str | None) -> Exchange:
        with self._database.write() as session:
            if not exchange.conversation_id:
                conversation = exchanges.add_conversation(
                    session, person_id=exchange.person_id, title=exchange.question
                )
                exchange = replace(exchange, conversation_id=conversation.id)
            if replaces is not None:
                exchanges.hide_from(session, replaces, person_id=exchange.person_id)
            return exchanges.add(session, exchange)

    async def _stream(self, exchange: Exchange, started: float) -> AsyncGenerator[Event, None]:
        answer = _Answer(exchange, started)
        problem, lost = None, False
        try:
            yield Retrieved(exchange)
            with ExitStack() as unheard:
                if self._supporter is not None:
                    unheard.enter_context(self._supporter.held())
                async with aclosing(self._deltas(exchange)) as deltas:
                    async for delta in deltas:
                        answer.add(delta)
                        if delta.text:
                            unheard.close()
                            yield Token(delta.text)
            answer.status = ExchangeStatus.COMPLETE
        except EngineError as error:
            _log.exception("the model failed on exchange %s", exchange.id)
            answer.status, problem = ExchangeStatus.FAILED, str(error)
            lost = isinstance(error, EngineLostError)
        except Exception:
            answer.status = ExchangeStatus.FAILED
            raise
        finally:
            # Reached by a stop too, where the task is being cancelled: the log must be written all the same.
            finished = answer.finished()
            self.metrics.finished(finished)
            await asyncio.shield(asyncio.to_thread(self._finish, finished, lost=lost))
        yield Finished(finished, problem)

    async def _deltas(self, exchange: Exchange) -> AsyncGenerator[Delta, None]:
        if not exchange.passages:  # nothing to read: no model is needed to say so
            yield Delta(prompts.REFUSALS[language.detect(exchange.question)], finish="stop")
            return
        asked = self._asked(exchange.question, exchange.search_query)
        messages = prompts.render(question=asked, passages=exchange.passages, history=exchange.history)
        sampling = Sampling(max_tokens=self.answer_tokens, temperature=self._settings.generation.temperature)
        for last_try in (False, True):
            said = False
            try:
                async with aclosing(
                    self._engine.stream(messages, sampling=sampling, adapter=exchange.adapter)
                ) as stream:
                    async for delta in stream:
                        said = True
                        yield delta
                return
            except EngineLostError:
                if said or last_try:  # what the person has read cannot be taken back
                    raise
                await self._ready()

    async def _ready(self) -> None:
        with self.metrics.questions_waiting():
            await self._adapters.ready()

    def _finish(self, exchange: Exchange, *, lost: bool = False) -> None:
        with self._database.write() as session:
            exchanges.finish(session, exchange)
        self._adapters.answered(exchange, most_tokens=self.answer_tokens, lost=lost)
        if self._supporter is not None:
            self._supporter.finished(exchange)


class _Answer:
    """An answer while it grows."""

    def __init__(self, exchange: Exchange, started: float) -> None:
        self.status = ExchangeStatus.STOPPED  # until it has ended in another way
        self._exchange = exchange
        self._started = started
        self._pieces: list[str] = []
        self._first_token: float | None = None
        self._usage = Usage()

    def add(self, delta: Delta) -> None:
        if delta.text and self._first_token is None:
            self._first_token = _milliseconds_since(self._started)
        self._pieces.append(delta.text)
        self._usage = delta.usage or self._usage

    def finished(self) -> Exchange:
        text = "".join(self._pieces).strip()
        return replace(
            self._exchange,
            answer=text,
            citations=cited(text, self._exchange.passages),
            refused=prompts.is_refusal(text),
            status=self.status,
            prompt_tokens=self._usage.prompt_tokens,
            completion_tokens=self._usage.completion_tokens,
            timings=Timings(
                retrieve=self._exchange.timings.retrieve,
                first_token=self._first_token,
                total=_milliseconds_since(self._started),
            ),
        )


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
