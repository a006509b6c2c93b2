from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.records import SHARED, Passage
from tests.assistant.test_citations import passage as citable
from trainer.gate import items
from trainer.gate.items import Item, select, twin
from trainer.gate.scores import Label

NOW = datetime(2026, 11, 25, tzinfo=UTC)
_WORDS = ["lamp", "switch", "warranty", "filter", "grinder", "library", "opening", "hours", "invoice", "supplier"]


def passage(text: str, *, lineage: str = "doc", section: int = 0, scope: str = SHARED) -> Passage:
    return replace(citable(text), lineage=lineage, section=section, scope=scope)


def item(n: int, question: str = "", *, group: str = "", person: str = "ada", days_ago: float = 1.0) -> Item:
    return Item(
        id=f"{n:04}",
        group=group or f"doc:{n}",
        person=person,
        question=question or f"Where is the {_WORDS[n % 10]} of {_WORDS[n // 10 % 10]} number {n}?",
        history=(),
        passages=(passage(f"Text {n}.", section=n),),
        asked_at=NOW - timedelta(days=days_ago),
    )


def ids(selected: list[Item]) -> list[str]:
    return [each.id for each in selected]


def test_nothing_about_ratings_or_answers_can_reach_the_selection() -> None:
    """What is selected knows neither a rating nor an answer, a score or a judge: there is nothing to choose by."""
    known = {field.name for field in fields(Item)}
    said = {"label", "reference"}  # what people said: see the next test
    assert known - said == {"id", "exchange_id", "group", "person", "question", "history", "passages", "asked_at"}
    assert set(inspect.signature(select).parameters) == {"items", "now", "opened", "most"}


@given(st.data())
@settings(max_examples=30)
def test_labels_and_references_change_nothing_of_what_is_selected(data: st.DataObject) -> None:
    plain = [item(n, person=f"p{n % 4}", group=f"g{n % 7}") for n in range(40)]
    labelled = [
        replace(
            each, label=data.draw(st.sampled_from([None, *Label])), reference=data.draw(st.sampled_from([None, "x"]))
        )
        for each in plain
    ]
    assert ids(select(plain, now=NOW)) == ids(select(labelled, now=NOW))


@given(st.permutations(range(20)))
@settings(max_examples=20)
def test_the_order_in_which_they_come_does_not_matter(order: list[int]) -> None:
    pool = [item(n, days_ago=n) for n in range(20)]
    assert ids(select([pool[n] for n in order], now=NOW)) == ids(pool)


def test_near_duplicates_are_merged_and_the_latest_stays() -> None:
    old = item(1, "Where is the switch of the desk lamp?", days_ago=9)
    new = item(2, "where is the switch of the desk lamp", days_ago=2)
    other = item(3, "Why is the switch of the desk lamp?", days_ago=5)  # asks for something else
    assert ids(select([old, new, other], now=NOW)) == ["0002", "0003"]


def test_a_group_gives_no_more_than_thirty() -> None:
    pool = [item(n, group="one", days_ago=n) for n in range(50)] + [item(100 + n) for n in range(5)]
    selected = select(pool, now=NOW)
    assert sum(each.group == "one" for each in selected) == items.PER_GROUP
    assert max(each.asked_at for each in pool if each.group == "one") in {each.asked_at for each in selected}


def test_one_of_many_people_gives_no_more_than_a_quarter() -> None:
    pool = [item(n, person="eager", days_ago=n / 10) for n in range(200)]
    pool += [item(1000 + n, person=f"p{n % 9}") for n in range(90)]
    people = Counter(each.person for each in select(pool, now=NOW))
    assert people["eager"] == 30
    assert people["eager"] / people.total() <= 0.26
    assert all(people[f"p{n}"] == 10 for n in range(9))


def test_alone_one_person_gives_all() -> None:
    assert len(select([item(n) for n in range(80)], now=NOW)) == 80


def test_golden_questions_are_nobodys_and_stay() -> None:
    pool = [item(n, days_ago=n / 10) for n in range(300)] + [replace(item(300), person=None)]
    assert len(select(pool, now=NOW)) == 301
    many = [replace(item(1000 + n), person=None) for n in range(90)]
    many += [item(n, person="eager") for n in range(200)] + [item(2000 + n, person=f"p{n % 9}") for n in range(90)]
    people = Counter(each.person for each in select(many, now=NOW))
    assert (people[None], people["eager"], people.total()) == (90, 30, 210)


@pytest.mark.parametrize("gave", [(300, 1), (200, 10, 5), (60, 1, 1, 1), (40, 3)])
def test_the_cap_leaves_enough_items_for_a_verdict(gave: tuple[int, ...]) -> None:
    pool = [
        item(sum(gave[:n]) + m, person=f"p{n}", days_ago=m / 10) for n, each in enumerate(gave) for m in range(each)
    ]
    selected = select(pool, now=NOW)
    assert len(selected) == min(sum(gave), 64)  # 60, and those on which the judge may fail
    people = Counter(each.person for each in selected)
    assert tuple(people[f"p{n}"] for n in range(1, len(gave))) == gave[1:]
    latest = {each.id for each in pool if each.person == "p0"}
    assert set(ids(selected)) & latest == set(sorted(latest)[: people["p0"]])


def test_what_repeats_an_opened_item_leaves_with_it() -> None:
    old = item(1, "Where is the switch of the desk lamp?", days_ago=9)
    new = item(2, "where is the switch of the desk lamp", days_ago=2)
    other = item(3, "Why is the switch of the desk lamp?", days_ago=5)
    assert ids(select([old, new, other], now=NOW, opened=frozenset({"0002"}))) == ["0003"]
    assert ids(select([old, new, other], now=NOW, opened=frozenset({"0001"}))) == ["0003"]


def test_old_and_opened_items_leave() -> None:
    pool = [item(1), item(2), item(3, days_ago=731)]
    assert ids(select(pool, now=NOW, opened=frozenset({"0002"}))) == ["0001"]
    assert len(select(pool, now=NOW, most=1)) == 1


def test_a_twin_lacks_what_supports_the_answer_and_nothing_else() -> None:
    asked = replace(
        item(1, "When was the lighthouse built?"),
        passages=(passage("It was built in 1894.", section=1), passage("It is white.", section=2)),
    )
    others = [item(n) for n in range(10, 20)]
    found = twin(asked, frozenset({0}), others)
    assert found is not None
    assert found[1] == asked.passages[1]
    assert found[0].text in {each.passages[0].text for each in others}
    assert found == twin(asked, frozenset({0}), others[::-1])  # the same from run to run
    assert twin(asked, frozenset(), others) is None
    assert twin(asked, frozenset({0, 1}), others[:1]) is None


def test_a_distractor_is_nobody_elses_and_answers_nothing() -> None:
    asked = replace(item(1, "When was the lighthouse built?"), passages=(passage("Built in 1894.", section=1),))
    private = replace(item(2, person="bob"), passages=(passage("Of bob.", section=2, scope="person-2"),))
    own = replace(item(3), passages=(passage("Of ada.", section=3, scope="person-1"),))
    same_section = replace(item(4), passages=(passage("Near it.", section=1),))
    telling = replace(item(5), passages=(passage("The lighthouse was built then.", section=5),))
    found = twin(asked, frozenset({0}), [private, same_section, telling, own])
    assert found is not None
    assert [each.text for each in found] == ["Of ada."]
    assert twin(asked, frozenset({0}), [private, same_section, telling]) is None
