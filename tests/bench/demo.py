"""The whole loop in the real program, with the bundled models: ``make demo-loop`` (some fifteen minutes on two cores).

Documents are put in: the samples and some made up for this (``demo_documents``). Simulated people ask about them and
rate by the references: an answer that holds what it has to gets a thumbs-up; for another one they write the sentence
that is right, as a correction. Our judges have no say in that. Then an admin presses the button; the cycle trains,
proves, and promotes or does not. Some documents nobody asked about: they are asked about before and after, through the
whole pipeline, and scored with judge B, which trained on nothing that the filter's judge A did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assistant import verdicts
from assistant.entailment import load_judge
from assistant.retrieval.embeddings import Embedder
from assistant.settings import ROOT
from assistant.words import en
from tests.bench.chats import Program, program
from tests.bench.demo_documents import Asked, make
from tests.bench.people import FREE, ask, put_in, train
from trainer.evaluate import summary
from trainer.evaluate.cache import Cache
from trainer.evaluate.items import Item
from trainer.evaluate.measures import normalise
from trainer.evaluate.runner import Record, run

_SAMPLES = ROOT / "data" / "samples"
SETTINGS = FREE | {
    "retrieval__passages": "3",
    "generation__max_tokens": "96",
    # The starter is small and was never tuned: it needs a larger rate than models of other kinds. One alone is not
    # searched for, which would take longer than all else.
    "training__learning_rates": "[0.01]",
    "training__epochs": "2",
    "training__removed": "0.05",  # wrong refusals count against it in the gate
}
_SHOWN = {
    "faithfulness": "faithfulness",
    "answer_relevancy_by_embedding": "answer relevance",
    "context_relevance_by_embedding": "context relevance",
    "f1": "F1 against references",
}


def _right(asked: Asked, answer: str) -> bool:
    return f" {normalise(asked.key)} " in f" {normalise(answer)} "


async def _rate(fiel: Program, questions: Sequence[Asked], exchanges: Sequence[dict[str, Any]]) -> float:
    """Returns the share of answers that got a thumbs-up."""
    right = 0
    for asked, exchange in zip(questions, exchanges, strict=True):
        good = _right(asked, exchange["answer"])
        rating = {"value": 1} if good else {"value": -1, "reasons": ["wrong"], "correction": asked.sentence}
        (await fiel.http.put(f"/api/exchanges/{exchange['id']}/rating", json=rating)).raise_for_status()
        right += good
    return right / len(questions)


async def _scored(
    questions: Sequence[Asked], exchanges: Sequence[dict[str, Any]], scorer: Any, cache: Cache
) -> tuple[list[Record], dict[str, Any]]:
    items = [
        Item(
            id=exchange["id"],
            document=asked.section,
            question=asked.question,
            passages=tuple(passage["text"] for passage in exchange["context"]),
            answer=exchange["answer"],
            references=(asked.sentence,),
            answerable=True,
            lang="pt" if asked.document.endswith("museus.md") else "en",
        )
        for asked, exchange in zip(questions, exchanges, strict=True)
    ]
    records = await run(items, [exchange["answer"] for exchange in exchanges], scorer, cache)
    return records, summary.summarise(records, scorer.metrics)


def _figures(questions: Sequence[Asked], exchanges: Sequence[dict[str, Any]], summed: dict[str, Any]) -> dict[str, Any]:
    figures = {shown: (summed["metrics"] | summed["measures"]).get(name) for name, shown in _SHOWN.items()}
    right = sum(_right(asked, exchange["answer"]) for asked, exchange in zip(questions, exchanges, strict=True))
    return figures | {"right": right / len(questions), "refused": summed["refused"] / len(questions)}


def _cell(figure: Any) -> str:
    if not isinstance(figure, dict):
        return "–" if figure is None else f"{figure:.3f}"
    low, high = figure["interval"] or (float("nan"), float("nan"))
    return "no score" if figure["mean"] is None else f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}]"


_began = time.monotonic()


def _say(what: str) -> None:
    print(f"{time.monotonic() - _began:6.0f} s  {what}", flush=True)


def _stage(name: str) -> None:
    _say(f"  {name}")


async def demo(fiel: Program, *, sections: int, fresh: int, seed: int, cache: Cache) -> dict[str, Any]:
    from trainer.evaluate.bundled import BundledScorer  # with Ragas, seconds to import

    asked_about, held_back = make(sections, seed=seed), make(fresh, seed=seed + 1, prefix="new-")
    samples = {path.name: path.read_bytes() for path in _SAMPLES.iterdir() if path.suffix != ".json"}
    written = {name: text.encode() for name, text in (asked_about.documents | held_back.documents).items()}
    await put_in(fiel, samples | written)
    questions = [*asked_about.questions, *_of_samples()]
    _say(f"{len(samples) + len(written)} documents are in; {len(held_back.questions)} questions before")
    before = await ask(fiel, [one.question for one in held_back.questions])
    _say(f"people ask {len(questions)} questions and rate the answers")
    share = await _rate(fiel, questions, await ask(fiel, [one.question for one in questions]))
    _say(f"{share:.0%} of the answers got a thumbs-up; a cycle begins")
    cycle = await train(fiel, told=_stage)
    told = verdicts.sentences(cycle["verdict"], en) if cycle["verdict"] else [cycle["problem"]]
    for sentence in told:
        _say(f"  {sentence}")
    again = await train(fiel, told=_stage)
    _say(f"the button once more, with nothing new: {verdicts.sentences(again['verdict'], en)[0]}")
    _say("the questions before are asked again")
    after = await ask(fiel, [one.question for one in held_back.questions])
    scorer = BundledScorer(load_judge("b"), Embedder())
    result: dict[str, Any] = {"verdict": cycle["verdict"], "thumbs_up": share, "told": told}
    for name, exchanges in (("before", before), ("after", after)):
        _, summed = await _scored(held_back.questions, exchanges, scorer, cache)
        result[name] = _figures(held_back.questions, exchanges, summed)
    result["answered_by"] = after[0]["adapter"]
    result["examples"] = [
        asdict(asked) | {"before": old["answer"], "after": new["answer"]}
        for asked, old, new in list(zip(held_back.questions, before, after, strict=True))[:10]
    ]
    return result


def _of_samples() -> list[Asked]:
    """Their references are no whole sentences, which is how people write, too."""
    by_language = json.loads((_SAMPLES / "questions.json").read_text(encoding="utf-8"))
    return [
        Asked(one["document"], one["document"], one["question"], one["answer"], one["answer"])
        for language in by_language.values()
        for one in language
    ]


def _table(result: dict[str, Any]) -> str:
    rows = [("", "before", "after"), *(
        (name, _cell(result["before"][name]), _cell(result["after"][name])) for name in result["before"]
    )]  # fmt: skip
    return "\n".join(f"{name:24}{before:>24}{after:>24}" for name, before, after in rows)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not needed")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sections", type=int, default=70, help="that people ask about")
    parser.add_argument("--fresh", type=int, default=16, help="sections that nobody asks about until the end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, help="keep the state here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        state = given.state or Path(scratch)
        state.mkdir(parents=True, exist_ok=True)
        cache = Cache(state / "scores.db")
        with program(state, **SETTINGS) as fiel:
            _say("the program runs")
            result = await demo(fiel, sections=given.sections, fresh=given.fresh, seed=given.seed, cache=cache)
        cache.close()
    seconds = time.monotonic() - _began
    print(f"\n{given.fresh} sections that nobody had asked about, through the whole pipeline (95 % intervals)")
    print(_table(result))
    print(f"answered by {result['answered_by'] or 'the base model'}; {seconds / 60:.1f} minutes")
    if given.json:
        given.json.write_text(json.dumps(result | {"seconds": seconds}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
