"""The story of a question with real parts: store, vectors, embedder, search and a language model."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy.event

from assistant import prompts
from assistant.adapters import Adapters
from assistant.chat import Chat, Event, Finished, Retrieved, Token
from assistant.documents.ingest import Library
from assistant.engines.base import Delta, Sampling
from assistant.engines.local import LocalEngine
from assistant.errors import EngineLostError, FielError, InputError, NotFoundError
from assistant.fitting import fit
from assistant.records import SHARED, Document, Exchange, ExchangeStatus, Message, Passage, Person, Turn
from assistant.registry import Registry
from assistant.retrieval.search import Search
from assistant.settings import Generation, Limits, Settings
from assistant.store import exchanges
from assistant.store.database import Database
from tests.assistant.engines.conftest import tiny_llama
from tests.assistant.engines.markers import passage
from tests.conftest import People, adapters_of

LIGHTHOUSE = "The lighthouse of Cabo Raso was built in 1894. Its lamp burned olive oil. A keeper lived in it."
BRIDGE = "The bridge of Arouca is 516 metres long. It hangs over the Paiva. It was opened in 2021."
DIARY = "My secret garden lies behind the old mill. I planted seven quince trees in it."


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """Random weights: never at a loss for words, whatever it is asked."""
    engine = LocalEngine(str(tiny_llama(tmp_path_factory.mktemp("models") / "tiny")))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def settings(state: Path) -> Settings:
    return Settings(state=state, generation=Generation(max_tokens=16), limits=Limits(question_characters=200))


@pytest.fixture
def chat(database: Database, search: Search, engine: LocalEngine, settings: Settings) -> Chat:
    return Chat(
        database=database, search=search, engine=engine, adapters=adapters_of(database, engine), settings=settings
    )


@pytest.fixture
def add(library: Library) -> Callable[..., Document]:
    def add_text(name: str, text: str, person: Person, scope: str = SHARED) -> Document:
        document = library.add(name, io.BytesIO(text.encode()), scope=scope, person=person)
        assert library.wait_idle(60)
        return document

    return add_text


@pytest.fixture
def lighthouse(add: Callable[..., Document], people: People) -> Document:
    return add("lighthouse.txt", LIGHTHOUSE, people.admin)


async def events_of(chat: Chat, question: str, person: Person, **options: object) -> list[Event]:
    return [event async for event in chat.answer(question, person=person, **options)]  # type: ignore[arg-type]


def ask(chat: Chat, question: str, person: Person, **options: object) -> Exchange:
    *_, last = asyncio.run(events_of(chat, question, person, **options))
    assert isinstance(last, Finished)
    return last.exchange


def logged(database: Database) -> list[Exchange]:
    with database.read() as session:
        return list(exchanges.triples(session))


def shown(database: Database, conversation_id: str, person: Person) -> list[str]:
    with database.read() as session:
        return [e.question for e in exchanges.in_conversation(session, conversation_id, person_id=person.id)]


@pytest.mark.usefixtures("lighthouse")
def test_the_starter_answers_and_all_of_it_is_logged(
    database: Database, search: Search, settings: Settings, people: People
) -> None:
    starter = LocalEngine()
    chat = Chat(
        database=database, search=search, engine=starter, adapters=adapters_of(database, starter), settings=settings
    )

    async def run() -> list[Event]:
        events = await events_of(chat, "  When was the lighthouse of Cabo Raso built? ", people.ana)
        await starter.close()
        return events

    first, *tokens, last = asyncio.run(run())
    assert isinstance(first, Retrieved)
    assert isinstance(last, Finished)
    assert last.problem is None
    exchange = last.exchange
    assert first.exchange.status is ExchangeStatus.STREAMING
    assert all(isinstance(token, Token) for token in tokens)
    assert "".join(token.text for token in tokens if isinstance(token, Token)).strip() == exchange.answer
    assert exchange.status is ExchangeStatus.COMPLETE
    assert (exchange.question, exchange.search_query) == ("When was the lighthouse of Cabo Raso built?",) * 2
    (passage,) = exchange.passages
    assert passage.text.strip() == LIGHTHOUSE
    assert {hit.document_id for hit in exchange.hits} == {passage.document_id}
    assert (exchange.prompt_version, exchange.model, exchange.adapter) == (prompts.VERSION, starter.model, None)
    assert exchange.prompt_tokens > 50
    assert 1 <= exchange.completion_tokens <= 16
    assert 0 < exchange.timings.retrieve <= exchange.timings.total
    assert not tokens or exchange.timings.retrieve <= (exchange.timings.first_token or 0) <= exchange.timings.total
    assert not exchange.private
    assert logged(database) == [exchange]


@pytest.mark.usefixtures("lighthouse")
def test_stopping_logs_what_was_said_so_far(chat: Chat, database: Database, people: People) -> None:
    async def run() -> str:
        said = ""
        async with aclosing(chat.answer("When was it built?", person=people.ana)) as events:
            async for event in events:
                if isinstance(event, Token):
                    said += event.text
                if len(said) > 20:
                    break
        return said

    said = asyncio.run(run())
    (exchange,) = logged(database)
    assert exchange.status is ExchangeStatus.STOPPED
    assert exchange.answer == said.strip()
    assert 0 < exchange.completion_tokens < 16
    assert exchange.prompt_tokens > 50


@pytest.mark.usefixtures("lighthouse")
@pytest.mark.parametrize("after", [Retrieved, Token])
def test_a_cancelled_task_is_logged_as_stopped(
    chat: Chat, database: Database, people: People, after: type[Event]
) -> None:
    async def run() -> None:
        reached = asyncio.Event()

        async def consume() -> None:
            async for event in chat.answer("When was it built?", person=people.ana):
                if isinstance(event, after):
                    reached.set()

        task = asyncio.create_task(consume())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert [exchange.status for exchange in logged(database)] == [ExchangeStatus.STOPPED]


@pytest.mark.usefixtures("lighthouse")
def test_a_task_cancelled_while_the_log_is_written_leaves_nothing_streaming(
    chat: Chat, database: Database, people: People
) -> None:
    cancelled = threading.Event()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(events_of(chat, "When was it built?", people.ana))

        def cancel() -> None:
            task.cancel()
            loop.call_soon(loop.call_soon, cancelled.set)  # once the task has seen it

        @sqlalchemy.event.listens_for(database.engine, "before_cursor_execute")
        def in_the_middle(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("INSERT INTO exchanges"):
                loop.call_soon_threadsafe(cancel)
                assert cancelled.wait(30)

        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert cancelled.is_set()
    assert [exchange.status for exchange in logged(database)] == [ExchangeStatus.STOPPED]


@pytest.mark.usefixtures("lighthouse")
def test_a_failing_model_is_told_and_logged(
    database: Database, search: Search, settings: Settings, people: People, tmp_path: Path
) -> None:
    engine = LocalEngine(str(tiny_llama(tmp_path / "tiny")))
    chat = Chat(
        database=database, search=search, engine=engine, adapters=adapters_of(database, engine), settings=settings
    )

    async def run() -> tuple[str, Finished]:
        said = ""
        async for event in chat.answer("When was it built?", person=people.ana):
            if isinstance(event, Token):
                said += event.text
                await engine.close()
        assert isinstance(event, Finished)
        return said, event

    said, finished = asyncio.run(run())
    assert finished.problem == "The language model has been stopped."
    (exchange,) = logged(database)
    assert exchange == finished.exchange
    assert exchange.status is ExchangeStatus.FAILED
    assert exchange.answer == said.strip() != ""


class Lost(LocalEngine):
    """A local engine that ends after the first words, as a crash of vLLM looks."""

    async def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        yield Delta("The lamp")
        raise EngineLostError("It stopped.")


@pytest.mark.usefixtures("lighthouse")
def test_what_a_crash_of_the_engine_cuts_off_is_told_from_other_failures(
    database: Database, search: Search, settings: Settings, people: People, tmp_path: Path
) -> None:
    engine = Lost(str(tiny_llama(tmp_path / "tiny")))
    heard: list[bool] = []

    class Listening(Adapters):
        def answered(self, exchange: Exchange, *, most_tokens: int, lost: bool = False) -> None:
            heard.append(lost)

    adapters = Listening(database=database, engine=engine, registry=Registry(database, tmp_path / "adapters"))
    chat = Chat(database=database, search=search, engine=engine, adapters=adapters, settings=settings)
    assert ask(chat, "When was it built?", people.ana).answer == "The lamp"
    asyncio.run(engine.close())
    assert heard == [True]


def test_without_documents_it_says_so_without_the_model(chat: Chat, database: Database, people: People) -> None:
    english = ask(chat, "When was the lighthouse built?", people.ana)
    portuguese = ask(chat, "Quando foi construído o farol?", people.ana)
    assert [english.answer, portuguese.answer] == [prompts.REFUSALS["en"], prompts.REFUSALS["pt"]]
    assert english.refused
    assert english.completion_tokens == 0
    assert logged(database) == [english, portuguese]


@pytest.mark.usefixtures("lighthouse")
def test_a_follow_up_keeps_its_context(
    database: Database, search: Search, settings: Settings, people: People, add: Callable[..., Document]
) -> None:
    add("bridge.txt", BRIDGE, people.admin)
    starter = LocalEngine()
    chat = Chat(
        database=database, search=search, engine=starter, adapters=adapters_of(database, starter), settings=settings
    )
    first = ask(chat, "How long is the bridge of Arouca?", people.ana)
    second = ask(chat, "And when was it opened?", people.ana, conversation_id=first.conversation_id)
    asyncio.run(starter.close())
    assert second.conversation_id == first.conversation_id
    assert second.search_query == "How long is the bridge of Arouca? And when was it opened?"
    assert second.passages[0].document == "bridge.txt"
    assert second.history == (Turn(first.question, first.answer),)
    assert shown(database, first.conversation_id, people.ana) == [first.question, second.question]


@pytest.mark.usefixtures("lighthouse")
def test_an_edited_question_replaces_it_and_what_came_after(chat: Chat, database: Database, people: People) -> None:
    first = ask(chat, "When was it built?", people.ana)
    here = first.conversation_id
    second = ask(chat, "Who lived in it?", people.ana, conversation_id=here)
    ask(chat, "What did its lamp burn?", people.ana, conversation_id=here)
    edited = ask(chat, "Who lived in the lighthouse?", people.ana, conversation_id=here, replaces=second.id)
    assert shown(database, here, people.ana) == [first.question, edited.question]
    assert edited.history == (Turn(first.question, first.answer),)
    assert len(logged(database)) == 4, "the log keeps what is no longer shown"


@pytest.mark.usefixtures("lighthouse")
def test_what_is_not_yours_is_not_found_and_nothing_is_logged(
    chat: Chat, database: Database, people: People, add: Callable[..., Document]
) -> None:
    diary = add("diary.txt", DIARY, people.rui, people.rui.scope)
    mine = ask(chat, "When was it built?", people.ana)
    theirs = ask(chat, "What did the lamp burn?", people.rui)
    before = logged(database)
    for options in (
        {"conversation_id": theirs.conversation_id},
        {"conversation_id": "0" * 32},
        {"conversation_id": mine.conversation_id, "replaces": theirs.id},
        {"replaces": mine.id},  # of another conversation than the new one
        {"document_ids": (diary.id,)},
        {"document_ids": (999_999,)},
    ):
        with pytest.raises(NotFoundError):
            ask(chat, "And now?", people.ana, **options)
    assert logged(database) == before


@pytest.mark.usefixtures("lighthouse")
@pytest.mark.parametrize(("question", "problem"), [(" \n ", "type a question"), ("why " * 51, "too long")])
def test_a_question_that_cannot_be_asked(
    chat: Chat, database: Database, people: People, question: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        ask(chat, question, people.ana)
    assert logged(database) == []


@pytest.mark.usefixtures("lighthouse")
def test_private_once_private_ever_after(chat: Chat, people: People, add: Callable[..., Document]) -> None:
    diary = add("diary.txt", DIARY, people.ana, people.ana.scope)
    public = ask(chat, "When was the lighthouse built?", people.rui)
    assert not public.private
    assert all(passage.scope == SHARED for passage in public.passages)
    private = ask(chat, "What lies behind the old mill?", people.ana, document_ids=(diary.id,))
    assert private.private
    lighthouse = public.passages[0].document_id
    later = ask(
        chat,
        "When was the lighthouse built?",
        people.ana,
        conversation_id=private.conversation_id,
        document_ids=(lighthouse,),
    )
    assert {passage.document_id for passage in later.passages} == {lighthouse}
    assert later.private, "its conversation rests on a private document"
    fresh = ask(chat, "When was the lighthouse built?", people.ana, document_ids=(lighthouse,))
    assert not fresh.private


def test_the_search_keeps_to_the_chosen_documents(
    chat: Chat, people: People, lighthouse: Document, add: Callable[..., Document]
) -> None:
    bridge = add("bridge.txt", BRIDGE, people.admin)
    everywhere = ask(chat, "When was the lighthouse built?", people.ana)
    assert everywhere.passages[0].document_id == lighthouse.id
    chosen = ask(chat, "When was the lighthouse built?", people.ana, document_ids=(bridge.id,))
    assert {passage.document_id for passage in chosen.passages} == {bridge.id}
    assert chosen.document_ids == (bridge.id,)


def test_passages_that_do_not_fit_go_lowest_score_first_and_are_logged(
    *,
    database: Database,
    search: Search,
    settings: Settings,
    people: People,
    tmp_path: Path,
    add: Callable[..., Document],
) -> None:
    for number, text in enumerate((LIGHTHOUSE, BRIDGE, DIARY)):
        add(f"{number}.txt", f"{text} The lighthouse was built of stone.", people.admin)
    found = search.search("When was the lighthouse built?", scopes=(SHARED,)).passages
    assert len(found) == 3
    engine = LocalEngine(str(tiny_llama(tmp_path / "narrow")))

    async def room_for(count: int) -> int:
        messages = prompts.render(question="When was the lighthouse built?", passages=found[:count])
        return await engine.count_tokens(messages)

    narrow = asyncio.run(room_for(2)) + settings.generation.max_tokens
    asyncio.run(engine.close())
    engine = LocalEngine(str(tiny_llama(tmp_path / "narrower", context=narrow)))
    chat = Chat(
        database=database, search=search, engine=engine, adapters=adapters_of(database, engine), settings=settings
    )
    exchange = ask(chat, "When was the lighthouse built?", people.ana)
    with pytest.raises(InputError, match="too long for this model"):
        ask(chat, "lighthouse " * 18, people.ana, history=[Turn("stone " * 30, "oil " * 30)])
    asyncio.run(engine.close())
    lowest = min(range(3), key=lambda index: found[index].score)
    assert exchange.left_out == (lowest + 1,)
    assert exchange.passages == tuple(passage for index, passage in enumerate(found) if index != lowest)
    assert exchange.status is ExchangeStatus.COMPLETE


def test_of_a_passage_that_is_too_long_the_best_sentence_stays_or_nothing(
    *, engine: LocalEngine, settings: Settings
) -> None:
    def long(best: int) -> Passage:
        parts = ("The lamp burned olive oil. ", "stone " * 3000)
        text = "".join(parts)
        ends = (len(parts[0]), len(text))
        return replace(passage(text), sentences=((7, 0, ends[0]), (8, ends[0], ends[1])), hits=(best,), best=best)

    async def shown(best: int) -> tuple[Passage, ...]:
        passages, _, _ = await fit(engine, "What did it burn?", [long(best)], (), answer_tokens=64)
        return passages

    (narrow,) = asyncio.run(shown(7))
    assert (narrow.text, narrow.sentences, narrow.hits) == ("The lamp burned olive oil. ", ((7, 0, 27),), (7,))
    assert asyncio.run(shown(8)) == ()


@pytest.mark.usefixtures("lighthouse")
def test_a_client_may_bring_its_own_history(chat: Chat, people: People) -> None:
    history = [Turn(f"Question {n}?", f"Answer {n}.") for n in range(5)]
    exchange = ask(chat, "When was the lighthouse built?", people.ana, history=history)
    assert exchange.history == tuple(history[-3:])
    assert exchange.private, "nobody knows what the client's answers rest on"


@pytest.mark.usefixtures("lighthouse")
def test_a_conversation_deleted_while_it_is_answered(chat: Chat, database: Database, people: People) -> None:
    async def run() -> Event:
        async for event in chat.answer("When was it built?", person=people.ana):
            if isinstance(event, Retrieved):
                with database.write() as session:
                    exchanges.delete_conversation(session, event.exchange.conversation_id, person_id=people.ana.id)
        return event

    last = asyncio.run(run())
    assert isinstance(last, Finished)
    assert logged(database) == []


@pytest.mark.usefixtures("lighthouse")
def test_a_lost_database_fails_the_answer(chat: Chat, database: Database, people: People) -> None:
    with database.write() as session:
        session.connection().exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON exchanges BEGIN SELECT RAISE(FAIL, 'disk is full'); END"
        )
    with pytest.raises(FielError):
        ask(chat, "When was it built?", people.ana)
    assert logged(database) == []


@pytest.mark.usefixtures("lighthouse")
def test_two_people_are_answered_at_once(chat: Chat, database: Database, people: People) -> None:
    async def run() -> list[Exchange]:
        asked = [events_of(chat, "When was it built?", person) for person in (people.ana, people.rui) * 3]
        return [events[-1].exchange for events in await asyncio.gather(*asked) if isinstance(events[-1], Finished)]

    answered = asyncio.run(run())
    assert len(answered) == 6
    assert len({exchange.answer for exchange in answered}) == 1
    assert {exchange.status for exchange in answered} == {ExchangeStatus.COMPLETE}
    assert sorted(answered, key=lambda e: e.id) == sorted(
        (replace(exchange, rating=None) for exchange in logged(database)), key=lambda e: e.id
    )
