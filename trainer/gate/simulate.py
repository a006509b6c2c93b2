"""The gate, measured: simulated years without any true change, and single tries with one.

A year goes through the program's own item selection, screening, ledger, tests and conditions.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from assistant import ledger
from assistant.ledger import ALPHA, Ticket
from trainer.gate import paired, screening, verdict
from trainer.gate.comparison import MARGINS, Comparison
from trainer.gate.items import Item, select
from trainer.gate.paired import Array, Groups, Paired, gather
from trainer.gate.record import Record
from trainer.gate.verdict import Evidence, Outcome

WEEKS = 52
PRESSES = 20
"""How often an admin presses the button in a year, beside the weekly schedule."""
_START = datetime(2026, 1, 1, tzinfo=UTC)
_WORLDS = 40
_FIRST, _LAST = 80, 500  # exchanges of sealed groups at the start of a year and at its end
_DRAWS = 24_000
_ROUGH, _NEAR = 12_000, 2.0  # draws that decide where p is farther from the level than this factor
_ONE_SIDED = 1.645
_Try = tuple[int, NDArray[np.int64], NDArray[np.int64]]  # the year, the groups of its items, what was drawn for them
_WORDS = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("n", "r", "l", "s", "mo", "ta", "ri")]


@dataclass(slots=True)
class Years:
    """What came of simulated years without a true change, by year."""

    promoted: NDArray[np.int64]
    tickets: NDArray[np.int64]
    mean_rose: NDArray[np.int64]
    t_test: NDArray[np.int64]
    """Promotions if a weekly candidate went live when its mean was higher, or when an uncorrected t-test said so."""


@dataclass(slots=True)
class _Year:
    world: int
    tickets: list[Ticket] = field(default_factory=list)


def years(record: Record, *, number: int, rng: np.random.Generator, alpha: float = ALPHA) -> Years:
    """Each year has a weekly candidate and those of an admin who presses the button, on a gate that grows."""
    worlds = [_world(rng) for _ in range(min(_WORLDS, 1 + number // 10))]
    every = [_Year(n % len(worlds)) for n in range(number)]
    counts = Years(*(np.zeros(number, dtype=np.int64) for _ in range(4)))
    for dataset, at, weekly in _tries(rng):
        gates = [_gate(world, at) for world in worlds]
        asked = []
        for n, year in enumerate(every):
            groups = gates[year.world]
            drawn = record.draw(groups, rng)
            if weekly:
                gains = record.values["faithfulness"][drawn]
                counts.mean_rose[n] += gains.mean() > 0
                counts.t_test[n] += gains.mean() > _ONE_SIDED * gains.std(ddof=1) / len(gains) ** 0.5
            if _pays(year, dataset, at, record.draw(groups, rng), record):
                counts.tickets[n] += 1
                asked.append((n, groups, drawn))
        for n in _promoted(record, asked, alpha, rng):
            counts.promoted[n] += 1
    return counts


def power(
    record: Record,
    *,
    items: int,
    gain: float,
    tries: int,
    rng: np.random.Generator,
    alike: bool = False,
    alpha: float = ALPHA,
) -> Array:
    """For each try of a candidate that is better by ``gain`` on average, 1 if it is promoted; items are independent.

    Some of the items become better, by anything up to all that was missing, and the spread stays the record's; or, if
    ``alike``, every item becomes better by the same.
    """
    groups = np.arange(items)
    comparisons = []
    for _ in range(tries):
        drawn = rng.integers(0, len(record.values["faithfulness"]), items)
        differences = record.values["faithfulness"][drawn]
        better = differences + gain if alike else _improved(differences, gain, record.spread, rng)
        comparisons.append(_comparison(record, drawn, groups, better))
    tests = _tests([each.gain for each in comparisons], alpha, rng)
    outcomes = [
        verdict.conclude(_evidence(each), {each.model: test}, alpha=alpha).outcome
        for each, test in zip(comparisons, tests, strict=True)
    ]
    return np.array([outcome is Outcome.PROMOTED for outcome in outcomes], dtype=np.float64)


def _tests(gains: Sequence[Groups], alpha: float, rng: np.random.Generator) -> list[Paired]:
    """As a real gate tests: with all its draws wherever fewer do not decide."""
    tests = paired.compare(gains, alpha=alpha, rng=rng, draws=_ROUGH)
    near = [n for n, test in enumerate(tests) if alpha / _NEAR < test.p < alpha * _NEAR]
    again = paired.compare([gains[n] for n in near], alpha=alpha, rng=rng, draws=paired.DRAWS)
    for n, test in zip(near, again, strict=True):
        tests[n] = test
    return tests


def _improved(differences: Array, gain: float, spread: float, rng: np.random.Generator) -> Array:
    """With a uniform share of what was missing to 1 added to a random ``2 gain`` of the items.

    The rest is scaled so that the standard deviation is the same as before.
    """
    share = 2 * gain
    added = np.where(rng.random(len(differences)) < share, rng.random(len(differences)), 0.0)
    rest = (spread**2 - share / 3 + share**2 / 4) / (spread**2 * (1 - 2 * share / 3))
    return np.asarray(math.sqrt(max(rest, 0.0)) * differences * (1 - added) + added)


def _tries(rng: np.random.Generator) -> Iterator[tuple[str, datetime, bool]]:
    """Name of the dataset, time, and whether the schedule made it. Half of the presses come with nothing new."""
    moments = [(float(week), f"week {week}", True) for week in range(WEEKS)]
    for press, week in enumerate(rng.uniform(0, WEEKS, PRESSES)):
        moments.append((float(week), f"press {press}" if press % 2 else f"week {int(week)}", False))
    for week, name, weekly in sorted(moments):
        yield name, _START + timedelta(weeks=week), weekly


def _pays(year: _Year, dataset: str, at: datetime, validation: NDArray[np.int64], record: Record) -> bool:
    gain = float(record.values["faithfulness"][validation].mean())
    nothing: frozenset[str] = frozenset()
    if screening.worth_a_ticket(
        gain=gain,
        dataset=dataset,
        tried=[ticket.dataset_hash for ticket in year.tickets],
        rolled_back=nothing,
        exchanges=nothing,
    ):
        return False
    if not ledger.left(year.tickets, at):
        return False
    year.tickets.append(Ticket(len(year.tickets) + 1, len(year.tickets) + 1, dataset, at))
    return True


def _promoted(record: Record, asked: Sequence[_Try], alpha: float, rng: np.random.Generator) -> Iterator[int]:
    gains = [gather(record.values["faithfulness"][drawn], groups) for _, groups, drawn in asked]
    if not gains:
        return
    means, weights = np.zeros((2, len(gains), max(len(each.means) for each in gains)))
    for row, each in enumerate(gains):
        means[row, : len(each.means)], weights[row, : len(each.means)] = each.means, each.weights
    # Most are far from significant: the whole verdict is asked for those alone that may be promoted.
    rough = paired.sign_flip(means, weights, draws=_DRAWS, rng=rng, give_up=2 * alpha)
    for n, groups, drawn in (asked[int(row)] for row in np.flatnonzero(rough <= 2 * alpha)):
        evidence = _evidence(_comparison(record, drawn, groups, record.values["faithfulness"][drawn]))
        if verdict.decide(evidence, rng=rng, alpha=alpha, draws=_DRAWS).outcome is Outcome.PROMOTED:
            yield n


def _comparison(record: Record, drawn: NDArray[np.int64], groups: NDArray[np.int64], gains: Array) -> Comparison:
    kept = {}
    for name in MARGINS:
        values = record.values[name][drawn]
        there = ~np.isnan(values)
        kept[name] = gather(values[there], groups[there])
    return Comparison("base", gather(gains, groups), kept)


def _evidence(comparison: Comparison) -> Evidence:
    return Evidence(champion=comparison, base=comparison, proven=None, selected=comparison.gain.items, canaries=(True,))


def _world(rng: np.random.Generator) -> list[Item]:
    """The exchanges of sealed groups in a year: some sections and some people ask for much, one question in ten was
    asked before.
    """
    draw = random.Random(int(rng.integers(2**32)))  # noqa: S311
    items: list[Item] = []
    for n in range(_LAST):
        week = -4.0 if n < _FIRST else WEEKS * (n - _FIRST) / (_LAST - _FIRST)
        again = draw.choice(items) if items and draw.random() < 0.1 else None
        group = draw.choice(items).group if items and draw.random() < 0.6 else f"group {n}"
        items.append(
            Item(
                id=f"{n:04}",
                group=again.group if again else group,
                person=f"person {min(int(draw.paretovariate(0.7)), 12)}",
                question=again.question if again else " ".join(draw.sample(_WORDS, 5)),
                history=(),
                passages=(),
                asked_at=_START + timedelta(weeks=week),
            )
        )
    return items


def _gate(world: list[Item], at: datetime) -> NDArray[np.int64]:
    """The groups, numbered from 0, of the items that the gate selects at a time."""
    selected = select([item for item in world if item.asked_at <= at], now=at)
    return np.unique([item.group for item in selected], return_inverse=True)[1]
