"""The bundled judge: does each sentence of an answer follow from the passages? No network, no language model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from assistant.alignment import LAYERS, Projection, align, summary
from assistant.documents import sentences
from assistant.entailment_head import Ensemble
from assistant.errors import ModelError
from assistant.evidence import READ, Context, Weights, bare, claims, words
from assistant.retrieval.embeddings import Reader, Reading

_log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent.parent / "data" / "models" / "judge"
LONGEST_CLAIM = 96
"""Tokens of a sentence that are judged; it is cut behind them."""
_AT_ONCE = 64  # claims whose words are laid beside their evidence in one go: bounds the memory

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SentenceSupport:
    """How far the passages support one sentence of an answer: ``answer[start:end]``.

    ``probability`` is calibrated, in [0, 1], on answers of which some nine sentences in ten are supported; where fewer
    are, it is too high. ``passage`` is the index, from 0, of the passage that holds ``evidence``, the sentence that
    supports it best; None and empty where there is no passage with text.
    """

    sentence: str
    start: int
    end: int
    probability: float
    passage: int | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a logit to a probability: a logistic of slope and intercept (Platt 1999)."""

    slope: float
    intercept: float

    def __call__(self, logit: float) -> float:
        return float(1 / (1 + np.exp(-np.clip(self.slope * logit + self.intercept, -50, 50))))

    def inverse(self, probability: float) -> float:
        probability = min(max(probability, 1e-9), 1 - 1e-9)
        return float((np.log(probability / (1 - probability)) - self.intercept) / self.slope)


