"""Passages that are JSON, told in words."""

from __future__ import annotations

import json

import pytest

from assistant.entailment import load_judge
from assistant.fields import told

PLACE = {
    "name": "Casa Rui",
    "hours": {"Monday": "9:0-17:0", "Sunday": None},
    "attributes": {"OutdoorSeating": True, "has_garage": {"covered": False, "guarded": True}},
    "dishes": ["soup", "cod"],
    "reviews": [{"stars": 4, "text": "We liked the soup. " * 10}],
}


def test_every_field_is_told_with_its_path() -> None:
    assert told(json.dumps(PLACE)) == [
        "name: Casa Rui.",
        "hours: Monday 9:0-17:0, Sunday unknown.",
        "attributes Outdoor Seating: yes.",
        "attributes has garage: covered no, guarded yes.",
        "dishes: soup, cod.",
        "reviews stars: 4.",
        "We liked the soup. " * 10,
    ]


@pytest.mark.parametrize(
    "passage",
    ["Plain text.", "{not JSON}", "[1] A footnote.", '"text"', "", '{"a": ' * 100_000, "[" * 100_000],
)
def test_all_else_stays_as_it_is(passage: str) -> None:
    assert told(passage) is None


@pytest.mark.parametrize(("passage", "said"), [("{}", []), ("[]", []), ('[{"a": 1}, 2]', ["a: 1.", "2."])])
def test_little_is_told_of_little(passage: str, said: list[str]) -> None:
    assert told(passage) == said


def test_the_judge_reads_fields() -> None:
    judge = load_judge("a")
    (found,) = judge.support([json.dumps(PLACE)], "The garage is guarded.")
    assert (found.passage, found.evidence) == (0, "attributes has garage: covered no, guarded yes.")
