"""Examples that teach to find the right passage among others and to refuse when it is missing.

After RAFT (Zhang et al. 2024, "RAFT: Adapting Language Model to Domain Specific RAG"): the passages of an example are
shuffled, others are mixed in that the search found less fitting, and in a share of them the supporting ones are gone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.orm import Session

from assistant import splits
from assistant.entailment import Judge, SentenceSupport
from assistant.records import SHARED, Exchange, Passage
from assistant.store import documents, passages

PASSAGES = 4
"""An example gets distractors up to this many passages, or as many as its exchange showed."""

_MARK = re.compile(r"(\s*)\[(\d+(?:, ?\d+)*)\]")
_MARKS = re.compile(r"\[\d+(?:, ?\d+)*\](?:\s*\[\d+(?:, ?\d+)*\])*")


@dataclass(frozen=True, slots=True)
class Shown:
    """Passages in the order in which they are shown, and the answer that cites them by their numbers, from 1."""

    passages: tuple[Passage, ...]
    answer: str


def supporting(answer: str, supports: Sequence[SentenceSupport]) -> frozenset[int]:
    """The indexes, from 0, of the passages that an answer cites or that the judge sees it rest on."""
    return frozenset(_cited(answer) | {support.passage for support in supports if support.passage is not None})


def cite(answer: str, supports: Sequence[SentenceSupport]) -> str:
    """The answer with a mark after each sentence, where it has none at all: people's corrections often lack them."""
    if _MARK.search(answer):
        return answer
    for support in reversed(supports):
        if support.passage is not None:
            end = support.start + len(answer[support.start : support.end].rstrip())
            answer = f"{answer[:end]} [{support.passage + 1}]{answer[end:]}"
    return answer


def pointed(answer: str, passages: Sequence[str], supports: Sequence[SentenceSupport], *, judge: Judge) -> str:
    """The answer with marks corrected that point to passages which do not support what they close, while others do.

    ``supports`` is the verdict on the whole answer. Marks beside right ones stay.
    """
    if len(supporting(answer, supports)) < 2 and len(_MARKS.findall(answer)) <= len(supports):
        return answer  # the one passage that it cites is the one that each sentence rests on
    start, parts = 0, []
    for marks in _MARKS.finditer(answer):
        claim, cited = answer[start : marks.start()], _cited(marks[0])
        found = judge.support(passages, claim)
        holding = sorted({support.passage for support in found if support.passage is not None})
        elsewhere = holding and not cited.issuperset(holding) and judge.supported(found)
        if elsewhere and not judge.supported(judge.support([passages[n] for n in sorted(cited)], claim)):
            parts += [claim, f"[{', '.join(str(n + 1) for n in holding)}]"]
        else:
            parts += [claim, marks[0]]
        start = marks.end()
    return "".join([*parts, answer[start:]])


def renumbered(answer: str, numbers: Mapping[int, int]) -> str:
    """The answer with its citation numbers replaced; those of passages that are not there are dropped."""

    def replace(mark: re.Match[str]) -> str:
        kept = [str(numbers[int(n)]) for n in mark[2].split(",") if int(n) in numbers]
        return f"{mark[1]}[{', '.join(kept)}]" if kept else ""

    return _MARK.sub(replace, answer)


def spare(session: Session, exchange: Exchange, *, sealed: Set[str]) -> Iterator[Passage]:
    """Windows around lower hits of the exchange, best first, that touch none of the passages shown or given before.

    Of documents that are still there, shared or of a person of whom a passage was shown; no sentence of them is of a
    ``sealed`` section.
    """
    size = max(len(passage.sentences) for passage in exchange.passages)
    scopes = {SHARED, *(passage.scope for passage in exchange.passages)}
    ready = documents.ready(session, [hit.document_id for hit in exchange.hits], scopes=sorted(scopes))
    taken = {(passage.document_id, index) for passage in exchange.passages for index, _, _ in passage.sentences}
    for hit in exchange.hits:
        document = ready.get(hit.document_id)
        if document is None or hit.sentence >= document.sentences:
            continue
        first, last = passages.around(document, hit, size=min(size, 5))
        window = {(document.id, index) for index in range(first, last + 1)}
        if window & taken:
            continue
        sentences = documents.sentences_between(session, document.id, first, last)
        if sealed.isdisjoint(splits.group(document.lineage, sentence.section) for sentence in sentences):
            taken |= window
            yield passages.passage(session, document, first=first, last=last, best=hit, hits=[hit.sentence])


def shuffled(exchange: Exchange, answer: str, *, draw: random.Random) -> Shown:
    return _shown(answer, list(enumerate(exchange.passages)), draw)


def mixed(
    exchange: Exchange, answer: str, *, needed: Collection[int], others: Iterator[Passage], draw: random.Random
) -> Shown:
    """The passages that the answer needs among others, and among its own where there are not enough others."""
    size = len(exchange.passages) if exchange.left_out else max(PASSAGES, len(exchange.passages))
    chosen: list[tuple[int | None, Passage]] = [(n, p) for n, p in enumerate(exchange.passages) if n in needed]
    chosen += [(None, passage) for passage in islice(others, size - len(chosen))]
    own = [(n, p) for n, p in enumerate(exchange.passages) if n not in needed]
    chosen += own[: max(0, len(exchange.passages) - len(chosen))]
    return _shown(answer, chosen, draw)


def removed(
    exchange: Exchange, *, needed: Collection[int], others: Iterator[Passage], draw: random.Random
) -> tuple[Passage, ...]:
    """As many passages as there were, in random order, without those that the answer needs."""
    left = [passage for n, passage in enumerate(exchange.passages) if n not in needed]
    left += islice(others, len(exchange.passages) - len(left))
    return tuple(draw.sample(left, len(left)))


def _shown(answer: str, chosen: Sequence[tuple[int | None, Passage]], draw: random.Random) -> Shown:
    """In random order, the citations following; ``chosen`` gives each passage with the index that it had, if any."""
    order = draw.sample(chosen, len(chosen))
    numbers = {n + 1: place for place, (n, _) in enumerate(order, start=1) if n is not None}
    return Shown(tuple(passage for _, passage in order), renumbered(answer, numbers))


def _cited(answer: str) -> set[int]:
    """The indexes, from 0, of the passages that its marks name."""
    return {int(n) - 1 for mark in _MARK.finditer(answer) for n in mark[2].split(",")}
