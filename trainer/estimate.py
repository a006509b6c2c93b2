"""What a training will need, found out before it starts: memory, disk and time. Better refused than killed at night."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from assistant.errors import FielError, InputError
from assistant.settings import Training

_PROCESS = 900e6  # bytes that Python, torch and the libraries take before anything is loaded
_SPARE = 0.9  # of what is free; the rest is left to others
_EFFICIENCY = {"cpu": 0.25, "cuda": 0.35}  # of the rate of large matrix products that training reaches
_STATE = 16  # bytes for each trained parameter: itself, its gradient and two moments, in float32
_ONE_BY_ONE = 10  # times as long as tokens that are read together: each written one waits for the one before
_LINEAR = (torch.nn.Linear, Conv1D)
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
    """Raises InputError for a GPU that is needed and not there."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("training.device is cuda, and there is no GPU that torch can use here.")
    device = "cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu"
    if settings.four_bit and device == "cpu":
        raise InputError("training.four_bit needs a GPU.")
    return device


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be computed, in tokens: ``learnt`` in rows of ``row``, ``read`` to measure, ``written`` in answers.

    ``preferred`` are those of the preference stage, in batches of ``padded``.
    """

    row: int
    learnt: int
    read: int = 0
    written: int = 0
    preferred: int = 0
    padded: int = 0


def estimate(source: str, load: Load, *, settings: Training, folder: Path) -> Estimate:
    """Reads the model's configuration and none of its weights. ``folder`` is where checkpoints will lie."""
    device = device_of(settings)
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    shape = _shape(model, config.get_text_config())
    trained = settings.rank * shape.sides
    width = 4.0 if device == "cpu" else 0.6 if settings.four_bit else 2.0
    fixed = model.num_parameters() * width + trained * _STATE + (_PROCESS if device == "cpu" else 0)
    free = _free(device)
    most, checkpointing = shape.activations(load, device), False
    if device == "cuda" and fixed + most > _SPARE * free:
        most, checkpointing = shape.activations(load, device, checkpointing=True), True
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return Estimate(
        device=device,
        memory=fixed + most,
        memory_free=free,
        disk=trained * 12 * _CHECKPOINTS + 50e6,
        disk_free=shutil.disk_usage(place).free,
        seconds=shape.operations(load, checkpointing=checkpointing) / (matrix_rate(device) * _EFFICIENCY[device]),
        tokens=load.learnt + load.preferred,
        checkpointing=checkpointing,
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of a model: ``inputs`` and ``sides`` are the sums over its linear layers of their inputs, and of both sides."""

    layers: int
    hidden: int
    vocabulary: int
    weights: int
    inputs: int
    sides: int

    def activations(self, load: Load, device: str, *, checkpointing: bool = False) -> float:
        """Bytes kept for the backward pass. Each linear layer keeps its input, attention its weights."""
        value = 4 if device == "cpu" else 2
        token: float = value * (2 * self.inputs + 8 * self.layers * self.hidden)
        if checkpointing:
            token = token / self.layers + value * self.layers * self.hidden
        # Of a packed row the logits of the answers are computed, about a tenth; of a padded batch all, several times.
        packed = load.row * (token + 0.1 * self.vocabulary * 12)
        return max(packed, load.padded * (token + self.vocabulary * 16))

    def operations(self, load: Load, *, checkpointing: bool) -> float:
        """Forwards and backwards through weights that stay as they are are 2 and 2 a weight and token."""
        forward = 2 * (self.weights + self.layers * self.hidden * load.row)  # with the attention's pairs in a row
        whole = forward + 2 * self.vocabulary * self.hidden
        learning = load.learnt * forward * (2 + checkpointing) + load.preferred * whole * (5 + checkpointing)
        return learning + load.read * forward + load.written * whole * _ONE_BY_ONE


def _shape(model: torch.nn.Module, config: Any) -> _Shape:
    sizes = [_sides(m) for n, m in model.named_modules() if isinstance(m, _LINEAR) and n != "lm_head"]
    return _Shape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        vocabulary=config.vocab_size,
        weights=sum(inputs * outputs for inputs, outputs in sizes),
        inputs=sum(inputs for inputs, _ in sizes),
        sides=sum(inputs + outputs for inputs, outputs in sizes),
    )


def _sides(layer: torch.nn.Module) -> tuple[int, int]:
    """How many inputs and outputs a linear layer has."""
    inputs, outputs = layer.weight.shape  # type: ignore[misc]
    return (inputs, outputs) if isinstance(layer, Conv1D) else (outputs, inputs)


def _free(device: str) -> float:
    """Bytes of memory that a new process can have: of the GPU, or of this machine or its container."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    values = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = float(values["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    if (group / "memory.max").exists() and (most := (group / "memory.max").read_text().strip()) != "max":
        used = float((group / "memory.current").read_text())
        pages = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        free = min(free, float(most) - used + float(pages["inactive_file"]))  # files that are read make room
    return free


def matrix_rate(device: str) -> float:
    """Operations a second that large matrix products reach now, on as many cores as a training takes."""
    size, dtype = (768, torch.float32) if device == "cpu" else (4096, torch.bfloat16)
    before = torch.get_num_threads()
    torch.set_num_threads(threads())
    a = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        b = a @ a
        b[0, 0].item()  # waits for the GPU
        best = min(best, time.perf_counter() - start)
    torch.set_num_threads(before)
    return 2 * size**3 / best


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _hours(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def threads() -> int:
    """For training beside a program that serves: one fewer than there are cores."""
    return max(1, len(os.sched_getaffinity(0)) - 1)
