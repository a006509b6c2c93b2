"""Measures that no judge has a say in: they show when a model learns to please the judge instead of being right."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from assistant import prompts
from assistant.documents import sentences

_MARK = re.compile(r"\[(\d+(?:, ?\d+)*)\]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """As SQuAD's own scorer does (Rajpurkar et al. 2016): lower case, no punctuation, no English articles."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 if the answer is one of the references, normalised; citation marks aside."""
    given = normalise(_bare(answer))
    return float(any(given == normalise(reference) for reference in references))


def f1(answer: str, references: Sequence[str]) -> float:
    """The best overlap of words with a reference, in [0, 1], as SQuAD's own scorer counts it."""
    return max((_f1(normalise(_bare(answer)).split(), normalise(r).split()) for r in references), default=0.0)


def in_cited(answer: str, passages: Sequence[str]) -> float | None:
    """The share of the answer's words that stand in the passages it cites; None without words."""
    words = _words(_bare(answer))
    if not words:
        return None
    there = {word for n in _cited(answer, len(passages)) for word in _words(passages[n - 1])}
    return sum(word in there for word in words) / len(words)


def citations(answer: str, passages: Sequence[str]) -> tuple[float | None, float | None]:
    """Precision and recall of the citations, in [0, 1]; None where there is nothing to count.

    The passage that supports a sentence is the one that holds most of its words. Precision: the share of marks that
    point to one. Recall: the share of the sentences that have such a passage and point to it.
    """
    right = marks = supported = found = 0
    held = [set(_words(passage)) for passage in passages]
    for sentence in sentences.split(answer):
        text = answer[sentence.start : sentence.end]
        words = set(_words(_bare(text)))
        shares = [len(words & passage) for passage in held]
        best = {n for n, share in enumerate(shares, start=1) if share and share == max(shares)}
        pointed = _cited(text, len(passages))
        marks += len(_numbers(text))
        right += sum(n in best for n in pointed)
        supported += bool(best)
        found += bool(best & set(pointed))
    return (right / marks if marks else None), (found / supported if supported else None)


def abstention(answer: str, answerable: bool | None) -> str:
    """What became of the choice between answering and refusing.

    ``right_refusal``, ``wrong_refusal``, ``missed_refusal``, ``right_answer`` where it is known whether the passages
    hold an answer, else ``refusal`` or ``answer``; ``empty`` where nothing was said.
    """
    if not answer.strip():
        return "empty"
    refused = prompts.is_refusal(answer)
    if answerable is None:
        return "refusal" if refused else "answer"
    if answerable:
        return "wrong_refusal" if refused else "right_answer"
    return "right_refusal" if refused else "missed_refusal"


def _f1(given: list[str], wanted: list[str]) -> float:
    shared = sum((Counter(given) & Counter(wanted)).values())
    if not given or not wanted:
        return float(given == wanted)
    return 2 * shared / (len(given) + len(wanted))


def _bare(answer: str) -> str:
    return _MARK.sub(" ", answer)


def _words(text: str) -> list[str]:
    return [word.casefold() for word in re.findall(r"\w+", text)]


def _numbers(text: str) -> set[int]:
    return {int(number) for marks in _MARK.findall(text) for number in marks.split(",")}


def _cited(text: str, passages: int) -> list[int]:
    return sorted(n for n in _numbers(text) if 1 <= n <= passages)
