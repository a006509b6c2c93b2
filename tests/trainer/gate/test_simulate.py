from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from assistant.errors import InputError
from trainer.gate import __main__ as command
from trainer.gate import record, simulate


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_stand_in_is_what_it_says() -> None:
    made = record.realistic(rng())
    faithfulness = made.values["faithfulness"]
    assert faithfulness.mean() == pytest.approx(0)
    assert made.spread == pytest.approx(0.3, abs=0.001)
    values, counts = np.unique(faithfulness, return_counts=True)
    assert counts.max() > 0.4 * len(faithfulness)  # ties
    assert (np.abs(values) <= 1.05).all()
    assert (made.values["wrong_refusals"] != 0).mean() == pytest.approx(0.03, abs=0.01)


def test_drawing_keeps_groups_together_and_means_at_zero() -> None:
    made = record.realistic(rng())
    source = np.repeat(np.arange(len(made.sizes)), made.sizes)
    groups = np.array([0, 0, 1, 1, 1, 2])
    for _ in range(20):
        drawn = source[made.draw(groups, np.random.default_rng())]
        assert drawn[0] == drawn[1]
        assert drawn[2] == drawn[3] == drawn[4]
    many = made.draw(np.arange(200_000), rng())
    assert made.values["faithfulness"][many].mean() == pytest.approx(0, abs=0.003)


def test_recorded_differences_are_recentred_and_not_swapped(tmp_path: Path) -> None:
    path = tmp_path / "differences.jsonl"
    lines = [{"group": f"g{n % 15}", "faithfulness": -1.0 if n % 10 == 0 else 0.2, "relevancy": 0.1} for n in range(60)]
    path.write_text("\n".join(map(json.dumps, lines)))
    read = record.read(path)
    assert read.values["faithfulness"].mean() == pytest.approx(0)
    assert read.values["faithfulness"].min() == pytest.approx(-1.08)  # the skew stays
    assert read.values["relevancy"].mean() == pytest.approx(0.1)
    assert np.isnan(read.values["f1"]).all()
    assert list(read.sizes) == [4] * 15


@pytest.mark.parametrize("content", ["", "{", '{"group": "a"}', '{"group": "a", "faithfulness": 0.1}'])
def test_a_record_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "differences.jsonl"
    path.write_text(content)
    with pytest.raises(InputError):
        record.read(path)


def test_a_year_spends_at_most_twelve_tickets_and_the_mean_alone_misleads() -> None:
    counts = simulate.years(record.realistic(rng()), number=40, rng=rng())
    assert counts.tickets.max() <= 12
    assert counts.tickets.mean() > 9  # 72 candidates, a part of which passes the screen by chance
    assert counts.promoted.sum() <= 8  # .05 a year: more than 8 in 40 years has a chance of one in a million
    assert counts.mean_rose.mean() == pytest.approx(26, abs=3)
    assert counts.t_test.mean() > 2.5


def test_a_large_gain_is_seen_and_none_is_not() -> None:
    made = record.realistic(rng())
    assert simulate.power(made, items=250, gain=0.10, tries=60, rng=rng()).mean() > 0.8
    assert simulate.power(made, items=250, gain=0.0, tries=60, rng=rng()).mean() < 0.06


def test_an_improved_candidate_gains_what_it_should_and_keeps_its_spread() -> None:
    made = record.realistic(rng())
    for gain in (0.02, 0.05, 0.10):
        drawn = made.values["faithfulness"][rng().integers(0, len(made.values["faithfulness"]), 200_000)]
        better = simulate._improved(drawn, gain, made.spread, rng())
        assert better.mean() == pytest.approx(gain, abs=0.003)
        assert better.std() == pytest.approx(0.3, abs=0.003)
        assert better.max() <= 1.05


def test_the_command_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "aa.json"
    assert command.main(["aa", "--years", "4", "--tries", "4", "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    assert {"false_promotions_per_year", "power", "power_table"} <= figures.keys()
    assert set(figures["power_table"]) == {"60", "120", "250", "440"}
    assert "false promotions a year" in capsys.readouterr().out
    missing = str(tmp_path / "none.jsonl")
    assert command.main(["aa", "--differences", missing, "--json", str(path)]) == 1
