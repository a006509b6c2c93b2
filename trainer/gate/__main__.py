"""`python -m trainer.gate aa`: how often the gate promotes by mistake, and how often it sees a true gain."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from assistant.errors import FielError
from assistant.ledger import ALPHA
from trainer.gate import record, simulate
from trainer.gate.paired import Array
from trainer.gate.record import Record

GAINS = (0.02, 0.05, 0.10)
ITEMS = (60, 120, 250, 440)
_WANTED, _MORE = (440, 0.05), 5  # the goal is at .8, and so is the truth: more tries tell on which side


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    rng = np.random.default_rng(options.seed)
    try:
        seen = record.read(options.differences) if options.differences else record.realistic(rng)
    except (FielError, OSError) as error:
        print(f"trainer.gate: {error}", file=sys.stderr)
        return 1
    started = time.monotonic()
    print(
        f"Differences: {options.differences or 'stand-in (record.realistic)'}, {len(seen.sizes)} groups, "
        f"{int(seen.sizes.sum())} items, standard deviation {seen.spread:.3f}; level of a ticket {ALPHA:.5f}",
        flush=True,
    )
    result = _years(seen, options.years, rng)
    result |= _power(seen, options.tries, rng)
    result |= {"standard_deviation": seen.spread, "seed": options.seed, "seconds": time.monotonic() - started}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.gate", description=__doc__)
    aa = parser.add_subparsers(required=True, metavar="COMMAND").add_parser("aa", help="measure the gate itself")
    aa.add_argument("--differences", type=Path, metavar="JSONL", help="recorded ones (default: a stand-in)")
    aa.add_argument("--years", type=int, default=2_000, help="years to simulate")
    aa.add_argument("--tries", type=int, default=2_000, help="tries for each gain and number of items")
    aa.add_argument("--seed", type=int, default=0)
    aa.add_argument("--json", type=Path, metavar="PATH", help="write the figures here too")
    return parser.parse_args(arguments)


def _years(seen: Record, number: int, rng: np.random.Generator) -> dict[str, Any]:
    years = simulate.years(seen, number=number, rng=rng)
    low, high = _of_counts(int(years.promoted.sum()), number)
    rate = float(years.promoted.mean())
    print(
        f"\n{number} years without a true change, {simulate.WEEKS} weekly candidates and {simulate.PRESSES} presses of "
        f"the button each; tickets used: {years.tickets.mean():.1f} a year\n"
        f"false promotions a year: {rate:.4f} [{low:.4f}, {high:.4f}]\n"
        f'"promote if the mean rose", weekly: {years.mean_rose.mean():.1f} a year\n'
        f"an uncorrected t-test, weekly: {years.t_test.mean():.2f} a year, "
        f"at least one in {(years.t_test > 0).mean():.1%} of all years",
        flush=True,
    )
    return {
        "years": number,
        "false_promotions_per_year": rate,
        "false_promotions_per_year_interval": [low, high],
        "tickets_per_year": float(years.tickets.mean()),
        "mean_rose_per_year": float(years.mean_rose.mean()),
        "t_test_per_year": float(years.t_test.mean()),
        "t_test_at_least_one": float((years.t_test > 0).mean()),
    }


def _power(seen: Record, tries: int, rng: np.random.Generator) -> dict[str, Any]:
    print("\nP(promoted) through all conditions, by true gain and independent items [95 % interval]")
    print("items " + "".join(f"{f'+{gain:.2f}':>22}" for gain in GAINS))
    table: dict[str, Any] = {}
    for items in ITEMS:
        row = {}
        for gain in GAINS:
            wanted = (items, gain) == _WANTED
            number = tries * _MORE if wanted else tries
            promoted = simulate.power(seen, items=items, gain=gain, tries=number, rng=rng)
            low, high = _of_share(promoted)
            row[f"{gain:.2f}"] = {"power": float(promoted.mean()), "interval": [low, high]}
        print(f"{items:>5} " + "".join(f"{_shown(cell):>22}" for cell in row.values()), flush=True)
        table[str(items)] = row
    alike = simulate.power(seen, items=440, gain=0.05, tries=tries, rng=rng, alike=True)
    shifted = {"power": float(alike.mean()), "interval": list(_of_share(alike))}
    print(f"440 items, every one of them better by .05: {_shown(shifted)}", flush=True)
    goal = table["440"]["0.05"]
    return {
        "power": goal["power"],
        "power_interval": goal["interval"],
        "power_tries": tries * _MORE,
        "power_if_all_items_gain_alike": shifted,
        "tries": tries,
        "power_table": table,
    }


def _shown(cell: dict[str, Any]) -> str:
    return f"{cell['power']:.3f} [{cell['interval'][0]:.3f}, {cell['interval'][1]:.3f}]"


def _of_counts(events: int, years: int) -> tuple[float, float]:
    """The exact 95 % interval of a rate of rare events (Garwood 1936)."""
    low = stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return float(low / years), float(stats.chi2.ppf(0.975, 2 * events + 2) / 2 / years)


def _of_share(successes: Array) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    interval = stats.binomtest(int(successes.sum()), len(successes)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
