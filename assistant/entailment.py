"""The bundled judge: does each sentence of an answer follow from the passages? No network, no language model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from assistant.documents import sentences

_WORD = re.compile(r"\w+")
_MARK = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")


@dataclass(frozen=True, slots=True)
class SentenceSupport:
    """How far the passages support one sentence of an answer: ``answer[start:end]``.

    ``probability`` is calibrated, in [0, 1]. ``passage`` is the index, from 0, of the passage that holds ``evidence``,
    the sentence that supports it best; None and empty where no passage shares anything with it.
    """

    sentence: str
    start: int
    end: int
    probability: float
    passage: int | None
    evidence: str


class Judge:
    """One of the two bundled judges. Thread-safe; the same input gives the same numbers to the last digit.

    ``name`` holds its version and the hash of its weights: scores of different names must not be compared.
    A sentence is supported from ``threshold`` on, a whole answer from ``answer_threshold`` on.
    """

    def __init__(self, name: str) -> None:
        self.name = f"{name}-provisional"
        self.threshold = 0.5
        self.answer_threshold = 0.5

    def support(self, passages: Sequence[str], answer: str) -> list[SentenceSupport]:
        """A verdict for each sentence of ``answer``, in order; none for an answer without words."""
        found = []
        evidence = [(n, s.text.strip()) for n, passage in enumerate(passages) for s in sentences.split(passage)]
        for sentence in sentences.split(answer):
            text = answer[sentence.start : sentence.end]
            words = _words(text)
            if not words:
                continue
            best = max(((len(words & _words(s)), -n, s) for n, s in evidence), default=(0, 0, ""))
            share = best[0] / len(words)
            n = -best[1] if best[0] else None
            found.append(SentenceSupport(text, sentence.start, sentence.end, share, n, best[2] if best[0] else ""))
        return found

    def answer_probability(self, supports: Sequence[SentenceSupport]) -> float:
        """The probability that every sentence is supported, in [0, 1]; 1 for none. It does not fall with length."""
        if not supports:
            return 1.0
        softness = 0.6
        logits = [math.log(max(s.probability, 1e-6) / max(1 - s.probability, 1e-6)) for s in supports]
        soft = -softness * math.log(sum(math.exp(-logit / softness) for logit in logits) / len(logits))
        return 1 / (1 + math.exp(-soft))


def load_judge(which: Literal["a", "b"]) -> Judge:
    """Judge A scores chat answers, filters training data and picks on validation; judge B is kept for the gate.

    They were trained on disjoint sources. Raises ModelError when its files cannot be read.
    """
    return Judge(which)


def _words(text: str) -> set[str]:
    return {word.casefold()[:5] for word in _WORD.findall(_MARK.sub("", text))}
