"""A tiny model with random weights, and small datasets for it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from assistant.settings import Training
from tests.assistant.engines.conftest import tiny_llama
from trainer.card import Card, Writer

QUICK = Training(rank=4, alpha=8, learning_rates=[1e-3, 3e-3], sweep_steps=2, epochs=1, batch=4, device="cpu")
"""Settings for a training of seconds."""

_SUBJECTS = ("bridge", "museum", "station", "library", "harbour", "theatre", "market", "garden")


def example(number: int, *, words: int = 0, answer: str = "") -> dict[str, Any]:
    """A row of a dataset; ``words`` makes its passage longer."""
    subject = _SUBJECTS[number % len(_SUBJECTS)]
    text = f"The {subject} was opened in {1900 + number}." + " It is red." * words
    return {
        "exchange": f"e{number}",
        "origin": "thumbs-up",
        "language": "en",
        "document": f"{subject}.txt",
        "prompt": [
            {"role": "user", "content": f"[1] {subject}.txt\n{text}\n\nQuestion: When was the {subject} opened?"}
        ],
        "completion": answer or f"It was opened in {1900 + number}. [1]",
    }


def write_dataset(
    folder: Path,
    *,
    train: Sequence[dict[str, Any]],
    validation: Sequence[dict[str, Any]] = (),
    undesirable: Sequence[dict[str, Any]] = (),
) -> Path:
    card = Card(seed=0, prompt_version="1", judge="a", settings={})
    with Writer(folder, card) as writer:
        for row in train:
            writer.write("train", row)
        for row in validation:
            passage = row["prompt"][0]["content"].split("\n")[1]
            writer.write("validation", row | {"passages": [passage]})
        for row in undesirable:
            writer.write("undesirable", {name: row[name] for name in ("exchange", "prompt", "completion")})
        writer.finish()
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # small matrices: more threads wait for each other


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny", context=512)


@pytest.fixture(scope="session")
def calm(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that begins with all words as likely, so that its loss can rise."""
    folder = shutil.copytree(model, tmp_path_factory.mktemp("models") / "calm")
    torch.manual_seed(0)
    config = LlamaConfig.from_pretrained(model)
    config.initializer_range = 0.02
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Eight training examples of mixed length and four for validation."""
    rows = [example(n, words=3 * (n % 4)) for n in range(8)]
    return write_dataset(tmp_path / "dataset", train=rows, validation=[example(n) for n in range(20, 24)])
