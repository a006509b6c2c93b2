"""A language model as the judge, over real connections, in good and bad days."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from assistant.retrieval.embeddings import Embedder
from tests.trainer.evaluate.conftest import LanguageModel
from trainer.evaluate import summary
from trainer.evaluate.cache import Cache
from trainer.evaluate.items import Item
from trainer.evaluate.runner import Record, run

ITEM = Item(
    id="1", document="d", question="What did the lamp burn?",
    passages=("The lamp burned olive oil. The tower is white.",),
    answer="It burned oil. The tower is blue.", references=("olive oil",), answerable=True, lang="en",
)  # fmt: skip


def score(
    url: str, embedder: Embedder, cache: Path, *items: Item, timeout: float = 30, retries: int = 1, seconds: float = 60
) -> list[Record]:
    from trainer.evaluate.endpoint import EndpointScorer

    async def scored() -> list[Record]:
        scorer = EndpointScorer(url, "m", embedder, timeout=timeout, retries=retries)
        kept = Cache(cache)
        try:
            answers = [item.answer or "" for item in items]
            return await run(items, answers, scorer, kept, seconds=seconds)
        finally:
            kept.close()
            await scorer.close()

    return asyncio.run(scored())


def test_ragas_own_metrics_three_rounds_each(language_model: LanguageModel, embedder: Embedder, tmp_path: Path) -> None:
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    assert record["errors"] == {}
    assert record["metrics"]["faithfulness"] == 0.5
    assert record["metrics"]["context_relevance"] == 1.0
    assert record["metrics"]["context_precision"] == pytest.approx(1.0)
    assert record["metrics"]["answer_relevancy"] == pytest.approx(1.0, abs=0.02)  # the question came back as it was
    assert len(record["rounds"]) == 3
    verdicts = [(s["statement"], s["supported"], s["evidence"]) for s in record["statements"][0]]
    assert verdicts == [("The lamp burned oil.", True, "It says so."), ("The tower is blue.", False, "It is white.")]
    assert record["judge"].startswith(f"{language_model.url}#m")
    assert record["measures"]["f1"] > 0


def test_a_second_run_asks_nothing(language_model: LanguageModel, embedder: Embedder, tmp_path: Path) -> None:
    first = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    asked = language_model.asked
    assert score(language_model.url, embedder, tmp_path / "c.db", ITEM) == first
    assert language_model.asked == asked


def test_what_passes_is_tried_again(language_model: LanguageModel, embedder: Embedder, tmp_path: Path) -> None:
    language_model.fault, language_model.faults = "limited", 1
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    assert record["errors"] == {}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("limited", "limits the rate"), ("broken", "refused: 500"), ("prose", "JSON"), ("slow", "in time")],
)
def test_a_bad_day_is_told_by_its_reason_and_tried_again_later(
    language_model: LanguageModel, embedder: Embedder, tmp_path: Path, fault: str, reason: str
) -> None:
    language_model.fault = fault
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM, timeout=1, retries=0)
    assert record["metrics"] == {}
    assert reason in record["errors"]["faithfulness"]
    language_model.released.set()
    language_model.fault = None
    (later,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    assert later["errors"] == {}


def test_an_item_that_takes_for_ever_is_given_up(
    language_model: LanguageModel, embedder: Embedder, tmp_path: Path
) -> None:
    language_model.fault = "slow"
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM, seconds=0.5)
    assert "did not finish" in record["errors"]["judge"]


def test_nobody_there(embedder: Embedder, tmp_path: Path) -> None:
    (record,) = score("http://127.0.0.1:9/v1", embedder, tmp_path / "c.db", ITEM, retries=0)
    assert "cannot be reached" in record["errors"]["faithfulness"]
    assert record["measures"]["f1"] > 0  # needs no judge


def test_verdicts_must_match_the_statements(language_model: LanguageModel, embedder: Embedder, tmp_path: Path) -> None:
    language_model.fault = "few verdicts"
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    assert record["errors"] == {"faithfulness": "The judge gave 1 verdicts on 2 statements."}
    assert record["metrics"]["context_relevance"] == 1.0


def test_ratings_beyond_the_scale_count_for_nothing(
    language_model: LanguageModel, embedder: Embedder, tmp_path: Path
) -> None:
    language_model.fault = "bad rating"
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    assert record["errors"] == {
        "context_relevance": "The judge gave a rating of 7, which is not on the scale of 0 to 2."
    }
    assert "context_relevance" not in record["metrics"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("limited", "limits the rate"), ("broken", "refused: 500"), ("prose", "JSON"), ("slow", "in time")],
)
def test_relevance_by_one_of_its_two_prompts_is_no_score(
    language_model: LanguageModel, embedder: Embedder, tmp_path: Path, fault: str, reason: str
) -> None:
    language_model.fault = f"second: {fault}"
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM, timeout=2, retries=0)
    assert list(record["errors"]) == ["context_relevance"]
    assert reason in record["errors"]["context_relevance"]
    assert "context_relevance" not in record["metrics"]
    assert record["metrics"]["faithfulness"] == 0.5
    language_model.released.set()
    language_model.fault = None
    (later,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    assert later["errors"] == {}
    assert later["metrics"]["context_relevance"] == 1.0


def test_what_says_nothing_is_no_score(language_model: LanguageModel, embedder: Embedder, tmp_path: Path) -> None:
    language_model.fault = "bad verdict"
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    assert record["errors"] == {
        "context_precision": "The judge gave a verdict of 2, which is neither 0 nor 1.",
        "faithfulness": "The judge gave a verdict of -1, which is neither 0 nor 1.",
    }
    language_model.fault = "no question"
    (record,) = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    assert record["errors"] == {"answer_relevancy": "The judge gave no question that the answer would answer."}


def test_below_the_least_coverage_there_is_no_score(
    language_model: LanguageModel, embedder: Embedder, tmp_path: Path
) -> None:
    from trainer.evaluate.endpoint import EndpointScorer

    language_model.fault = "few verdicts"
    records = score(language_model.url, embedder, tmp_path / "c.db", ITEM)
    figures = summary.summarise(records, EndpointScorer.metrics)
    assert figures["metrics"]["faithfulness"]["mean"] is None
    assert figures["metrics"]["faithfulness"]["coverage"] == 0
    assert figures["metrics"]["context_relevance"]["mean"] == 1.0
    assert "no score" in summary.table(figures)
