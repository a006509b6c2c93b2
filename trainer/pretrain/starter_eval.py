"""Measures a starter on questions that it never saw, with the right passage always among four.

    python -m trainer.pretrain.starter_eval --data ../shared/data --model data/models/starter [--json FILE]

Each question comes with a window of its own paragraph and windows of three others of the same document where there
are that many. Beside the model stands the parrot: the sentence that shares most words with the question.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from assistant import prompts
from trainer.pretrain.corpus import Text, records, split_sentences
from trainer.pretrain.starter_examples import Window, passage_of
from trainer.pretrain.tokenizer import load_tokenizer

PASSAGES = 4


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its windows; ``gold`` is the number (from 1) of the window of its own paragraph."""

    question: str
    answers: tuple[str, ...]
    windows: tuple[Window, ...]
    gold: int


@dataclass(frozen=True, slots=True)
class Score:
    """A share with its number of cases and its 95 % interval (Wilson)."""

    value: float
    n: int
    low: float
    high: float


def share(flags: Sequence[bool]) -> Score:
    n, z = len(flags), 1.96
    if not n:
        return Score(float("nan"), 0, 0.0, 1.0)
    p = sum(flags) / n
    middle, spread = p + z * z / (2 * n), z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5
    return Score(p, n, max(0.0, (middle - spread) / (1 + z * z / n)), (middle + spread) / (1 + z * z / n))


def read_items(path: Path, *, language: str, limit: int, seed: int) -> list[Item]:
    """A random ``limit`` of the file's questions in ``language``."""
    draw = random.Random(seed)  # noqa: S311
    rows = [r for r in records(path) if r["lang"] == language]
    texts: dict[str, Text] = {}
    for row in rows:
        sentences = split_sentences(row["context"])
        texts.setdefault(row["context"], Text(row["title"] or "document", "", row["lang"], sentences))
    items = []
    for row in draw.sample(rows, min(limit, len(rows))):
        own = texts[row["context"]]
        siblings = [t for t in texts.values() if t is not own and t.title == own.title]
        strangers = [t for t in texts.values() if t.title != own.title]
        picked = draw.sample(siblings, min(PASSAGES - 1, len(siblings)))
        picked += draw.sample(strangers, PASSAGES - 1 - len(picked))
        start = next((at for a in row["answers"] if (at := own_start(row["context"], a)) >= 0), None)
        windows = [_window(own, start, draw), *(_window(text, None, draw) for text in picked)]
        order = draw.sample(range(PASSAGES), PASSAGES)
        items.append(Item(row["question"], tuple(row["answers"]), tuple(windows[i] for i in order), order.index(0) + 1))
    return items


def own_start(context: str, answer: str) -> int:
    return context.lower().find(answer.lower()) if answer else -1


def _window(text: Text, start: int | None, draw: random.Random) -> Window:
    """Five to nine sentences in a row, among them the one at character ``start``."""
    size = min(draw.randint(5, 9), len(text.sentences))
    target, position = draw.randrange(len(text.sentences)), 0
    if start is not None:
        for index, sentence in enumerate(text.sentences):
            position += len(sentence)
            if start < position:
                target = index
                break
    first = min(max(0, target - draw.randrange(size)), len(text.sentences) - size)
    return Window(text, first, first + size, target)


@torch.inference_mode()
def answers_of(
    items: Sequence[Item], *, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, batch: int = 8
) -> list[str]:
    """The model's greedy answers, in the order of ``items``."""
    order = sorted(range(len(items)), key=lambda i: sum(len(w.render()) for w in items[i].windows))
    answers = [""] * len(items)
    for at in range(0, len(order), batch):
        chosen = order[at : at + batch]
        rendered = [_prompt(items[i], tokenizer) for i in chosen]
        inputs = tokenizer(rendered, return_tensors="pt", padding=True, add_special_tokens=False)
        out = model.generate(**inputs, do_sample=False, max_new_tokens=90)  # type: ignore[operator]
        for i, ids in zip(chosen, out[:, inputs["input_ids"].shape[1] :], strict=True):
            answers[i] = str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
    return answers


