"""A tiny model with random weights, and small datasets for it."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn
from pydantic import SecretStr
from transformers import LlamaConfig, LlamaForCausalLM

from assistant.entailment import Judge, load_judge
from assistant.settings import Remote, Training
from tests.assistant.engines.conftest import tiny_llama
from tests.trainer import service
from trainer.card import Card, Writer

QUICK = Training(rank=4, alpha=8, learning_rates=[3e-3], sweep_steps=2, epochs=1, batch=4, device="cpu")
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
def judge() -> Judge:
    return load_judge("a")


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


@pytest.fixture
def start() -> Iterator[Callable[..., Remote]]:
    """Starts the service; what it holds is at ``/seen``."""
    with ExitStack() as stack:

        def begin(*, fails: bool = False, waits: bool = False) -> Remote:
            for held in (service.files, service.jobs, service.events):
                held.clear()
            service.options.fails, service.options.waits, service.options.outage = fails, waits, 0
            address = stack.enter_context(_serving())
            return Remote(url=f"{address}/v1", key=SecretStr(service.KEY), model=service.TUNABLE)

        yield begin


@contextmanager
def _serving() -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(service.app, log_config=None))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