class Judge:
    """One of the two bundled judges. Thread-safe; the same input gives the same numbers to the last digit.

    ``name`` holds its version and the hash of its weights: scores of different names must not be compared.
    A sentence is supported from ``threshold`` on; an answer of several from ``answer_threshold`` on.
    """

    def __init__(self, folder: Path, reader: Reader) -> None:
        """Raises ModelError when ``folder`` cannot be read or was trained for another encoder."""
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            weights = folder / "model.safetensors"
            tensors = load_file(weights)
            if config["encoder"] != reader.name:
                raise ModelError(f"The judge in {folder} was trained for {config['encoder']}, not for {reader.name}.")
            self._weights = Weights(tensors.pop("weights").float().numpy())
            self._by = Projection(tensors.pop("mean").numpy(), tensors.pop("directions").numpy())
            self._network = Ensemble(config["heads"])
            self._network.load_state_dict(tensors)
            self._sentence, self._answer = (
                Calibration(**config[f"{kind}_calibration"]) for kind in ("sentence", "answer")
            )
            self._softness: float = config["softness"]
            self.threshold: float = config["threshold"]
            self.answer_threshold: float = config["answer_threshold"]
            digest = hashlib.sha256(weights.read_bytes() + (folder / "config.json").read_bytes()).hexdigest()
            self.name = f"{config['name']}-{config['version']}@{digest[:8]}"
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"The judge in {folder} cannot be loaded: {error}") from error
        self._network.eval()
        self._reader = reader

    def support(self, passages: Sequence[str], answer: str) -> list[SentenceSupport]:
        """A verdict for each sentence of ``answer`` that says something, in order: not for "I hope this helps".

        Only the sentences of the passages that share most with a claim are read, so a huge passage costs little more.
        """
        said = [s for s in sentences.split(answer) if claims(answer[s.start : s.end])]
        if not said:
            return []
        context = Context(passages, self._weights)
        texts = [bare(answer[s.start : s.end]) for s in said]
        logits, best = self._judged(context, texts)
        found = []
        for claim, logit, line in zip(said, logits, best, strict=True):
            text = answer[claim.start : claim.end]
            if line is None:  # nothing was read, so nothing supports it
                found.append(SentenceSupport(text, claim.start, claim.end, 0.0, None, ""))
                continue
            evidence = context.lines[line]
            probability = self._sentence(logit)
            found.append(SentenceSupport(text, claim.start, claim.end, probability, evidence.passage, evidence.text))
        return found

    def answer_probability(self, supports: Sequence[SentenceSupport]) -> float:
        """The calibrated probability that all of the answer is supported, in [0, 1]; 1 without a sentence.

        A soft minimum over the sentences, divided by their number: it falls with the worst of them and
        not with how many there are.
        """
        if not supports:
            return 1.0
        logits = np.array([self._sentence.inverse(s.probability) for s in supports])
        return self._answer(soft_minimum(logits, self._softness))

    def supported(self, supports: Sequence[SentenceSupport]) -> bool:
        """Whether all of the text is supported, as far as one can say: true without a sentence."""
        if len(supports) == 1:
            return supports[0].probability >= self.threshold
        return not supports or self.answer_probability(supports) >= self.answer_threshold

    def _judged(self, context: Context, texts: Sequence[str]) -> tuple[list[float], list[int | None]]:
        """The logit of each claim and the sentence of the context that supports it best."""
        said = [words(text) for text in texts]
        wanted = sorted({int(i) for claim in said for i in context.readable(claim)})
        whole = len(wanted) <= READ
        lines = self._read(context, wanted) if whole else {}
        embeddings = lines or dict(zip(wanted, self._reader.read(context.texts(wanted), inner=False), strict=True))
        read = self._reader.read(texts)
        logits: list[float] = []
        best: list[int | None] = []
        for start in range(0, len(texts), _AT_ONCE):
            group = range(start, min(start + _AT_ONCE, len(texts)))
            cosines = [near(context, read[n], embeddings) for n in group]
            chosen = [context.choose(said[n], of) for n, of in zip(group, cosines, strict=True)]
            if not whole:  # the inner layers of a huge passage would fill the memory
                lines = self._read(context, sorted({i for of in chosen for i in of}))
            batch = [
                see(context, texts[n], read[n], cosines=of, evidence={i: lines[i] for i in picked}, by=self._by)
                for n, of, picked in zip(group, cosines, chosen, strict=True)
            ]
            for n, of, picked in zip(group, cosines, chosen, strict=True):
                likeness = {i: context.likeness(said[n], i, float(of[i])) for i in sorted(picked)}
                best.append(max(likeness, key=likeness.__getitem__, default=None))
            with torch.inference_mode():
                logits += self._network(*padded(batch)).tolist()
        return logits, best

    def _read(self, context: Context, indexes: Sequence[int]) -> dict[int, Reading]:
        return dict(zip(indexes, self._reader.read(context.texts(indexes)), strict=True))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network gets of a claim: its features (FEATURES,), and of its tokens facts and vectors (n, …)."""

    features: Floats
    facts: Floats
    own: Floats
    other: Floats


def near(context: Context, read: Reading, lines: Mapping[int, Reading]) -> Floats:
    """The cosine of the claim to each sentence of the context; -1 for those that were not read."""
    cosines = np.full(len(context.lines), -1.0, np.float32)
    for i, line in lines.items():
        cosines[i] = line.embedding @ read.embedding
    return cosines


def see(
    context: Context, text: str, read: Reading, *, cosines: Floats, evidence: Mapping[int, Reading], by: Projection
) -> Seen:
    """The claim beside its evidence: the sentences that ``context.choose`` gave, in its order."""
    facts, own, other = align(text, read, list(evidence.values()), stems=context.stems, weights=context.weights, by=by)
    features = np.concatenate([context.features(words(text), list(evidence), cosines), summary(facts)])
    return Seen(features, facts[:LONGEST_CLAIM], own[:LONGEST_CLAIM], other[:LONGEST_CLAIM])


def padded(batch: Sequence[Seen]) -> tuple[torch.Tensor, ...]:
    """The batch as the network takes it: features, facts, own, other and the mask."""
    lengths = [len(seen.facts) for seen in batch]
    mask = torch.arange(max(1, *lengths))[None] < torch.tensor(lengths)[:, None]
    features = torch.from_numpy(np.stack([seen.features for seen in batch]))
    parts = []
    for name in ("facts", "own", "other"):
        arrays = [getattr(seen, name) for seen in batch]
        filled = np.zeros((*mask.shape, arrays[0].shape[1]), np.float32)
        for row, array in enumerate(arrays):
            filled[row, : len(array)] = array
        parts.append(torch.from_numpy(filled))
    return features, *parts, mask


def soft_minimum(values: npt.NDArray[np.floating], softness: float) -> float:
    """Between the minimum (softness 0) and the mean, whatever the number of values."""
    least = values.min()
    return float(least - softness * np.log(np.mean(np.exp(-(values - least) / softness))))


@lru_cache(maxsize=1)
def _reader() -> Reader:
    return Reader(LAYERS, threads=1)  # whoever judges much does so in several threads


@lru_cache(maxsize=2)
def load_judge(which: Literal["a", "b"]) -> Judge:
    """Judge A scores chat answers, filters training data and picks on validation; judge B is kept for the gate.

    They were trained on disjoint sources. Raises ModelError when its files cannot be read.
    """
    return Judge(FOLDER / which, _reader())
