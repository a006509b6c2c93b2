"""A process really killed at every named point; then everything is as if it had not been."""

import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.documents.ingest import Library
from assistant.records import SHARED, DocumentStatus
from assistant.retrieval.search import Search
from tests.assistant.documents import killed as killed_child
from tests.conftest import People

REPLACING = (
    "after_original",
    "after_queued",
    "after_indexing",
    "after_vectors",
    "after_ready",
    "after_vectors_deleted",
    "after_contents_deleted",
    "after_file_deleted",
)
DELETING = ("after_deleting", "after_vectors_deleted", "after_contents_deleted", "after_file_deleted")


@pytest.fixture
def killed(request: pytest.FixtureRequest, state: Path) -> tuple[str, str]:
    action, point = request.param
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([killed_child.__name__])  # the imports take longer than the story
    child = context.Process(target=killed_child.main, args=(state, action, point))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    return action, point


@pytest.mark.parametrize(
    "killed",
    [("replace", point) for point in REPLACING] + [("delete", point) for point in DELETING],
    indirect=True,
    ids="-".join,
)
def test_a_kill_leaves_nothing_half_done(
    killed: tuple[str, str], library: Library, search: Search, people: People, assert_consistent: Callable[[], None]
) -> None:
    assert library.wait_idle(60)
    documents = {document.name: document for document in library.documents(people.admin)}
    assert {document.status for document in documents.values()} == {DocumentStatus.READY}
    assert_consistent()

    passages = search.search("When was the harbour dredged? honey bread", scopes=(SHARED,)).passages
    text = " ".join(passage.text for passage in passages)
    assert "honey bread" in text
    replaced = killed[0] == "replace" and killed[1] != "after_original"
    assert ("1931" in text) == replaced
    assert ("1923" in text) == (killed == ("replace", "after_original"))
    assert ("harbour.txt" in documents) == (killed[0] == "replace")
