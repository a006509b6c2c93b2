"""Scores answers: bounded in number and time, each failure with its reason, nothing counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from assistant import prompts
from trainer.evaluate import measures
from trainer.evaluate.cache import Kept, key
from trainer.evaluate.items import Item
from trainer.evaluate.scoring import JudgeError, Scorer, Scores

VERSION = 3
"""Of the shape of a record and of what counts as an error: kept records of another version are not used."""

Record = dict[str, Any]


async def run(
    items: Sequence[Item],
    answers: Sequence[str],
    scorer: Scorer,
    cache: Kept,
    *,
    seconds: float = 600,
    told: Callable[[int, int], None] | None = None,
) -> list[Record]:
    """A record for each item, in order.

    ``seconds`` bound one round of one item. ``told`` hears of the progress. Records without failures are
    kept in ``cache`` and taken from there; failed ones are tried again by the next run.
    """
    slots = asyncio.Semaphore(scorer.concurrency)
    done = 0

    async def one(item: Item, answer: str) -> Record:
        nonlocal done
        async with slots:
            record = await _record(item, answer, scorer, cache, seconds)
        done += 1
        if told is not None:
            told(done, len(items))
        return record

    return list(await asyncio.gather(*(one(i, a) for i, a in zip(items, answers, strict=True))))


async def _record(item: Item, answer: str, scorer: Scorer, cache: Kept, seconds: float) -> Record:
    at = key(VERSION, asdict(item), answer, scorer.name, scorer.repeats)
    if (kept := cache.get(at)) is not None:
        return dict(kept)
    record = _described(item, answer) | {"judge": scorer.name}
    refused = prompts.is_refusal(answer)
    if not answer.strip():
        return record | {"metrics": {}, "rounds": [], "statements": [], "errors": {"answer": "The answer is empty."}}
    rounds = [await _round(item, None if refused else answer, scorer, seconds) for _ in range(scorer.repeats)]
    record |= _joined(rounds)
    if not record["errors"]:
        cache.put(at, record)
    return record


def _described(item: Item, answer: str) -> Record:
    """What is true of an answer without any judge."""
    precision, recall = measures.citations(answer, item.passages)
    refused = prompts.is_refusal(answer)
    found: dict[str, float | None] = {}
    if item.references and item.answerable is not False:  # a wrong refusal and silence have nothing of the reference
        said = "" if refused else answer
        found |= {"f1": measures.f1(said, item.references), "exact_match": measures.exact_match(said, item.references)}
    if not refused and answer.strip():
        found |= {
            "in_cited": measures.in_cited(answer, item.passages),
            "citation_precision": precision,
            "citation_recall": recall,
        }
    return {
        "id": item.id,
        "document": item.document,
        "lang": item.lang,
        "question": item.question,
        "answer": answer,
        "referenced": bool(item.references),
        "abstention": measures.abstention(answer, item.answerable),
        "measures": {name: value for name, value in found.items() if value is not None},
    }


async def _round(item: Item, answer: str | None, scorer: Scorer, seconds: float) -> Scores:
    try:
        async with asyncio.timeout(seconds):
            return await scorer.score(item, answer)
    except TimeoutError:
        return Scores(errors={"judge": f"The judge did not finish within {seconds:.0f} s."})
    except JudgeError as error:
        return Scores(errors={"judge": str(error)})


def _joined(rounds: Sequence[Scores]) -> Record:
    """Means over the rounds; a metric that failed in one of them has no value."""
    errors: dict[str, str] = {}
    for scores in rounds:
        errors |= scores.errors
    names = {name for scores in rounds for name in scores.values} - set(errors)
    whole = [] if "judge" in errors else sorted(names)
    return {
        "metrics": {name: sum(scores.values[name] for scores in rounds) / len(rounds) for name in whole},
        "rounds": [scores.values for scores in rounds],
        "statements": [[asdict(statement) for statement in scores.statements] for scores in rounds],
        "errors": errors,
    }
