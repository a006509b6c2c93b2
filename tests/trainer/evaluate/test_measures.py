"""Measures without a judge, against values worked out by hand."""

from __future__ import annotations

import pytest

from trainer.evaluate import measures

PASSAGES = ["The lamp burned olive oil.", "It was built in 1894 by Ana Prates.", "The tower is white."]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Lamp!", "lamp"),
        ("An apple, a day", "apple day"),
        ("O farol", "o farol"),
        ("  ", ""),
        ("Theatre", "theatre"),
    ],
)
def test_texts_are_compared_as_squad_does(text: str, normal: str) -> None:
    assert measures.normalise(text) == normal


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("Olive oil [1].", ["olive oil"], 1.0, 1.0),
        ("It burned olive oil.", ["olive oil"], 0.0, 2 * 2 / 6),
        ("whale oil", ["olive oil", "oil of whales"], 0.0, 0.5),
        ("nothing shared", ["olive oil"], 0.0, 0.0),
        ("", ["olive oil"], 0.0, 0.0),
        ("oil", [], 0.0, 0.0),
    ],
)
def test_answers_against_references(answer: str, references: list[str], exact: float, f1: float) -> None:
    assert measures.exact_match(answer, references) == exact
    assert measures.f1(answer, references) == pytest.approx(f1)


def test_words_in_the_cited_passages() -> None:
    assert measures.in_cited("The lamp burned whale oil [1].", PASSAGES) == 4 / 5
    assert measures.in_cited("The lamp burned oil.", PASSAGES) == 0.0
    assert measures.in_cited("[1]", PASSAGES) is None
    assert measures.in_cited("The lamp [9].", PASSAGES) == 0.0


@pytest.mark.parametrize(
    ("answer", "precision", "recall"),
    [
        ("The lamp burned olive oil [1]. It was built in 1894 [2].", 1.0, 1.0),
        ("The lamp burned olive oil [3]. It was built in 1894 [2].", 0.5, 0.5),
        ("The lamp burned olive oil [1, 3]. It was built in 1894.", 0.5, 0.5),
        ("The lamp burned olive oil [7].", 0.0, 0.0),
        ("The lamp burned olive oil.", None, 0.0),
        ("Zyx wvu [1].", 0.0, None),
        ("", None, None),
    ],
)
def test_citations_point_to_the_passage_that_holds_the_words(
    answer: str, precision: float | None, recall: float | None
) -> None:
    assert measures.citations(answer, PASSAGES) == (precision, recall)


@pytest.mark.parametrize(
    ("answer", "answerable", "outcome"),
    [
        ("I could not find this in the documents.", True, "wrong_refusal"),
        ("Não encontrei isso nos documentos.", False, "right_refusal"),
        ("Olive oil [1].", True, "right_answer"),
        ("Olive oil [1].", False, "missed_refusal"),
        ("I could not find this in the documents. [1]", None, "refusal"),
        ("Olive oil.", None, "answer"),
        (" ", True, "empty"),
    ],
)
def test_refusals_are_an_outcome_of_their_own(answer: str, answerable: bool | None, outcome: str) -> None:
    assert measures.abstention(answer, answerable) == outcome
