"""`python -m trainer.evaluate run`, with the bundled judge and, once, the bundled model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assistant.entailment import load_judge
from assistant.errors import InputError
from assistant.retrieval.embeddings import Embedder
from assistant.store import samples
from assistant.store.database import open_database, sqlite_url
from trainer.evaluate import items, summary
from trainer.evaluate.__main__ import main
from trainer.evaluate.bundled import BundledScorer
from trainer.evaluate.cache import Cache

PASSAGES = [
    "The lighthouse of Cabo Raso was built in 1894. Its lamp burned olive oil. The keeper, Ana Prates, lived in it.",
    "The harbour of Ericeira has two piers. Boats unload sardines there before dawn.",
]
ROWS: list[dict[str, Any]] = [
    {"id": "good", "document": "d1", "answer": "The lighthouse was built in 1894 [1].", "references": ["1894"],
     "answerable": True},
    {"id": "half", "document": "d1", "answer": "Its lamp burned olive oil [1]. Its stairs are of Italian marble."},
    {"id": "refused", "document": "d2", "answer": "I could not find this in the documents.", "answerable": False},
    {"id": "empty", "document": "d2", "answer": "  "},
    {"id": "signs", "document": "d3", "answer": "… !"},
    {"id": "long", "document": "d3", "answer": "The harbour of Ericeira has two piers. " * 1_500},
    {"id": "other", "document": "d4", "answer": "灯台は1894年に建てられた。"},
    {"id": "nothing", "document": "d5", "answer": "It was built in 1894.", "passages": ["", " "]},
    {"id": "half a character", "document": "d6", "answer": "It burned \ud800 olive oil [1].", "question": "\ud800?"},
]  # fmt: skip


def written(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path = folder / "items.jsonl"
    whole = [{"question": "When was the lighthouse built?", "passages": PASSAGES} | row for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in whole))
    return path


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """The records by id, the summary and the folder of one run."""
    folder = tmp_path_factory.mktemp("run")
    path = written(folder)
    assert main(["run", str(path), "--out", str(folder / "out"), "--cache", str(folder / "cache.db")]) == 0
    records = [json.loads(line) for line in (folder / "out" / "items.jsonl").read_text().splitlines()]
    return {r["id"]: r for r in records}, json.loads((folder / "out" / "summary.json").read_text()), folder


Evaluated = tuple[dict[str, Any], dict[str, Any], Path]


def test_each_statement_has_verdict_and_evidence(evaluated: Evaluated) -> None:
    records, _, _ = evaluated
    (statement,) = records["good"]["statements"][0]
    assert statement["statement"] == "The lighthouse was built in 1894 [1]."
    assert statement["supported"]
    assert statement["evidence"] == "The lighthouse of Cabo Raso was built in 1894."
    assert records["good"]["metrics"]["faithfulness"] == 1.0
    assert records["half"]["metrics"]["faithfulness"] == 0.5
    assert records["good"]["judge"].startswith("local/judge-b-")


def test_stand_ins_say_so_by_their_names(evaluated: Evaluated) -> None:
    records, figures, _ = evaluated
    names = {"faithfulness", "answer_relevancy_by_embedding", "context_relevance_by_embedding"}
    assert set(records["good"]["metrics"]) == names | {"context_precision_by_support"}
    assert set(figures["metrics"]) == names | {"context_precision_by_support"}
    assert records["good"]["metrics"]["context_precision_by_support"] == pytest.approx(1.0)


def test_a_refusal_is_an_outcome_and_no_score(evaluated: Evaluated) -> None:
    records, figures, _ = evaluated
    assert records["refused"]["abstention"] == "right_refusal"
    assert "faithfulness" not in records["refused"]["metrics"]
    assert records["refused"]["errors"] == {}
    assert figures["abstention"]["right_refusals"]["mean"] == 1.0
    assert figures["abstention"]["wrong_refusals"]["mean"] == 0.0


@pytest.mark.parametrize(
    ("name", "metric", "reason"),
    [("empty", "answer", "empty"), ("signs", "faithfulness", "no words"), ("nothing", "judge", "no passage")],
)
def test_what_cannot_be_scored_says_why(evaluated: Evaluated, name: str, metric: str, reason: str) -> None:
    records, figures, _ = evaluated
    assert reason in records[name]["errors"][metric]
    assert name in figures["failed"]


def test_long_answers_and_other_alphabets_are_scored(evaluated: Evaluated) -> None:
    records, _, _ = evaluated
    assert len(records["long"]["statements"][0]) >= 1_400
    assert records["other"]["errors"] == {}


def test_failures_lower_the_coverage_until_there_is_no_score(evaluated: Evaluated) -> None:
    _, figures, _ = evaluated
    faithfulness = figures["metrics"]["faithfulness"]
    assert faithfulness["coverage"] == pytest.approx(5 / 8)
    assert faithfulness["mean"] is None
    assert figures["metrics"]["context_precision_by_support"]["coverage"] == 1.0  # one item alone has a reference


def test_again_gives_the_same_numbers_to_the_last_digit(evaluated: Evaluated, tmp_path: Path) -> None:
    records, figures, folder = evaluated
    path = str(folder / "items.jsonl")
    for cache in (folder / "cache.db", tmp_path / "fresh.db"):  # what was kept, and everything computed again
        assert main(["run", path, "--out", str(tmp_path / "out"), "--cache", str(cache)]) == 0
        again = [json.loads(line) for line in (tmp_path / "out" / "items.jsonl").read_text().splitlines()]
        assert {r["id"]: r for r in again} == records
        assert json.loads((tmp_path / "out" / "summary.json").read_text()) == figures


def test_a_plot_is_drawn(evaluated: Evaluated) -> None:
    assert (evaluated[2] / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    rows = [{"id": str(n), "answer": f"Its lamp burned olive oil {n} times. " * 40} for n in range(60)]
    path, cache = written(tmp_path, rows), tmp_path / "cache.db"
    command = [sys.executable, "-m", "trainer.evaluate", "run", str(path), "--cache", str(cache)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    said = b""
    while b"scores: 5 of" not in said:
        said += (more := process.stderr.read(1))
        assert more, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    kept = Cache(cache)
    before = kept.count()
    kept.close()
    assert 5 <= before < 60
    assert main(["run", str(path), "--cache", str(cache), "--out", str(tmp_path / "out")]) == 0
    kept = Cache(cache)
    assert kept.count() == 60
    kept.close()
    figures = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert figures["metrics"]["faithfulness"]["n"] == 60


def test_the_bundled_model_answers_where_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIEL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FIEL_ENGINE", "local")
    monkeypatch.setenv("FIEL_GENERATION__MAX_TOKENS", "16")
    path = written(tmp_path, [{"id": "1", "references": ["1894"]}, {"id": "2", "question": "What did the lamp burn?"}])
    assert main(["run", str(path)]) == 1
    assert "--adapter" in capsys.readouterr().err
    assert main(["run", str(path), "--adapter", "base", "--out", str(tmp_path / "out")]) == 0
    records = [json.loads(line) for line in (tmp_path / "out" / "items.jsonl").read_text().splitlines()]
    assert all(record["answer"] for record in records)
    assert {record["adapter"] for record in records} == {"base"}
    assert main(["run", str(path), "--adapter", "v9-none"]) == 1
    assert "v9-none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"passages": ["p"]}, "question"),
        ({"question": "q"}, "context"),
        ({"question": 3, "passages": ["p"]}, "text"),
        ({"question": "q", "passages": [{"no": "text"}]}, "text"),
        ({"question": "q", "passages": "p"}, "lists"),
        ({"question": "q", "passages": ["p"], "references": "r"}, "lists"),
        ({"question": "q", "passages": ["p"], "answerable": "maybe"}, "answerable"),
        ({"id": "1", "question": "q", "passages": ["p"]}, "twice"),
    ],
)
def test_items_that_cannot_be_read_are_named(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "1", "question": "q", "passages": ["p"]}\n' + json.dumps(row))
    with pytest.raises(InputError, match=f"Line 2 .*{problem}"):
        items.read(path)


def test_open_data_are_items_too(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    row = {"id": "1", "title": "T", "context": "c", "question": "q", "answers": [], "lang": "pt"}
    path.write_text(json.dumps(row))
    (item,) = items.read(path)
    assert (item.document, item.answerable, item.passages, item.lang) == ("T", False, ("c",), "pt")


def test_peoples_checks_of_the_judge_stand_beside_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIEL_STATE", str(tmp_path / "state"))
    path = written(tmp_path, ROWS[:1])
    assert main(["run", str(path), "--cache", str(tmp_path / "c.db")]) == 0
    assert "Nobody has checked" in capsys.readouterr().out
    (tmp_path / "state").mkdir(exist_ok=True)
    database = open_database(sqlite_url(tmp_path / "state" / "fiel.db"))
    with database.write() as session:
        name = load_judge("b").name
        samples.add(session, exchange_id=None, question="?", passages=[], sentence="s", judge=name, supported=True,
                    probability=None)  # fmt: skip
        session.flush()
        sample = samples.following(session)
        assert sample is not None
        samples.label(session, sample.id, supported=True, by=1)
    database.close()
    assert main(["run", str(path), "--cache", str(tmp_path / "c.db")]) == 0
    assert "sensitivity 1/1 [0.21, 1.00]" in capsys.readouterr().out


def test_a_judge_that_is_neither_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(written(tmp_path)), "--judge", "gpt", "--cache", str(tmp_path / "c.db")]) == 1
    assert "URL#MODEL" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--repeats", "--concurrency", "--timeout"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "nan"])
def test_numbers_that_make_no_sense_are_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "items.jsonl", option, value])
    assert option in capsys.readouterr().err


def test_wrong_and_missed_refusals_are_counted_apart() -> None:
    outcomes = ["right_answer"] * 3 + ["wrong_refusal"] + ["right_refusal"] * 2 + ["missed_refusal"] * 2
    records = [
        {
            "id": str(i),
            "document": str(i),
            "abstention": o,
            "metrics": {},
            "measures": {},
            "errors": {},
            "referenced": False,
        }
        for i, o in enumerate(outcomes)
    ]
    found = summary.summarise(records, BundledScorer.metrics)["abstention"]
    assert found["wrong_refusals"]["mean"] == 0.25
    assert found["right_refusals"]["mean"] == 0.5
    assert found["right"]["mean"] == pytest.approx(5 / 8)


def test_scorers_are_told_apart_by_judge_and_encoder(embedder: Embedder) -> None:
    names = {BundledScorer(load_judge(which), embedder).name for which in ("a", "b")}
    assert len(names) == 2
