"""What a training will need, found out before it starts: memory, disk and time. Better refused than killed at night."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM

from assistant.errors import FielError, InputError
from assistant.settings import Training

_PROCESS = 900e6  # bytes that Python, torch and the libraries take before anything is loaded
_SPARE = 0.9  # of what is free; the rest is left to others
_EFFICIENCY = {"cpu": 0.35, "cuda": 0.35}  # of the rate of large matrix products that training reaches
_STATE = 16  # bytes for each trained parameter: itself, its gradient and two moments, in float32
_CHECKPOINTS = 3  # on disk at once, of the adapter with its optimizer


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes and seconds; ``checkpointing``: activations are computed twice to save memory."""

    device: str
    memory: float
    memory_free: float
    disk: float
    disk_free: float
    seconds: float
    tokens: int
    checkpointing: bool

    def lines(self) -> list[str]:
        return [
            f"On {self.device}: about {_gb(self.memory)} of memory ({_gb(self.memory_free)} free), "
            f"{_gb(self.disk)} of disk ({_gb(self.disk_free)} free), {_hours(self.seconds)} "
            f"for {self.tokens:,} tokens" + (", activations computed twice." if self.checkpointing else "."),
        ]

    def check(self, settings: Training) -> None:
        """Raises FielError with what is missing and what to do about it."""
        if self.memory > _SPARE * self.memory_free:
            remedy = "training.four_bit = true or a smaller model" if self.device == "cuda" else "a smaller model"
            raise FielError(
                f"Training needs about {_gb(self.memory)} of memory on {self.device} and {_gb(self.memory_free)} are "
                f"free. Nothing was started. End what uses it, or take {remedy}."
            )
        if self.disk > _SPARE * self.disk_free:
            raise FielError(
                f"Training needs about {_gb(self.disk)} of disk and {_gb(self.disk_free)} are free. Nothing was "
                "started. Free some."
            )
        if self.seconds > settings.hours * 3600:
            raise FielError(
                f"Training would take about {_hours(self.seconds)}, more than the {settings.hours:g} hours allowed "
                "(training.hours). Nothing was started. Raise the limit, lower training.examples or training.epochs, "
                "or train on a GPU."
            )


def device_of(settings: Training) -> str:
    """Raises InputError for a GPU that is not there."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("training.device is cuda, and there is no GPU that torch can use here.")
    if settings.four_bit and settings.device == "cpu":
        raise InputError("training.four_bit needs a GPU.")
    return "cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu"


def estimate(source: str, *, tokens: int, row: int, swept: int, settings: Training, folder: Path) -> Estimate:
    """For training on ``tokens`` in rows of ``row`` tokens, with ``swept`` more of them for trying learning rates.

    Reads the model's configuration and none of its weights. ``folder`` is where checkpoints will lie.
    """
    device = device_of(settings)
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    linear = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]
    trained = settings.rank * sum(m.in_features + m.out_features for m in linear)
    width = 4.0 if device == "cpu" else 0.6 if settings.four_bit else 2.0
    text = config.get_text_config()
    layers, hidden, vocabulary = text.num_hidden_layers, text.hidden_size, text.vocab_size
    fixed = model.num_parameters() * width + trained * _STATE + (_PROCESS if device == "cpu" else 0)
    # Each linear layer keeps its input, attention its weights; the logits of the answers, about a tenth of the tokens.
    value = 4 if device == "cpu" else 2
    kept = row * value * (2 * sum(m.in_features for m in linear) + 8 * layers * hidden)
    logits = 0.1 * row * vocabulary * 12
    free = _free(device)
    checkpointing = device == "cuda" and fixed + kept + logits > _SPARE * free
    if checkpointing:
        kept = kept / layers + row * value * layers * hidden
    seen = int(tokens * settings.epochs) + swept
    # Forwards and backwards through weights that stay as they are: 2 and 2 operations a weight and token, and the
    # attention's 4 for each pair of tokens in a row and unit; a forward more where activations are computed twice.
    weights = sum(m.in_features * m.out_features for m in linear)
    work = seen * (4 + 2 * checkpointing) * (weights + layers * hidden * row)
    seconds = work / (matrix_rate(device) * _EFFICIENCY[device])
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return Estimate(
        device=device,
        memory=fixed + kept + logits,
        memory_free=free,
        disk=trained * 12 * _CHECKPOINTS + 50e6,
        disk_free=shutil.disk_usage(place).free,
        seconds=seconds,
        tokens=seen,
        checkpointing=checkpointing,
    )


def _free(device: str) -> float:
    """Bytes of memory that a new process can have: of the GPU, or of this machine or its container."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    values = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = float(values["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        free = min(free, float(most) - float(used.read_text()))
    return free


def matrix_rate(device: str) -> float:
    """Operations a second that large matrix products reach now."""
    size, dtype = (768, torch.float32) if device == "cpu" else (4096, torch.bfloat16)
    a = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        b = a @ a
        b[0, 0].item()  # waits for the GPU
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _hours(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def threads() -> int:
    """For training beside a program that serves: one fewer than there are cores."""
    return max(1, len(os.sched_getaffinity(0)) - 1)
