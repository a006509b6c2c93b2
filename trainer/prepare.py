"""A dataset as a model reads it, and what training on it will take: all that is known before any weights are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from assistant.engines.template import Template
from assistant.errors import InputError
from assistant.settings import Training
from trainer import rates
from trainer.card import Card
from trainer.estimate import Estimate, Load, device_of, estimate
from trainer.tokens import Tokenized, read

PADDED = 4
"""Examples that the preference stage computes together."""

ANSWERED = 100
"""Validation questions that are answered after each try of a learning rate, at most."""

LOOKS = 10
"""Times that the validation is measured in a whole training."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset as a model reads it, and what training on it will take."""

    card: Card
    template: Template
    train: Tokenized
    validation: Tokenized
    undesirable: Tokenized
    row: int
    estimate: Estimate
    sweep: bool

    def lines(self) -> list[str]:
        """For people."""
        dropped = self.train.too_long + self.validation.too_long + self.undesirable.too_long
        told = [*self.card.lines(), *self.estimate.lines()]
        return [*told, f"{dropped:,} examples are too long for the model and left out."] if dropped else told


def prepare(dataset: Path, model: str, *, settings: Training, folder: Path, earlier: int | None = None) -> Prepared:
    """Reads a dataset for a model and estimates, without reading any weights.

    ``folder`` is where the adapter is to lie; ``earlier`` is how many examples there were when learning rates were
    tried last. Raises InputError, ModelError.
    """
    card = Card.read(dataset)
    template = Template(model)
    config = AutoConfig.from_pretrained(template.source, trust_remote_code=False).get_text_config()
    window = min(getattr(config, "max_position_embeddings", None) or 2**31, template.tokenizer.model_max_length)
    train, validation, undesirable = (
        read(dataset / f"{name}.jsonl", template, window=window) for name in ("train", "validation", "undesirable")
    )
    if not train.examples:
        raise InputError("The dataset has no training example that fits the model.")
    sweep = bool(validation.examples) and rates.due(len(train.examples), earlier=earlier)
    row = _row(train, device_of(settings), window)
    load = _load(train, validation, undesirable, row=row, tries=rates.most(settings) if sweep else 0, settings=settings)
    needed = estimate(template.source, load, settings=settings, folder=folder)
    return Prepared(card, template, train, validation, undesirable, row, needed, sweep)


def epoch(examples: int, settings: Training) -> int:
    """Steps for each example to be seen once."""
    return max(1, math.ceil(examples / settings.batch))


def steps(examples: int, settings: Training) -> int:
    """Of the whole supervised training, at most."""
    return max(1, round(settings.epochs * epoch(examples, settings)))


def prefers(undesirable: Tokenized, settings: Training) -> bool:
    """Whether what people rejected is learnt from."""
    return settings.preference == "kto" and len(undesirable.examples) >= settings.negatives


def _load(
    train: Tokenized, validation: Tokenized, undesirable: Tokenized, *, row: int, tries: int, settings: Training
) -> Load:
    """``tries`` of learning rates, at most, before each of which, and once before them, the validation is measured."""
    each = train.size / len(train.examples)
    short = min(settings.sweep_steps, steps(len(train.examples), settings)) * settings.batch
    answered = validation.examples[:ANSWERED]
    times = tries + 1 if tries else 0
    asked = sum(len(example.prompt) for example in answered)
    preferred = prefers(undesirable, settings)
    return Load(
        row=row,
        learnt=round(train.size * settings.epochs + tries * short * each),
        read=(LOOKS + times) * validation.size + times * asked,
        written=times * sum(len(example.completion) for example in answered),
        preferred=train.size + undesirable.size if preferred else 0,
        padded=PADDED * max(train.longest, undesirable.longest) if preferred else 0,
    )


def _row(examples: Tokenized, device: str, window: int) -> int:
    """Tokens of a packed row. On a CPU no longer than need be: its attention looks at all pairs of tokens in a row."""
    return examples.longest if device == "cpu" else max(examples.longest, min(window, 4096))