def _prompt(item: Item, tokenizer: PreTrainedTokenizerFast) -> str:
    draw = random.Random(item.question)  # noqa: S311
    messages = prompts.render(question=item.question, passages=[passage_of(w, draw) for w in item.windows])
    return str(tokenizer.apply_chat_template([asdict(m) for m in messages], tokenize=False, add_generation_prompt=True))


def parrot(item: Item) -> str:
    """The sentence that shares most words with the question, and the number of its passage."""
    asked = set(_words(item.question))
    sentences = [
        (len(asked & set(_words(window.text.sentences[i]))), number, window.text.sentences[i].strip())
        for number, window in enumerate(item.windows, start=1)
        for i in range(window.first, window.end)
    ]
    _, number, sentence = max(sentences, key=lambda s: s[0])
    return f"{sentence} [{number}]"


def _words(text: str) -> list[str]:
    """Lower-case words without English articles, as SQuAD's own scorer compares them."""
    return [w for w in re.findall(r"\w+", text.lower()) if w not in ("a", "an", "the")]


def bare(answer: str) -> str:
    return re.sub(r"\s*\[\d+\]", "", answer)


def contains(answer: str, golds: Sequence[str]) -> bool:
    text = f" {' '.join(_words(bare(answer)))} "
    return any(_words(g) and f" {' '.join(_words(g))} " in text for g in golds)


def recall(answer: str, golds: Sequence[str]) -> float:
    """The largest share of a gold answer's words that the answer holds (for gold answers in free wording)."""
    given = Counter(_words(bare(answer)))
    return max((sum((Counter(w) & given).values()) / len(w) for g in golds if (w := _words(g))), default=0.0)


def cites(answer: str, item: Item) -> bool:
    return f"[{item.gold}]" in answer


def score_sentences(items: Sequence[Item], answers: Sequence[str]) -> dict[str, Score | float]:
    pairs = list(zip(items, answers, strict=True))
    return {
        "contains gold answer": share([contains(a, i.answers) for i, a in pairs]),
        "holds 60 % of its words": share([recall(a, i.answers) >= 0.6 for i, a in pairs]),
        "cites the right passage": share([cites(a, i) for i, a in pairs]),
        "refuses": share([prompts.is_refusal(a) for a in answers]),
        "median words": statistics.median(len(bare(a).split()) for a in answers),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with qa/")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=400, help="of each kind")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    tokenizer = load_tokenizer(options.model)
    figures: dict[str, dict[str, Score | float]] = {}
    for name, file, language in (
        ("squad_dev", "squad_dev.jsonl", "en"),
        ("squad2_unanswerable", "squad2_unanswerable.jsonl", "en"),
        ("pira_validation pt", "pira_validation.jsonl", "pt"),
    ):
        items = read_items(options.data / "qa" / file, language=language, limit=options.questions, seed=1)
        begin = time.perf_counter()
        answers = answers_of(items, model=model, tokenizer=tokenizer)
        figures[name] = score_sentences(items, answers)
        figures[name]["seconds per question"] = (time.perf_counter() - begin) / len(items)
        if name != "squad2_unanswerable":
            figures[f"{name}, parrot"] = score_sentences(items, [parrot(i) for i in items])
        if name == "squad_dev":
            for item, answer in list(zip(items, answers, strict=True))[:5]:
                print(f"  {item.question} ({item.answers[0]})\n    {answer}")
    for name, scores in figures.items():
        for measure, score in scores.items():
            shown = (
                f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}] n={score.n}"
                if isinstance(score, Score)
                else f"{score:.3f}"
            )
            print(f"{name:28} {measure:28} {shown}")
    if options.json:
        plain = {
            name: {k: asdict(v) if isinstance(v, Score) else v for k, v in scores.items()}
            for name, scores in figures.items()
        }
        options.json.write_text(json.dumps(plain, indent=1))


if __name__ == "__main__":
    main()
