from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant import followups
from assistant.engines.local import LocalEngine
from assistant.records import Turn
from tests.assistant.engines.conftest import tiny_llama

HISTORY = [Turn("Where does the Minho rise?", "In Lugo [1].")]


@pytest.mark.parametrize(
    "question",
    [
        "How long is it?",
        "And the Douro?",
        "Why?",
        "What about its fish?",
        "Who lives there?",
        "E o Douro?",
        "Onde fica ele?",
    ],
)
def test_a_question_that_points_back_is_led_by_the_one_before(question: str) -> None:
    assert followups.by_rule(question, HISTORY) == f"Where does the Minho rise? {question}"


@pytest.mark.parametrize(
    "question",
    [
        "Which city does the Douro cross?",
        "How many people are there in Porto?",
        "Name the river that crosses Porto.",
        "Quem escreveu Os Lusíadas?",
        "Onde fica a Torre de Belém?",
    ],
)
def test_a_question_that_stands_alone_is_left_alone(question: str) -> None:
    assert followups.by_rule(question, HISTORY) == question


def test_without_history_nothing_is_added() -> None:
    assert followups.by_rule("How long is it?", []) == "How long is it?"


def test_a_chain_of_follow_ups_goes_back_to_what_it_is_about() -> None:
    chain = [Turn("Who built Rome?", ""), *HISTORY, Turn("And its length?", "300 km [1].")]
    assert followups.by_rule("And its depth?", chain) == "Where does the Minho rise? And its length? And its depth?"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    engine = LocalEngine(str(tiny_llama(tmp_path_factory.mktemp("models") / "tiny")))
    yield engine
    asyncio.run(engine.close())


def test_a_model_rewrites_in_one_line(engine: LocalEngine) -> None:
    rewritten = asyncio.run(followups.by_model("How long is it?", HISTORY, engine=engine))
    assert rewritten
    assert "\n" not in rewritten
    assert rewritten != followups.by_rule("How long is it?", HISTORY)
    assert asyncio.run(followups.by_model("How long is it?", [], engine=engine)) == "How long is it?"


def test_where_the_model_fails_the_rule_serves(engine: LocalEngine) -> None:
    endless = [Turn("Where does the Minho rise?", "In Lugo. " * 2000)]
    rewritten = asyncio.run(followups.by_model("How long is it?", endless, engine=engine))
    assert rewritten == "Where does the Minho rise? How long is it?"


def test_a_closed_engine_leaves_the_rule(tmp_path: Path) -> None:
    async def run() -> str:
        engine = LocalEngine(str(tiny_llama(tmp_path / "tiny")))
        await engine.close()
        return await followups.by_model("How long is it?", HISTORY, engine=engine)

    assert asyncio.run(run()) == "Where does the Minho rise? How long is it?"
