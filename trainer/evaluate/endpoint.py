"""Ragas with a language model as the judge: OpenAI, a vLLM server, whatever speaks OpenAI's API.

Importing this module imports Ragas, which takes seconds.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable
from importlib.metadata import version
from typing import Any

os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # before Ragas is imported

import instructor
import openai
from instructor.core.exceptions import InstructorError
from pydantic import ValidationError
from ragas.embeddings.base import BaseRagasEmbedding
from ragas.llms.base import InstructorLLM, InstructorModelArgs
from ragas.metrics.collections import (
    AnswerRelevancy,
    ContextPrecision,
    ContextRelevance,
    ContextUtilization,
    Faithfulness,
)
from ragas.metrics.collections.answer_relevancy.util import AnswerRelevanceOutput
from ragas.metrics.collections.context_relevance.util import ContextRelevanceInput, ContextRelevanceOutput
from ragas.metrics.collections.faithfulness.util import NLIStatementOutput

from assistant.retrieval.embeddings import Embedder
from trainer.evaluate.items import Item
from trainer.evaluate.scoring import JudgeError, Scores, Statement

LEAST_REPEATS = 3
"""A language model is no steady judge: the same 200 samples were seen to score .57 and .67 (ragas issue 731)."""
_TOKENS = 4_096  # Ragas's own 1,024 cut the JSON of long answers


class _Embeddings(BaseRagasEmbedding):
    """The bundled encoder as Ragas takes it, for answer relevancy."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self._embedder = embedder

    def embed_text(self, text: str, **kwargs: Any) -> list[float]:
        return [float(x) for x in self._embedder.embed([text])[0]]

    async def aembed_text(self, text: str, **kwargs: Any) -> list[float]:
        return await asyncio.to_thread(self.embed_text, text)


class _CheckedLLM(InstructorLLM):
    """Raises on what has the right shape and no meaning: Ragas would score it, verdicts of 2 above 1."""

    async def agenerate(self, prompt: str, response_model: type[Any]) -> Any:
        found: Any = await super().agenerate(prompt, response_model)
        if isinstance(found, AnswerRelevanceOutput) and not found.question.strip():
            raise JudgeError("The judge gave no question that the answer would answer.")
        for one in found.statements if isinstance(found, NLIStatementOutput) else [found]:
            if (verdict := getattr(one, "verdict", 0)) not in (0, 1):
                raise JudgeError(f"The judge gave a verdict of {verdict}, which is neither 0 nor 1.")
        return found


class CheckedFaithfulness(Faithfulness):
    """Ragas's Faithfulness, which also keeps the verdicts and refuses those that do not match the statements."""

    verdicts: tuple[Statement, ...] = ()

    async def _create_verdicts(self, statements: list[str], context: str) -> NLIStatementOutput:
        found = await super()._create_verdicts(statements, context)
        if len(found.statements) != len(statements):
            raise JudgeError(f"The judge gave {len(found.statements)} verdicts on {len(statements)} statements.")
        self.verdicts = tuple(Statement(s.statement, bool(s.verdict), s.reason) for s in found.statements)
        return found


class CheckedContextRelevance(ContextRelevance):
    """Ragas's ContextRelevance, which takes a judge that fails for one that is absent and scores by the other prompt
    alone: here a failure is raised, and the metric has no value unless both prompts got a rating of the scale.
    """

    async def _get_judge_rating(self, prompt_obj: Any, user_input: str, context: str) -> float:
        prompt = prompt_obj.to_string(ContextRelevanceInput(user_input=user_input, context=context))
        for _ in range(self.max_retries):
            found: Any = await self.llm.agenerate(prompt, ContextRelevanceOutput)
            if found.rating in (0, 1, 2):
                return float(found.rating)
        raise JudgeError(f"The judge gave a rating of {found.rating}, which is not on the scale of 0 to 2.")


class EndpointScorer:
    """All metrics with a language model behind an OpenAI-compatible address.

    ``retries`` is how often a call is tried again when the server is down, slow or limits the rate, with growing waits
    or as long as it says.
    """

    metrics = ("faithfulness", "answer_relevancy", "context_relevance", "context_precision", "context_utilization")

    def __init__(
        self, url: str, model: str, embedder: Embedder, *, key: str = "none", repeats: int = LEAST_REPEATS,
        concurrency: int = 8, timeout: float = 120, retries: int = 4
    ) -> None:  # fmt: skip
        self.judge_name = f"{url.rstrip('/')}#{model}"
        self.name = f"{self.judge_name}/ragas {version('ragas')}/{embedder.name}"  # its prompts change with it
        self.repeats = max(LEAST_REPEATS, repeats)
        self.concurrency = concurrency
        self._client = openai.AsyncOpenAI(base_url=url, api_key=key, timeout=timeout, max_retries=retries)
        client = instructor.from_openai(self._client, mode=instructor.Mode.JSON_SCHEMA)
        self._llm = _CheckedLLM(
            client, model, "openai", InstructorModelArgs(max_tokens=_TOKENS, temperature=0.0), max_retries=1
        )
        self._embeddings = _Embeddings(embedder)

    async def close(self) -> None:
        await self._client.close()

    async def score(self, item: Item, answer: str | None) -> Scores:
        scores = Scores()
        passages = [passage for passage in item.passages if passage.strip()]
        if not passages or not item.question.strip():
            raise JudgeError("There is no passage with text." if item.question.strip() else "There is no question.")
        question = item.question
        waiting: dict[str, Awaitable[Any]] = {
            "context_relevance": CheckedContextRelevance(self._llm).ascore(question, passages),
        }
        if item.references:
            precision = ContextPrecision(self._llm)
            waiting["context_precision"] = precision.ascore(question, item.references[0], passages)
        faithfulness = CheckedFaithfulness(self._llm)
        if answer is not None:
            relevancy = AnswerRelevancy(self._llm, self._embeddings)
            waiting["faithfulness"] = faithfulness.ascore(question, answer, passages)
            waiting["answer_relevancy"] = relevancy.ascore(question, answer)
            if not item.references:
                utilization = ContextUtilization(self._llm)
                waiting["context_utilization"] = utilization.ascore(question, answer, passages)
        for name, result in zip(waiting, await asyncio.gather(*map(_value, waiting.values())), strict=True):
            if isinstance(result, str):
                scores.errors[name] = result
            else:
                scores.values[name] = result
        scores.statements = list(faithfulness.verdicts)
        return scores


async def _value(result: Awaitable[Any]) -> float | str:
    """The metric's value, or in words why there is none."""
    try:
        value = float((await result).value)
    except (JudgeError, openai.OpenAIError, InstructorError, ValidationError, ValueError) as error:
        return _in_words(error)
    return "The judge gave no valid rating." if math.isnan(value) else value


def _in_words(error: Exception) -> str:
    """The first error of the chain that people can do something about: Instructor wraps what the client raised."""
    cause: BaseException | None = error
    while cause is not None:
        for kind, text in _MEANINGS:
            if isinstance(cause, kind):
                return text.format(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, InstructorError | ValidationError):
        return f"The judge did not answer in the JSON that was asked for: {str(error)[:200]}"
    return f"The metric could not be computed: {error}"


_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (JudgeError, "{}"),
    (openai.APITimeoutError, "The judge did not answer in time."),
    (openai.RateLimitError, "The judge limits the rate of requests, and went on doing so."),
    (openai.APIStatusError, "The judge refused: {0.status_code} {0.message}"),
    (openai.APIConnectionError, "The judge cannot be reached: {}"),
)
