"""Ragas with the bundled judge: its Faithfulness as it is, and stand-ins for what would need a language model.

Importing this module imports Ragas, which takes seconds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # before Ragas is imported

import numpy as np
from ragas.llms.base import InstructorBaseRagasLLM
from ragas.metrics.collections import ContextPrecisionWithReference, Faithfulness
from ragas.metrics.collections.base import BaseMetric
from ragas.metrics.collections.faithfulness.util import NLIStatementOutput, StatementFaithfulnessAnswer
from ragas.metrics.result import MetricResult

from assistant.documents import sentences
from assistant.entailment import Judge, SentenceSupport
from assistant.retrieval.embeddings import Embedder
from trainer.evaluate.items import Item
from trainer.evaluate.scoring import JudgeError, Scores, Statement


class _NoModel(InstructorBaseRagasLLM):
    """Ragas wants a language model even where every step that would call it is replaced."""

    def generate(self, prompt: str, response_model: Any) -> Any:
        raise JudgeError("The bundled judge has no language model to ask.")

    async def agenerate(self, prompt: str, response_model: Any) -> Any:
        raise JudgeError("The bundled judge has no language model to ask.")


class BundledFaithfulness(Faithfulness):
    """Ragas's Faithfulness: the statements are the answer's sentences, the verdicts those of the bundled judge."""

    def __init__(self, supports: Sequence[SentenceSupport], threshold: float) -> None:
        super().__init__(llm=_NoModel())
        self._supports = supports
        self._threshold = threshold

    async def _create_statements(self, question: str, response: str) -> list[str]:
        return [support.sentence for support in self._supports]

    async def _create_verdicts(self, statements: list[str], context: str) -> NLIStatementOutput:
        return NLIStatementOutput(
            statements=[
                StatementFaithfulnessAnswer(
                    statement=s.sentence, reason=s.evidence, verdict=s.probability >= self._threshold
                )
                for s in self._supports
            ]
        )


class AnswerRelevancyByEmbedding(BaseMetric):
    """Stands in for answer relevancy: the cosine between question and answer, not below 0."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(name="answer_relevancy_by_embedding")
        self._embedder = embedder

    async def ascore(self, user_input: str, response: str) -> MetricResult:  # type: ignore[override]
        question, answer = self._embedder.embed([user_input, response])
        return MetricResult(value=_share(question @ answer))


class ContextRelevanceByEmbedding(BaseMetric):
    """Stands in for context relevance: each passage by its nearest sentence to the question, averaged, not below 0."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(name="context_relevance_by_embedding")
        self._embedder = embedder

    async def ascore(self, user_input: str, retrieved_contexts: list[str]) -> MetricResult:  # type: ignore[override]
        question = self._embedder.embed([user_input])[0]
        nearest = []
        for passage in retrieved_contexts:
            found = [s.text.strip() for s in sentences.split(passage)]
            nearest.append(_share((self._embedder.embed(found) @ question).max()) if found else 0.0)
        return MetricResult(value=float(np.mean(nearest)))


class ContextPrecisionBySupport(ContextPrecisionWithReference):
    """Stands in for context precision: a passage is useful if the bundled judge finds the reference supported by it.

    Ragas's own average precision over the passages in their order.
    """

    def __init__(self, judge: Judge) -> None:
        super().__init__(llm=_NoModel(), name="context_precision_by_support")
        self._judge = judge

    async def ascore(  # type: ignore[override]
        self, user_input: str, reference: str, retrieved_contexts: list[str]
    ) -> MetricResult:
        judge = self._judge
        verdicts = [int(judge.supported(judge.support([passage], reference))) for passage in retrieved_contexts]
        return MetricResult(value=self._calculate_average_precision(verdicts))


class BundledScorer:
    """All metrics with the bundled judge. Everything is computed on this machine, without a network."""

    repeats = 1
    metrics = (
        "faithfulness",
        "answer_relevancy_by_embedding",
        "context_relevance_by_embedding",
        "context_precision_by_support",
    )

    def __init__(self, judge: Judge, embedder: Embedder) -> None:
        self.judge = judge
        self.judge_name = judge.name
        self.name = f"local/{judge.name}/{embedder.name}"
        self.concurrency = len(os.sched_getaffinity(0))
        self._embedder = embedder

    async def score(self, item: Item, answer: str | None) -> Scores:
        return await asyncio.to_thread(lambda: asyncio.run(self._score(item, answer)))

    async def close(self) -> None:
        pass

    async def _score(self, item: Item, answer: str | None) -> Scores:
        scores = Scores()
        passages = [passage for passage in item.passages if passage.strip()]
        if not passages:
            raise JudgeError("There is no passage with text.")
        if not item.question.strip():
            raise JudgeError("There is no question.")
        if answer is not None:
            await self._score_answer(item.question, passages, answer, scores)
        relevance = ContextRelevanceByEmbedding(self._embedder)
        found = await relevance.ascore(user_input=item.question, retrieved_contexts=passages)
        scores.values[relevance.name] = found.value
        if item.references:
            precision = ContextPrecisionBySupport(self.judge)
            found = await precision.ascore(item.question, item.references[0], passages)
            scores.values[precision.name] = found.value
        return scores

    async def _score_answer(self, question: str, passages: list[str], answer: str, scores: Scores) -> None:
        supports = self.judge.support(passages, answer)
        threshold = self.judge.threshold
        scores.statements = [
            Statement(s.sentence, s.probability >= threshold, s.evidence, s.probability, s.passage) for s in supports
        ]
        metric = BundledFaithfulness(supports, threshold)
        if supports:
            found = await metric.ascore(user_input=question, response=answer, retrieved_contexts=passages)
            scores.values[metric.name] = found.value
        else:
            scores.errors[metric.name] = "The answer holds no words."
        relevancy = AnswerRelevancyByEmbedding(self._embedder)
        scores.values[relevancy.name] = (await relevancy.ascore(user_input=question, response=answer)).value


def _share(cosine: Any) -> float:
    return min(1.0, max(0.0, float(cosine)))
