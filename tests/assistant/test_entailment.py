"""The bundled judges as whoever uses them sees them; how good they are is measured by `make bench-judge`."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from assistant.entailment import FOLDER, Judge, load_judge, soft_minimum
from assistant.errors import ModelError
from assistant.retrieval.embeddings import Reader

PASSAGES = [
    "The lighthouse of Cabo Raso was built in 1894. Its lamp burned olive oil. The keeper, Ana Prates, lived in it.",
    "O farol foi automatizado em 1978. Desde então ninguém mora nele. A lâmpada alcança 20 milhas náuticas.",
]


@pytest.fixture(scope="module", params=["a", "b"])
def judge(request: pytest.FixtureRequest) -> Judge:
    return load_judge(request.param)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("The lighthouse was built in 1894 [1].", "The lighthouse was built in 1912 [1]."),
        ("Its lamp burned olive oil.", "The tower is painted in red and white stripes."),
        ("The keeper was Ana Prates.", "The keeper was Rui Tavares."),
        ("O farol foi automatizado em 1978 [2].", "O farol foi automatizado em 1931 [2]."),
        ("A lâmpada alcança 20 milhas náuticas.", "A torre tem escadas de mármore italiano."),
    ],
)
def test_what_is_said_is_likelier_than_what_is_not(judge: Judge, right: str, wrong: str) -> None:
    (supported,) = judge.support(PASSAGES, right)
    (unsupported,) = judge.support(PASSAGES, wrong)
    assert supported.probability > unsupported.probability


def test_each_sentence_comes_with_its_place_and_its_evidence(judge: Judge) -> None:
    answer = "It was built in 1894 [1]. Em 1978 foi automatizado [2]."
    found = judge.support(PASSAGES, answer)
    assert [answer[one.start : one.end] for one in found] == [one.sentence for one in found]
    assert [(one.passage, one.evidence) for one in found] == [
        (0, "The lighthouse of Cabo Raso was built in 1894."),
        (1, "O farol foi automatizado em 1978."),
    ]


def test_the_same_input_gives_the_same_numbers_in_any_thread(judge: Judge) -> None:
    answer = "It was built in 1894. Nobody lives there. The lamp burned oil."
    first = judge.support(PASSAGES, answer)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == first for found in pool.map(lambda _: judge.support(PASSAGES, answer), range(12)))


@pytest.mark.parametrize("answer", ["", "  \n", "[1]", "…", "-- !!"])
def test_an_answer_without_words_has_no_verdicts(judge: Judge, answer: str) -> None:
    assert judge.support(PASSAGES, answer) == []


@pytest.mark.parametrize("passages", [[], [""], ["   ", "\n"]])
def test_nothing_follows_from_nothing(judge: Judge, passages: list[str]) -> None:
    (found,) = judge.support(passages, "The lamp burned olive oil.")
    assert (found.probability, found.passage, found.evidence) == (0.0, None, "")


@pytest.mark.parametrize(
    "text",
    [
        "日本語の文章です。灯台は1894年に建てられた。",
        "Маяк построен в 1894 году.",
        "بُنيت المنارة عام 1894.",
        "🏠🏠 x 1894",
    ],
)
def test_other_alphabets_are_judged(judge: Judge, text: str) -> None:
    same = judge.support([text], text)
    other = judge.support(["The lamp burned olive oil."], text)
    assert same
    assert min(one.probability for one in same) > max(one.probability for one in other)


def test_an_answer_of_ten_thousand_words_and_a_huge_passage(judge: Judge) -> None:
    filler = [f"Ship {n} passed with {n * 7 % 913} barrels of salt." for n in range(800)]
    passage = " ".join([*filler, PASSAGES[0]])
    repeated = f"The lighthouse burned {'very expensive olive oil and ' * 12} was built in 1894."
    answer = " ".join([PASSAGES[0], *[repeated] * 180])
    assert len(answer.split()) > 10_000
    found = judge.support([passage], answer)
    assert found[0].evidence == "The lighthouse of Cabo Raso was built in 1894."
    assert len(found) == 183


def test_a_sentence_far_beyond_the_longest_is_judged(judge: Judge) -> None:
    assert judge.support(PASSAGES, "word " * 3_000)


def test_an_answer_is_as_good_as_its_worst_sentence_whatever_its_length(judge: Judge) -> None:
    good = "The lighthouse of Cabo Raso was built in 1894."
    one = judge.answer_probability(judge.support(PASSAGES, good))
    many = judge.answer_probability(judge.support(PASSAGES, " ".join([good] * 12)))
    spoilt = judge.answer_probability(judge.support(PASSAGES, f"{good} The tower is painted in red and white stripes."))
    assert many == pytest.approx(one, abs=0.01)
    assert spoilt < one
    assert judge.answer_probability([]) == 1.0


def test_a_soft_minimum_is_free_of_the_number_of_values() -> None:
    values = np.array([3.0, -1.0, 2.0])
    assert soft_minimum(np.tile(values, 9), 0.8) == pytest.approx(soft_minimum(values, 0.8))
    assert values.min() < soft_minimum(values, 0.8) < values.mean()


def test_the_two_judges_are_different_and_named_by_their_weights() -> None:
    a, b = load_judge("a"), load_judge("b")
    assert a.name.startswith("judge-a-")
    assert b.name.startswith("judge-b-")
    assert a.name.split("@")[1] != b.name.split("@")[1]


@pytest.mark.parametrize("fault", ["gone", "cut off", "another encoder", "no JSON"])
def test_a_broken_judge_is_told_in_words(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "judge"
    shutil.copytree(FOLDER / "a", folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if fault == "gone":
        weights.unlink()
    elif fault == "cut off":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif fault == "another encoder":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"encoder": "another"}))
    else:
        config.write_text("{")
    with pytest.raises(ModelError, match="judge in"):
        Judge(folder, Reader((0, 2, 4, 6)))
