"""Figures of a judge, against scikit-learn and against values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from assistant.entailment import load_judge
from assistant.errors import InputError
from trainer.evaluate import labelled
from trainer.evaluate.__main__ import main
from trainer.evaluate.intervals import interval
from trainer.evaluate.labelled import Labelled


def items(truth: list[bool]) -> list[Labelled]:
    return [Labelled("s", str(i), "c", "t " * (i + 1), one, "en") for i, one in enumerate(truth)]


def test_the_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.4
    scores = np.round(np.clip(rng.normal(truth * 0.3 + 0.4, 0.3), 0, 1), 1)  # many ties
    found = labelled.report(items(list(map(bool, truth))), scores, scores >= 0.6)
    said = scores >= 0.6
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, said))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(truth, scores))
    for name in ("balanced_accuracy", "f1", "auroc", "calibration_error", "length_correlation"):
        low, high = found["interval"][name]
        assert low <= found[name] <= high or name == "calibration_error"
        assert low < high


def test_a_calibrated_judge_has_no_calibration_error() -> None:
    probabilities = np.repeat([0.1, 0.9], 100)
    truth = np.array(([True] * 10 + [False] * 90) + ([True] * 90 + [False] * 10))
    assert labelled.calibration_error(truth, probabilities, bins=2) == pytest.approx(0)
    assert labelled.calibration_error(truth, 1 - probabilities, bins=2) == pytest.approx(0.8)


def test_that_supported_texts_are_shorter_is_no_correlation_with_length() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.5
    lengths = rng.normal(np.where(truth, 20, 60), 5)
    scores = rng.normal(truth * 2.0, 1)
    assert stats.spearmanr(lengths, scores).statistic < -0.4
    assert abs(labelled.length_correlation(truth, lengths, scores)) < 0.1
    assert labelled.length_correlation(truth, lengths, scores - lengths) < -0.9
    alone = np.ones(400, bool)
    expected = stats.spearmanr(lengths, scores).statistic
    assert labelled.length_correlation(alone, lengths, scores) == pytest.approx(expected)
    assert np.isnan(labelled.length_correlation(truth, np.full(400, 7.0), scores))


def test_one_sentence_is_measured_by_the_probability_that_the_chat_has_of_it() -> None:
    judge = load_judge("a")
    context = "The lamp burned olive oil. The tower is white."
    texts = ["The lamp burned oil.", "The tower is white. The lamp burned oil."]
    measured = [Labelled("s", "d", context, text, True, "en") for text in texts]
    one, many = (judge.support([context], text) for text in texts)
    expected = [1 - one[0].probability, 1 - judge.answer_probability(many)]
    errors = [labelled.measure([item], judge)["calibration_error"] for item in measured]
    assert errors == pytest.approx(expected)
    assert judge.answer_probability(one) != pytest.approx(one[0].probability)


def test_whole_documents_are_drawn() -> None:
    values = np.array([0.0] * 50 + [1.0] * 50)
    alone = interval([str(i) for i in range(100)], lambda i: float(values[i].mean()))
    together = interval([str(i // 50) for i in range(100)], lambda i: float(values[i].mean()))
    assert alone[1] - alone[0] == pytest.approx(0.2, abs=0.03)
    assert together == (0.0, 1.0)
    assert np.isnan(
        interval(["d"] * 100, lambda i: float(values[i].mean()))
    ).all()  # one document says nothing of others


def test_both_kinds_of_records_are_read_and_reported_by_source_and_language(tmp_path: Path) -> None:
    context = "The lamp burned olive oil. The tower is white and has 99 steps."
    texts = tmp_path / "texts.jsonl"
    texts.write_text(
        "".join(
            json.dumps({"id": i, "context": context, "text": text, "supported": s, "lang": lang}) + "\n"
            for i, (text, s, lang) in enumerate(
                [("The lamp burned olive oil.", True, "en"), ("Keepers ate only fish.", False, "en"),
                 ("The tower has 99 steps.", True, "pt"), ("Os navios traziam sal.", False, "pt")]
            )
        )
    )  # fmt: skip
    spans = tmp_path / "spans.jsonl"
    rows = [
        {"source_id": "1", "context": context, "response": "The tower is white.", "spans": [], "lang": "en"},
        {"source_id": "1", "context": context, "response": "The tower is white. Its bell rang at noon in May.",
         "spans": [{"start": 20, "end": 49, "type": "Evident Baseless Info"}], "lang": "en"},
    ]  # fmt: skip
    spans.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out.json"
    assert main(["judge", str(texts), str(spans), "--which", "a", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert {name: part["n"] for name, part in found["by_source"].items()} == {"texts": 4, "spans": 2}
    assert set(found["by_language"]) == {"en", "pt"}
    assert found["judge"].startswith("judge-a-")
    assert found["auroc"] == 1.0
    assert set(found["interval"]) >= {"balanced_accuracy", "f1", "auroc"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [("{", "not JSON"), ("[]", "not an object"), ('{"context": "c"}', "neither"),
     ('{"context": "c", "text": "t", "supported": "yes"}', "neither")],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"context": "c", "text": "t", "supported": true}\n' + line)
    with pytest.raises(InputError, match=f"(?s)Line 2.*{problem}"):
        labelled.read([path])


def test_nothing_to_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n")
    assert main(["judge", str(path)]) == 1
    assert main(["run", str(path), "--cache", str(tmp_path / "c.db")]) == 1
    assert capsys.readouterr().err == "evaluate: There is no text in x.jsonl.\nevaluate: x.jsonl holds no item.\n"


def test_what_cannot_be_computed_is_null_in_the_json(tmp_path: Path) -> None:
    path, out = tmp_path / "x.jsonl", tmp_path / "out.json"
    path.write_text('{"context": "The lamp burned oil.", "text": "The lamp burned oil.", "supported": true}')
    assert main(["judge", str(path), "--json", str(out)]) == 0

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(out.read_text(), parse_constant=refuse)
    assert (found["auroc"], found["interval"]["auroc"], found["n"]) == (None, [None, None], 1)
