"""Keywords, fusion and windows over real documents in the real store."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from assistant.documents.ingest import Library
from assistant.records import SHARED, DocumentStatus
from assistant.retrieval import keywords
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.llama import PassageRetriever
from assistant.retrieval.search import HITS, Search
from assistant.retrieval.vectors import Vectors
from assistant.settings import Retrieval
from assistant.store import documents
from assistant.store.database import Database
from tests.conftest import People

HARBOUR = """# The harbour

The lighthouse of Almora was built in 1874. It stands on a low rock. Its lamp burned oil at first. Electric light came
in 1921. The last keeper left in 1987. Since then a computer has watched over the lamp.

Fishing boats leave before dawn. They come back at noon. Gulls follow them home. The market opens when they land.
The fish is sold within an hour. Nothing is left by two.

Ferries cross the bay thrice a day. The crossing takes forty minutes. A ticket costs six crowns.
"""
GARDEN = (
    "Tomatoes need sun. Water them in the morning. Basil is a good neighbour.\n\nA estufa é aquecida com água quente."
)


@pytest.fixture
def add(library: Library, people: People) -> Callable[..., int]:
    def add(name: str, text: str, *, private: bool = False) -> int:
        person = people.ana if private else people.admin
        scope = person.scope if private else SHARED
        document = library.add(name, io.BytesIO(text.encode()), scope=scope, person=person)
        assert library.wait_idle(60)
        return document.id

    return add


def test_words_leave_out_what_carries_no_meaning() -> None:
    assert keywords.words("What is the Capital of Portugal?") == ["capital", "portugal"]
    assert keywords.words("Qual é a água da região?") == ["agua", "regiao"]
    assert keywords.words("To be or not to be") == ["to", "be", "or", "not"]
    assert keywords.words("?!") == []


def test_paragraphs_are_ranked_by_rare_words_in_any_form(add: Callable[..., int], database: Database) -> None:
    harbour, garden = add("harbour.md", HARBOUR), add("garden.txt", GARDEN)
    with database.read() as session:
        (ferry, *_) = keywords.query(session, "what do ferry tickets cost?", scopes=[SHARED], count=5)
        (greenhouse,) = keywords.query(session, "AGUA", scopes=[SHARED], count=5)
        sentences = documents.sentences_between(session, harbour, ferry.first, ferry.last)
        assert keywords.query(session, "ferry", scopes=[SHARED], count=5, document_ids=[garden]) == []
        assert keywords.query(session, "ferry", scopes=["person-9"], count=5) == []
        assert keywords.best_sentences(session, "ticket costs", [ferry])[ferry] == ferry.last
    assert sentences[0].text.startswith("Ferries")
    assert greenhouse.document_id == garden
    assert ferry.score > 0


@pytest.mark.parametrize(
    "question",
    ["", " ", "😀", '"', "a AND", "NEAR(", "x* OR -y", "^col:umn {", "'; DROP TABLE documents", "\x00", "z" * 4000],
)
def test_no_question_is_too_odd(question: str, add: Callable[..., int], search: Search, database: Database) -> None:
    add("garden.txt", GARDEN)
    with database.read() as session:
        keywords.query(session, question, scopes=[SHARED], count=5)
    assert search.search(question, scopes=[SHARED]).query == question


def test_a_passage_is_an_exact_slice_of_its_document(
    add: Callable[..., int], search: Search, database: Database
) -> None:
    harbour = add("harbour.md", HARBOUR)
    found = search.search("When was the lighthouse built?", scopes=[SHARED])
    with database.read() as session:
        sentences = list(documents.sentences(session, harbour))
    text = "".join(sentence.text for sentence in sentences)
    best = found.passages[0]
    assert "built in 1874" in best.text
    assert best.hits
    for passage in found.passages:
        assert passage.text == text[passage.start : passage.end]
        for index, start, end in passage.sentences:
            sentence = sentences[index]
            assert (passage.start + start, passage.start + end) == (sentence.start, sentence.end)
        assert {*passage.hits} <= {index for index, _, _ in passage.sentences}
    assert [p.score for p in found.passages] == sorted((p.score for p in found.passages), reverse=True)
    assert len(found.hits) <= HITS
    assert all(0 <= hit.score <= 1 for hit in found.hits)


@pytest.mark.parametrize(("window", "passages"), [(1, 1), (2, 3), (5, 1), (5, 4), (25, 4)])
def test_windows_keep_their_size_and_never_overlap(
    *, window: int, passages: int, add: Callable[..., int], database: Database, vectors: Vectors, embedder: Embedder
) -> None:
    harbour = add("harbour.md", HARBOUR)
    with database.read() as session:
        sentences = documents.get(session, harbour, scopes=[SHARED]).sentences
    search = Search(
        database=database, vectors=vectors, embedder=embedder, settings=Retrieval(window=window, passages=passages)
    )
    found = search.search("Where do ferries and boats go?", scopes=[SHARED]).passages
    shown = [index for passage in found for index, _, _ in passage.sentences]
    assert len(found) <= passages
    assert len(shown) == len(set(shown)) <= window * passages
    assert all(len(passage.sentences) >= min(window, sentences) for passage in found)
    for one in found:
        assert not any(other.start < one.end and one.start < other.end for other in found if other is not one)


def test_only_what_one_may_see_is_found(add: Callable[..., int], search: Search, people: People) -> None:
    add("garden.txt", GARDEN)
    private = add("harbour.md", HARBOUR, private=True)
    question = "When was the lighthouse built?"
    own = search.search(question, scopes=(SHARED, people.ana.scope))
    assert own.passages[0].document_id == private
    assert own.passages[0].scope == people.ana.scope
    for scopes in ([SHARED], (SHARED, people.rui.scope)):
        others = search.search(question, scopes=scopes)
        assert private not in {hit.document_id for hit in others.hits}


def test_a_question_can_be_limited_to_documents(add: Callable[..., int], search: Search) -> None:
    add("harbour.md", HARBOUR)
    garden = add("garden.txt", GARDEN)
    found = search.search("When was the lighthouse built?", scopes=[SHARED], document_ids=[garden])
    assert {hit.document_id for hit in found.hits} == {garden}


def test_vectors_without_a_ready_row_are_dropped(
    add: Callable[..., int], search: Search, database: Database, vectors: Vectors, embedder: Embedder
) -> None:
    garden = add("garden.txt", GARDEN)
    stray = embedder.embed(["When was the lighthouse built?"])
    vectors.upsert(SHARED, ["999.1:0"], stray)
    vectors.upsert(SHARED, [f"{garden}.7:0"], stray)
    found = search.search("When was the lighthouse built?", scopes=[SHARED])
    assert {hit.document_id for hit in found.hits} == {garden}
    with database.write() as session:
        documents.set_status(session, garden, DocumentStatus.DELETING)
    assert search.search("When was the lighthouse built?", scopes=[SHARED]).hits == ()
    with database.write() as session:
        documents.set_status(session, garden, DocumentStatus.READY)


def test_an_empty_library_answers_with_nothing(search: Search) -> None:
    found = search.search("Anything?", scopes=[SHARED, "person-2"])
    assert (found.passages, found.hits) == ((), ())


def test_llama_index_gets_the_same_passages(add: Callable[..., int], search: Search) -> None:
    add("harbour.md", HARBOUR)
    question = "When was the lighthouse built?"
    nodes = PassageRetriever(search, scopes=[SHARED]).retrieve(question)
    passages = search.search(question, scopes=[SHARED]).passages
    assert [(node.text, node.score) for node in nodes] == [(p.text, p.score) for p in passages]
    assert nodes[0].metadata["document"] == "harbour.md"
