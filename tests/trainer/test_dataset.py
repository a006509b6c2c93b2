"""From rated exchanges to examples: what each rating teaches, what is left out and why, and that nothing crosses."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from assistant import prompts
from assistant.entailment import Judge
from assistant.errors import InputError
from assistant.records import ExchangeStatus, Reason, Review, Side, Turn
from assistant.settings import Training
from assistant.store import accounts, documents, review
from assistant.store.database import Database
from assistant.store.tables import GoldenRow, PersonRow
from tests.trainer.talk import Talk, fact, right_answer, thing_of
from trainer import raft
from trainer.card import Card
from trainer.dataset import build

PLAIN = Training(distractors=0, removed=0)
"""Neither distractors nor refusals made up: each exchange comes as it was, shuffled."""


@pytest.fixture
def talk(database: Database) -> Talk:
    talk = Talk(database)
    talk.add_documents(4, sections=10)
    return talk


class Built:
    def __init__(self, folder: Path, card: Card) -> None:
        self.folder, self.card = folder, card

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / f"{name}.jsonl").read_text().splitlines()]

    def reason(self, exchange_id: str) -> str | None:
        found = [row["reason"] for row in self.rows("left_out") if row["exchange"] == exchange_id]
        assert len(found) < 2
        return found[0] if found else None


@pytest.fixture
def built(database: Database, judge: Judge, tmp_path: Path) -> Any:
    def make(settings: Training = PLAIN, *, seed: int = 0) -> Built:
        folder = tmp_path / f"dataset{len(list(tmp_path.iterdir()))}"
        return Built(folder, build(database, folder, judge=judge, settings=settings, seed=seed))

    return make


def test_a_thumbs_up_teaches_the_answer_with_the_prompt_of_serving(talk: Talk, built: Any) -> None:
    (place,) = talk.places(Side.TRAIN, 1)
    exchange = talk.rate(talk.ask(place))
    (row,) = built().rows("train")
    messages = prompts.render(question=exchange.question, passages=exchange.passages)
    assert [(m["role"], m["content"]) for m in row["prompt"]] == [(m.role, m.content) for m in messages]
    assert row["completion"] == right_answer(place)
    assert (row["origin"], row["language"], row["document"]) == ("thumbs-up", "en", exchange.passages[0].document)


def test_a_correction_teaches_itself_and_that_it_is_better_than_what_was_said(talk: Talk, built: Any) -> None:
    (place,) = talk.places(Side.TRAIN, 1)
    correction = right_answer(place).removesuffix(" [1]")
    exchange = talk.rate(talk.ask(place, answer="It fell into the sea. [1]"), -1, correction=correction)
    made = built()
    (row,) = made.rows("train")
    assert (row["completion"], row["origin"]) == (f"{correction} [1]", "correction"), "it gets the missing mark"
    (pair,) = made.rows("preferences")
    assert pair["prompt"] == row["prompt"]
    assert pair["chosen"] == [{"role": "assistant", "content": f"{correction} [1]"}]
    assert pair["rejected"] == [{"role": "assistant", "content": "It fell into the sea. [1]"}]
    (bad,) = made.rows("undesirable")
    assert (bad["completion"], bad["exchange"]) == ("It fell into the sea. [1]", exchange.id)


def test_a_reviewers_edit_takes_the_place_of_the_answer(talk: Talk, built: Any, database: Database) -> None:
    (place,) = talk.places(Side.TRAIN, 1)
    talk.rate(talk.ask(place, answer="In a year long ago. [1]"), review=Review.PENDING)
    with database.write() as session:
        (item,) = review.queue(session, review.Filters())
        assert item.exchange.rating is not None
        seen = (item.id, item.exchange.rating.updated_at)
        admin = accounts.local_admin(session).id
        review.decide(session, [seen], Review.ACCEPTED, by=admin, answer=right_answer(place))
    (row,) = built().rows("train")
    assert (row["completion"], row["origin"]) == (right_answer(place), "review")


def test_a_thumbs_down_teaches_what_to_avoid_unless_the_passages_are_to_blame(talk: Talk, built: Any) -> None:
    first, second, third = talk.places(Side.TRAIN, 3)
    bad = talk.rate(talk.ask(first, answer="In 1066, by giants."), -1, reasons=(Reason.WRONG,))
    blamed = talk.rate(talk.ask(second), -1, reasons=(Reason.WRONG_PASSAGE,), wrong_passages=(1,))
    toned = talk.rate(talk.ask(third), -1, reasons=(Reason.TONE,))
    made = built()
    assert [row["exchange"] for row in made.rows("undesirable")] == [bad.id]
    (kept,) = made.rows("retrieval")
    assert (kept["exchange"], [p["wrong"] for p in kept["passages"]]) == (blamed.id, [True])
    assert "retrieval" in made.reason(blamed.id)
    assert "tone" in made.reason(toned.id)
    assert made.rows("train") == []


def test_what_is_corrected_because_of_its_passages_or_tone_is_not_to_be_avoided(talk: Talk, built: Any) -> None:
    first, second = talk.places(Side.TRAIN, 2)
    for place, reason in ((first, Reason.WRONG_PASSAGE), (second, Reason.TONE)):
        correction = right_answer(place).removesuffix(" [1]")
        talk.rate(talk.ask(place, answer="In 1066, by giants."), -1, reasons=(reason,), correction=correction)
    made = built()
    assert [row["origin"] for row in made.rows("train")] == ["correction", "correction"]
    assert made.rows("undesirable") == []


def test_what_the_documents_do_not_hold_is_refused(talk: Talk, built: Any) -> None:
    places = talk.places(Side.TRAIN, 3)
    refused = talk.rate(talk.ask(places[0], question="Who painted its ceiling?", answer=prompts.REFUSALS["en"]))
    invented = talk.ask(places[1], question="Quem pintou o teto da capela?", answer="Foi pintado por Rubens em Roma.")
    talk.rate(invented, -1, reasons=(Reason.NOT_IN_DOCUMENTS,))
    mistaken = talk.rate(talk.ask(places[2]), -1, reasons=(Reason.NOT_IN_DOCUMENTS,))
    made = built()
    taught = {row["exchange"]: (row["completion"], row["origin"]) for row in made.rows("train")}
    assert taught == {
        refused.id: (prompts.REFUSALS["en"], "refusal"),
        invented.id: (prompts.REFUSALS["pt"], "unanswerable"),
    }
    assert made.reason(mistaken.id), "its passages do support the answer"


def test_a_thumbs_up_is_no_evidence_of_grounding(talk: Talk, built: Any) -> None:
    first, second = talk.places(Side.TRAIN, 2)
    praised = talk.rate(talk.ask(first, answer="Giants from Lapland carried every stone down from heaven. [1]"))
    wrong = "Seven dwarves painted everything bright purple yesterday."
    corrected = talk.rate(talk.ask(second, answer="No."), -1, correction=wrong)
    made = built()
    assert made.rows("train") == []
    for exchange in (praised, corrected):
        assert "do not support" in made.reason(exchange.id)


def test_only_what_is_accepted_and_may_be_learnt_from_is(talk: Talk, built: Any, database: Database) -> None:
    places = talk.places(Side.TRAIN, 4)
    pending = talk.rate(talk.ask(places[0]), review=Review.PENDING)
    rejected = talk.rate(talk.ask(places[1]), review=Review.REJECTED)
    private = talk.rate(talk.ask(places[2], private=True, person=3))
    talk.ask(places[3])
    made = built()
    assert made.rows("train") == []
    assert {row["exchange"] for row in made.rows("left_out")} == {pending.id, rejected.id}, "nothing tells of a secret"
    with database.write() as session:
        session.execute(update(PersonRow).where(PersonRow.id == private.person_id).values(shares_private=True))
    assert [row["exchange"] for row in built().rows("train")] == [private.id]


def test_what_showed_no_passages_teaches_nothing_and_is_named(talk: Talk, built: Any) -> None:
    place = talk.places(Side.TRAIN, 1)[0]
    found_nothing = talk.rate(talk.ask(place, answer=prompts.REFUSALS["en"], finds=False))
    pending = talk.rate(talk.ask(place, answer=prompts.REFUSALS["en"], finds=False), review=Review.PENDING)
    made = built()
    assert made.rows("train") == []
    assert made.reason(found_nothing.id) == "it showed no passages"
    assert made.reason(pending.id) == "not accepted by a reviewer"
    assert made.card.left_out == {"it showed no passages": 1, "not accepted by a reviewer": 1}


def test_a_liked_refusal_is_none_to_learn_when_a_reason_says_there_was_an_answer(talk: Talk, built: Any) -> None:
    places = talk.places(Side.TRAIN, 4)
    said: list[dict[str, Any]] = [
        {"reasons": (Reason.INCOMPLETE,)},
        {"reasons": (Reason.NOT_IN_DOCUMENTS, Reason.WRONG)},
        {"wrong_passages": (1,)},
        {"reasons": (Reason.NOT_IN_DOCUMENTS,)},
    ]
    asked = [
        talk.rate(talk.ask(place, answer=prompts.REFUSALS["en"]), **each)
        for place, each in zip(places, said, strict=True)
    ]
    made = built()
    assert [row["exchange"] for row in made.rows("train")] == [asked[3].id]
    assert all("speaks against it" in made.reason(exchange.id) for exchange in asked[:3])


def test_marks_that_point_to_the_wrong_passage_are_corrected(talk: Talk, built: Any) -> None:
    """Those that close what their passage does not say and another one does; all others stay."""
    *places, last = talk.places(Side.VALIDATION, 6)
    wanted = {}
    for n, first in enumerate(places):
        second = places[n - 1]
        said, right = (
            ("{0} [2]", "{0} [1]"),
            ("{1} [1] {0} [1]", "{1} [2] {0} [1]"),
            ("{1} [1] [3]", "{1} [2]"),
            ("{0} [1][3]", "{0} [1][3]"),
            ("{1} [2]", "{1} [2]"),
        )[n]
        facts = fact(*first), fact(*second)
        exchange = talk.rate(talk.ask(first, others=[second, last], answer=said.format(*facts)))
        wanted[exchange.id] = right.format(*facts)
    rows = built().rows("validation")
    assert {row["exchange"]: row["completion"] for row in rows} == wanted


def test_stopped_answers_teach_nothing_but_their_correction_does(talk: Talk, built: Any) -> None:
    first, second = talk.places(Side.TRAIN, 2)
    stopped = talk.rate(talk.ask(first, status=ExchangeStatus.STOPPED))
    corrected = talk.ask(second, answer="The", status=ExchangeStatus.STOPPED)
    talk.rate(corrected, -1, correction=right_answer(second))
    made = built()
    assert [row["exchange"] for row in made.rows("train")] == [corrected.id]
    assert made.rows("preferences") == made.rows("undesirable") == []
    assert "stopped" in made.reason(stopped.id)


def test_near_duplicates_are_merged_and_majorities_count(talk: Talk, built: Any) -> None:
    (place,) = talk.places(Side.TRAIN, 1)
    thing = thing_of(*place)
    asked = [talk.ask(place, person=n) for n in range(2)]
    asked.append(talk.ask(place, person=2, question=f"when was the {thing.upper()} opened ?"))
    against = talk.ask(place, person=3)
    for exchange in asked:
        talk.rate(exchange)
    talk.rate(against, -1, reasons=(Reason.WRONG,))
    other = talk.rate(talk.ask(place, person=4, question=f"Who opened the {thing}?"))
    made = built()
    assert sorted(row["exchange"] for row in made.rows("train")) == sorted([asked[2].id, other.id])
    assert [made.reason(e.id) for e in asked[:2]] == ["nearly the same as another one, which is learnt from"] * 2
    assert "otherwise" in made.reason(against.id)
    assert made.rows("undesirable") == []


def test_a_tie_is_held(talk: Talk, built: Any) -> None:
    first, second = talk.places(Side.TRAIN, 2)
    tied = [talk.rate(talk.ask(first, person=n), value) for n, value in enumerate((1, -1))]
    years = ("The walls stood in 1500.", "The walls stood in 1600.")
    tied += [talk.rate(talk.ask(second, person=n), -1, correction=year) for n, year in enumerate(years)]
    made = built()
    assert made.rows("train") == []
    assert all("contradict" in made.reason(exchange.id) for exchange in tied[:2])
    assert "contradict" in made.reason(tied[2].id)
    assert [row["exchange"] for row in made.rows("undesirable")] == [tied[3].id], "what both call wrong is"


def test_the_last_word_of_a_person_counts(talk: Talk, built: Any) -> None:
    (place,) = talk.places(Side.TRAIN, 1)
    talk.rate(talk.ask(place, person=1), -1)
    talk.rate(talk.ask(place, person=1))
    assert len(built().rows("train")) == 1


def test_several_people_have_to_agree_where_that_is_set(talk: Talk, built: Any) -> None:
    first, second = talk.places(Side.TRAIN, 2)
    alone = [talk.rate(talk.ask(first, person=1)) for _ in range(3)]
    for person in (1, 2):
        talk.rate(talk.ask(second, person=person))
    made = built(Training(raters=2, distractors=0, removed=0))
    (row,) = made.rows("train")
    assert row["completion"] == right_answer(second)
    assert "few" in made.reason(alone[0].id)


def test_no_person_and_no_document_has_too_much_of_a_say(talk: Talk, built: Any) -> None:
    for place in talk.places(Side.TRAIN, 20):
        talk.rate(talk.ask(place, person=0 if place[0] == 0 else 1))
    of_person = built(Training(per_person=3, distractors=0, removed=0))
    assert Counter(row["document"] == "town0.txt" for row in of_person.rows("train")) == {True: 3, False: 3}
    of_document = built(Training(per_document=2, distractors=0, removed=0))
    assert set(Counter(row["document"] for row in of_document.rows("train")).values()) == {2}
    assert built(Training(examples=7)).card.left_out["enough examples"] == 13


def test_distractors_come_from_the_exchanges_own_hits_and_citations_follow(talk: Talk, built: Any) -> None:
    talk.add_documents(1, sections=3, scope="person-99")
    sealed = {right_answer(place)[:40] for place in talk.places(Side.GATE, 8)}
    for place in talk.places(Side.TRAIN, 16):
        talk.rate(talk.ask(place, others=[((place[0] + 1) % 4, 0)] if place[1] % 2 else []))
    made = built(Training(distractors=1.0, removed=0))
    numbers = set()
    for row in made.rows("train"):
        shown = re.findall(r"\[(\d)\] (\S+)\n", row["prompt"][-1]["content"])
        assert len(shown) == 4
        mark = re.search(r"\[(\d+)\]$", row["completion"])
        assert mark is not None
        numbers.add(mark[1])
        passages = re.split(r"(?:^|\n\n)\[\d\] \S+\n", row["prompt"][-1]["content"])[1:]
        assert row["completion"].removesuffix(f" [{mark[1]}]") in passages[int(mark[1]) - 1]
        assert "town4.txt" not in row["prompt"][-1]["content"], "somebody else's"
        assert not any(text in row["prompt"][-1]["content"] for text in sealed)
    assert numbers == {"1", "2", "3", "4"}


def test_no_sentence_of_a_sealed_section_is_among_the_distractors(database: Database) -> None:
    """Also where the hit lies in an open section and the window around it runs into a sealed one."""
    talk = Talk(database)
    talk.add_documents(1, sections=4)
    exchange = talk.ask((0, 0))  # sections of five sentences; windows of five around the first one of each
    with database.read() as session:
        starts = [[p.start for p in raft.spare(session, exchange, sealed=sealed)] for sealed in ({""}, {"lineage0:2"})]
        sentences = {s.start: s.section for s in documents.sentences_between(session, talk.documents[0].id, 0, 99)}
    assert [[sentences[start] for start in each] for each in starts] == [[1, 2], []]


def test_without_its_passage_the_right_answer_is_to_refuse(talk: Talk, built: Any) -> None:
    for place in talk.places(Side.TRAIN, 10):
        talk.rate(talk.ask(place))
    made = built(Training(distractors=0, removed=1.0))
    rows = made.rows("train")
    removed = [row for row in rows if row["origin"] == "removed"]
    assert len(removed) >= 5, "those that the rest does not answer"
    for row in removed:
        (kept,) = (r for r in rows if r["exchange"] == row["exchange"] and r["origin"] == "thumbs-up")
        assert row["completion"] == prompts.REFUSALS["en"]
        assert row["prompt"][-1]["content"].rpartition("Question:")[2] in kept["prompt"][-1]["content"]
        assert kept["completion"].removesuffix(" [1]") not in row["prompt"][-1]["content"]
    share = built(Training(distractors=0.6, removed=0.15)).card.of["train"]["origin"].get("removed", 0)
    assert 0 <= share <= 6


@pytest.mark.parametrize(("documents", "sections", "rated"), [(3, 10, 1), (3_000, 1, 20)])
def test_nothing_crosses(database: Database, built: Any, *, documents: int, sections: int, rated: int) -> None:
    """No side holds a question, a target or an example of another one, with few documents as with many.

    Each section is asked about, one of ``rated`` answers is rated.
    """
    talk = Talk(database)
    places = [(d, s) for d in range(documents) for s in range(sections)]
    sides: dict[Side | None, list[str]] = {}
    crossing: dict[str, tuple[int, int]] = {}
    sealed: list[tuple[int, int]] = []
    with talk.at_once():
        talk.add_documents(documents, sections=sections)
        for n, place in enumerate(places):
            # Each exchange also shows the section of the one before, and every third answers from that.
            before = places[n - 1]
            answer = right_answer(before).replace("[1]", "[2]") if n % 3 == 0 else None
            asked = talk.ask(place, others=[before], answer=answer, person=n % 40)
            sealed += [place] if asked.side is Side.GATE else []
            if n % rated:
                continue
            sides.setdefault(talk.rate(asked).side, []).append(asked.id)
            if answer is not None:
                crossing[asked.id] = before
    assert len(sealed) == pytest.approx(len(places) / 5, abs=1)
    made = built(Training(distractors=1, removed=0.5), seed=1)
    for name, side in (("train", Side.TRAIN), ("validation", Side.VALIDATION)):
        rows = made.rows(name)
        assert {row["exchange"] for row in rows} <= set(sides[side])
        assert len({row["exchange"] for row in rows}) >= 0.5 * len(sides[side])
        for place in sealed:
            assert not any(fact(*place) in row["completion"] for row in rows)
    assert not {row["exchange"] for row in made.rows("undesirable") + made.rows("retrieval")} & set(sides[Side.GATE])
    for exchange_id in set(sides[Side.TRAIN]) & {e for e, place in crossing.items() if place in sealed}:
        assert "sealed" in made.reason(exchange_id)


def test_training_drops_what_nearly_repeats_the_gate(talk: Talk, built: Any, database: Database) -> None:
    (sealed,) = talk.places(Side.GATE, 1)
    (checked,) = talk.places(Side.VALIDATION, 1)
    places = talk.places(Side.TRAIN, 6)
    thing = thing_of(*sealed)
    talk.ask(sealed, question=f"In which year was the {thing} opened, and by whom exactly?")
    talk.rate(talk.ask(checked, question="How many coins does the old one charge on market days?"))
    with database.write() as session:
        admin = accounts.local_admin(session)
        row = GoldenRow(question="Which door do visitors leave by?", answer="The southern one.", added_by=admin.id)
        row.created_at = datetime.now(UTC)
        session.add(row)
    near = talk.rate(talk.ask(places[0], question=f"in which year was the {thing} opened and by whom, exactly"))
    followed = talk.ask(places[1], history=(Turn(f"In which year was the {thing} opened, by whom exactly?", "1200."),))
    talk.rate(followed)
    golden = talk.rate(talk.ask(places[2], question="Which door do the visitors leave by"))
    validated = talk.rate(talk.ask(places[3], question="How many coins does the old one charge on market day?"))
    quoting = talk.ask(
        places[4],
        question="And the other one?",
        others=[sealed],
        answer=f"{fact(*sealed)} [2]",
    )
    talk.rate(quoting)
    fine = talk.rate(talk.ask(places[5]))
    made = built()
    assert [row["exchange"] for row in made.rows("train")] == [fine.id]
    for exchange, why in ((near, "gate"), (followed, "gate"), (golden, "gate"), (validated, "validation")):
        assert why in made.reason(exchange.id)
    assert "sealed" in made.reason(quoting.id)


def test_the_same_log_and_seed_give_the_same_hash(talk: Talk, built: Any) -> None:
    for place in talk.places(Side.TRAIN, 12) + talk.places(Side.VALIDATION, 4):
        talk.rate(talk.ask(place))
    settings = Training()
    first, again, other = built(settings), built(settings), built(settings, seed=1)
    assert first.card == again.card
    assert [first.rows(name) for name in ("train", "left_out")] == [again.rows(name) for name in ("train", "left_out")]
    assert first.card.hash.startswith("sha256:")
    assert first.card.hash != other.card.hash
    talk.rate(talk.ask(talk.places(Side.TRAIN, 13)[-1]))
    assert built(settings).card.hash != first.card.hash


def test_the_card_counts_what_is_there_and_what_is_not(talk: Talk, built: Any) -> None:
    places = talk.places(Side.TRAIN, 5) + talk.places(Side.VALIDATION, 2)
    for n, place in enumerate(places):
        talk.rate(talk.ask(place, person=n % 2))
    talk.rate(talk.ask(places[0], answer="Rubens painted penguins there."), -1)
    made = built()
    card = Card.read(made.folder)
    assert card == made.card
    assert card.examples == {"train": 5, "validation": 2, "preferences": 0, "undesirable": 1, "retrieval": 0}
    assert card.of["train"]["origin"] == {"thumbs-up": 5}
    assert sum(card.of["train"]["document"].values()) == 5
    assert (card.people, card.exchanges) == (2, 5)
    assert Counter(row["reason"] for row in made.rows("left_out")) == card.left_out
    assert any("thumbs-up 5" in line for line in card.lines())


def test_a_build_that_fails_leaves_nothing(talk: Talk, database: Database, judge: Judge, tmp_path: Path) -> None:
    for place in talk.places(Side.TRAIN, 3):
        talk.rate(talk.ask(place))

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise OSError(28, "No space left on device")

    folder = tmp_path / "made" / "dataset"
    with pytest.raises(OSError, match="No space"):
        build(database, folder, judge=judge, settings=PLAIN, seed=0, progress=stop)
    assert list((tmp_path / "made").iterdir()) == []
    with pytest.raises(InputError, match="no whole dataset"):
        Card.read(folder)
