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
from trainer.similar import NearIndex, turns, words

PER_GROUP = 30
OLDEST = timedelta(days=730)
"""An item older than this is about documents and questions of another time."""
_PERSON_SHARE = 0.25
_MANY_PEOPLE = 1.5
_ANSWERING = 0.5  # share of a question's words; a passage with more of them may answer it


@dataclass(frozen=True, slots=True)
class Item:
    """A question over its frozen passages. ``id`` is that of the exchange, or of the golden question.

    ``label`` and ``reference`` are what people said about it; they decide how it is scored and never whether it is in.
    """

    id: str
    group: str
    person: str
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

    Near-duplicate questions are merged, the latest stays. No group gives more than 30, and no person more than a share:
    a quarter where there are many people, all where there is one. ``opened`` are ids of items that somebody has looked
    at: they leave the gate. ``most``: no more than this.
    """
    latest_first = sorted(items, key=lambda item: (item.asked_at, item.id), reverse=True)
    index = NearIndex()
    turning: list[frozenset[str]] = []
    groups: Counter[str] = Counter()
    kept: list[Item] = []
    for item in latest_first:
        if item.id in opened or item.asked_at < now - OLDEST or groups[item.group] == PER_GROUP:
            continue
        asked = words(item.question)
        turned = turns(asked)
        if any(turning[n] == turned for n in index.near(asked)):
            continue
        index.add(asked)
        turning.append(turned)
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
    """Without the oldest ones of people who gave more than their share."""
    counts = Counter(item.person for item in items)
    share = max(_PERSON_SHARE, _MANY_PEOPLE / len(counts)) if counts else 1.0
    if share >= 1:
        return items
    limits = capped(np.array(list(counts.values()), dtype=np.float64), share)
    left = {person: math.ceil(limit) for person, limit in zip(counts, limits, strict=True)}
    kept = []
    for item in items:
        if left[item.person] > 0:
            left[item.person] -= 1
            kept.append(item)
    return kept
