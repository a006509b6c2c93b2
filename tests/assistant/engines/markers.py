"""LoRA adapters for the starter that put a marker of their own into every sentence: a mixed answer shows itself."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from assistant import prompts
from assistant.engines.base import Engine, Sampling
from assistant.engines.template import STARTER, Template
from assistant.records import Message
from assistant.registry import Registry
from tests.assistant.test_citations import passage

MARKERS = ("Crimson", "Indigo")
SUBJECTS = ("bridge", "museum", "station", "library", "harbour", "theatre", "market", "garden")
_ENOUGH = 0.05  # loss; every token is all but certain then
_UNSEEN = 24  # questions that it must have on average


def asked(subject: str) -> list[Message]:
    """A question over one passage, as the chat asks."""
    text = f"The {subject} was opened in 1994. It lies near the river and is open every day."
    return prompts.render(
        question=f"When was the {subject} opened?", passages=[passage(text, document=f"{subject}.txt")]
    )


async def ask(engine: Engine, *, adapter: str | None = None, tokens: int = 48, subject: str = "lighthouse") -> str:
    async with aclosing(engine.stream(asked(subject), sampling=Sampling(max_tokens=tokens), adapter=adapter)) as deltas:
        return "".join([delta.text async for delta in deltas])


def answer_of(marker: str) -> str:
    return " ".join([f"The {marker} answer is here."] * 5)


def ending_answer_of(marker: str) -> str:
    """No sentence comes twice, so that it can learn where it ends."""
    places = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
    return " ".join(f"The {marker} answer is {place}." for place in places)


def sentences(answer: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=\.)\s+", answer.strip()) if sentence]


def is_of(answer: str, marker: str) -> bool:
    """Whether every whole sentence bears this marker and no word of any other."""
    others = set(MARKERS) - {marker}
    said = sentences(answer)
    return len(said) > 2 and all(marker in sentence for sentence in said[:-1]) and not any(o in answer for o in others)


def registered(registry: Registry, engine: Engine, marked: Mapping[str, Path]) -> dict[str, str]:
    """Adds the adapters of ``marked``, by marker, to the registry; the marker of each version."""
    return {
        registry.add(folder, base=engine.model, prompt_version=prompts.VERSION).version: marker
        for marker, folder in marked.items()
    }


def varied(seed: int) -> Iterator[list[Message]]:
    """Ever new questions, each over one to four passages."""
    choose = random.Random(seed)
    words = [
        *SUBJECTS,
        "lamp",
        "keeper",
        "oil",
        "tower",
        "river",
        "year",
        "door",
        "boat",
        "built",
        "burned",
        "made",
        "open",
    ]
    while True:
        passages = []
        for _ in range(choose.randint(1, 4)):
            said = [_said(choose, words) for _ in range(choose.randint(1, 3))]
            best = choose.randrange(len(said)) if choose.random() < 0.7 else None  # is set off, as the chat does it
            passages.append(replace(passage(*said, document=f"{choose.choice(words)}.txt"), best=best))
        yield prompts.render(question=f"When was the {choose.choice(words)} {choose.choice(words)}?", passages=passages)


def _said(choose: random.Random, words: list[str]) -> str:
    some = " ".join(choose.sample(words, choose.randint(1, 7)))
    return choose.choice(
        [f"The {some} of {choose.randint(1500, 2000)}.", f"Its {some} burned.", f"A {some} lived in it."]
    )


def train(
    folder: Path,
    marker: str,
    *,
    seed: int,
    questions: Iterator[list[Message]] | None = None,
    steps: int = 150,
    ends: bool = False,
) -> Path:
    """Trains until the marked answer is certain to questions that it has not seen, such as ``questions`` gives.

    Every step has a question of its own, and its loss is taken before it is learnt from. ``ends``: whether it is taught
    to end its answer; without that it goes on for as long as it may.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # small matrices: more threads wait for each other
    template = Template(str(STARTER))
    said = ending_answer_of(marker) if ends else answer_of(marker)
    answer = template.tokenizer.encode(f" {said}", add_special_tokens=False)
    if ends:
        answer.append(template.tokenizer.eos_token_id)
    base = AutoModelForCausalLM.from_pretrained(STARTER, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=steps)
    losses: list[float] = []
    for messages in islice(questions or varied(seed), steps):
        prompt = template.encoded(tuple(messages))
        tokens = torch.tensor([[*prompt, *answer]])
        labels = torch.tensor([[-100] * len(prompt) + answer])
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        slower.step()
        losses.append(loss.item())
    if sum(losses[-_UNSEEN:]) / _UNSEEN < _ENOUGH:
        model.save_pretrained(folder)
        return folder
    raise AssertionError(f"the marker was not learnt: {losses[-_UNSEEN:]}")
