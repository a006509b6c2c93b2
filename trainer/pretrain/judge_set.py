"""Claims as the judge saw them, from disk into batches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file
from torch import Tensor

from assistant.entailment import Seen, padded
from trainer.pretrain import judge_data
from trainer.pretrain.judge_data import Claim


@dataclass(frozen=True, slots=True)
class Set:
    """``offsets`` of the claims' tokens in the other arrays: one entry more than there are claims."""

    rows: list[dict[str, Any]]
    features: npt.NDArray[np.float32]
    facts: npt.NDArray[np.float16]
    own: npt.NDArray[np.float16]
    other: npt.NDArray[np.float16]
    labels: npt.NDArray[np.int8]
    offsets: npt.NDArray[np.int64]

    def batch(self, indexes: npt.NDArray[np.int64]) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """What the network takes, the labels of the tokens (1: unsupported, -1: unknown), and of the claims."""
        parts = [slice(int(self.offsets[i]), int(self.offsets[i + 1])) for i in indexes]
        arrays = (self.facts, self.own, self.other)
        seen = [
            Seen(self.features[i], *(array[part].astype(np.float32) for array in arrays))
            for i, part in zip(indexes, parts, strict=True)
        ]
        inputs = padded(seen)
        labels = torch.full(inputs[-1].shape, -1, dtype=torch.long)
        for row, part in enumerate(parts):
            labels[row, : part.stop - part.start] = torch.from_numpy(self.labels[part].astype(np.int64))
        supported = torch.tensor([float(self.rows[i]["supported"]) for i in indexes])
        return inputs, labels, supported


def load(folder: Path, parts: Sequence[str]) -> Set:
    """What ``judge_features`` wrote of these parts."""
    rows: list[dict[str, Any]] = []
    tensors: dict[str, list[npt.NDArray[Any]]] = {}
    for part in parts:
        rows += json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        for key, value in load_file(folder / f"{part}.safetensors").items():
            tensors.setdefault(key, []).append(value)
    joined = {key: np.concatenate(values) for key, values in tensors.items()}
    offsets = np.concatenate([[0], np.cumsum(joined.pop("lengths").astype(np.int64))])
    return Set(rows=rows, offsets=offsets, features=joined.pop("features").astype(np.float32), **joined)


def learner(row: dict[str, Any]) -> judge_data.Which:
    """Who may learn from a row: what was made of a claim goes where the claim went."""
    source = row["source"].rstrip("+~")
    return judge_data.learner(Claim(source, row["group"], "", "", "", row["supported"], row["lang"]))
