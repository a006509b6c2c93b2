"""Which exchanges the gate asks about, and their twins.

All consented exchanges of sealed groups, rated or not: nothing here sees a rating, an answer or a score, so nothing can
choose by them (greedy decoding repeats the rated answer: choosing by thumbs-down showed a gain of .116 where there was
none, choosing accepted ones a loss of .087).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from assistant.records import SHARED, Passage, Turn
from trainer.gate.paired import capped
from trainer.gate.scores import Label
from trainer.gate.verdict import COVERAGE, ITEMS
from trainer.similar import NearIndex, turns, words

PER_GROUP = 30
OLDEST = timedelta(days=730)
"""An item older than this is about documents and questions of another time."""
_PERSON_SHARE = 0.25
_MANY_PEOPLE = 1.5
_ENOUGH = math.ceil(ITEMS / COVERAGE)  # for a verdict, even if the judge fails on as many as it may
_ANSWERING = 0.5  # share of a question's words; a passage with more of them may answer it


@dataclass(frozen=True, slots=True)
class Item:
    """A question over its frozen passages. ``id`` is that of the exchange, or of the golden question.

    ``label`` and ``reference`` are what people said about it; they decide how it is scored and never whether it is in.
    """

    id: str
    group: str
    person: str | None
    """None for a golden question, which nobody asked."""
    question: str
    history: tuple[Turn, ...]
    passages: tuple[Passage, ...]
    asked_at: datetime
    label: Label | None = None
    reference: str | None = None
    exchange_id: str | None = None
    """None for a golden question."""


def select(
    items: Sequence[Item], *, now: datetime, opened: frozenset[str] = frozenset(), most: int | None = None
) -> list[Item]:
    """The items of the gate, the latest first.

    Near-duplicate questions are merged, the latest stays. No group gives more than 30, and no person more than a share
    of what people asked: a quarter where there are many people, all where there is one. The share is not held to where
    it would leave too few items for a verdict: then the cap is the smallest that leaves enough, however much one person
    asked of them. Golden questions are nobody's and stay. ``opened`` are ids of items that somebody has looked at: they
    leave the gate, and so does whatever nearly repeats one. ``most``: no more than this.
    """
    recent = [item for item in items if item.asked_at >= now - OLDEST]
    # Those that were looked at come first: a near-duplicate would ask what somebody has seen, be it older or later.
    recent.sort(key=lambda item: (item.id in opened, item.asked_at, item.id), reverse=True)
    index = NearIndex()
    turning: list[frozenset[str]] = []
    groups: Counter[str] = Counter()
    kept: list[Item] = []
    for item in recent:
        looked_at = item.id in opened
        if groups[item.group] == PER_GROUP and not looked_at:
            continue
        asked = words(item.question)
        turned = turns(asked)
        if any(turning[n] == turned for n in index.near(asked)):
            continue
        index.add(asked)
        turning.append(turned)
        if looked_at:
            continue
        groups[item.group] += 1
        kept.append(item)
    return _capped_by_person(kept)[:most]


def twin(item: Item, supporting: frozenset[int], others: Sequence[Item]) -> tuple[Passage, ...] | None:
    """The item's passages with the ``supporting`` ones (by index) replaced by passages of ``others``; the right answer
    over them is the refusal. None where nothing supports an answer, or no distractors are at hand.

    A distractor is public or its owner asked this question too, lies in no section that the item shows, and has few of
    the question's words. Which ones are taken is drawn by the item's id, so that it stays the same from run to run.
    """
    if not supporting:
        return None
    shown = {(passage.lineage, passage.section) for passage in item.passages}
    asked = set(words(item.question))
    pool = {
        passage.text: passage
        for other in others
        for passage in other.passages
        if (passage.lineage, passage.section) not in shown
        and (passage.scope == SHARED or other.person == item.person)
        and len(asked & set(words(passage.text))) < _ANSWERING * len(asked)
    }
    drawn = sorted(pool, key=lambda text: hashlib.sha256(f"{item.id}\0{text}".encode()).digest())
    if len(drawn) < len(supporting):
        return None
    places = dict(zip(sorted(supporting), drawn, strict=False))
    return tuple(pool[places[n]] if n in places else passage for n, passage in enumerate(item.passages))


def _capped_by_person(items: list[Item]) -> list[Item]:
    """Without the oldest ones of people who gave more than their share, as long as enough are left."""
    counts = Counter(item.person for item in items if item.person is not None)
    if not counts:
        return items
    sizes = np.array(list(counts.values()), dtype=np.float64)
    limit = math.ceil(capped(sizes, max(_PERSON_SHARE, _MANY_PEOPLE / len(counts))).max())
    golden = len(items) - counts.total()
    while golden + np.minimum(sizes, limit).sum() < min(_ENOUGH, len(items)):
        limit += 1
    given: Counter[str] = Counter()
    kept = []
    for item in items:
        if item.person is not None:
            given[item.person] += 1
            if given[item.person] > limit:
                continue
        kept.append(item)
    return kept
