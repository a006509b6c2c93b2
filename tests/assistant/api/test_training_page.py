"""The page of training: every state that a run can be in is shown, and what people wrote is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from assistant import api, cycles
from assistant.records import RunStatus, Side
from assistant.services import Services
from assistant.store import gate, runs, stages
from assistant.store.database import Database
from assistant.web.app import mount
from tests.assistant.api.conftest import TOKEN
from tests.trainer.talk import Talk

GAIN = {"mean": 0.081, "lower": 0.044, "p_sign_flip": 0.001, "p_bootstrap": 0.002, "p_t": 0.001, "p": 0.002}
VERDICT: dict[str, Any] = {
    "outcome": "promoted",
    "decided_by": "test",
    "champion": None,
    "gains": {"base": GAIN},
    "items": 80,
    "groups": 14,
    "alpha": 0.0041667,
    "tickets_left": 9,
}


@pytest.fixture
def app(services: Services) -> FastAPI:
    app = api.create(services, local_token=TOKEN)
    mount(app)
    return app


def run_of(database: Database, *, status: RunStatus, **values: Any) -> int:
    with database.write() as session:
        run = cycles.request(session, by="button", person_id=None)
        if status is not RunStatus.WAITING:
            claimed = runs.claim(session, run.id)
            runs.report(
                session,
                run.id,
                token=claimed.token,
                stage="train",
                progress={"phase": "<b>", "step": 1, "steps": 4, "curve": [3.0, 2.0, 1.0]},
            )
            if status is not RunStatus.RUNNING:
                runs.finish(session, run.id, token=claimed.token, status=status, **values)
    return run.id


def page(http: httpx.Client, path: str, language: str = "en") -> str:
    return http.get(path, headers={"Accept-Language": language}).raise_for_status().text


def test_an_empty_program_shows_what_there_is(http: httpx.Client) -> None:
    for path in ("/training", "/training/standing"):
        text = page(http, path)
        assert "Tries left within a year: 12." in text
        assert "0 of 0 questions" in text
        assert "No adapter yet" in text


def test_a_run_at_work_shows_its_progress_escaped(http: httpx.Client, database: Database) -> None:
    run_of(database, status=RunStatus.RUNNING)
    for path in ("/training", "/training/live"):
        text = page(http, path)
        assert "at work" in text
        assert '<li aria-current="step">train</li>' in text
        assert "<p>&lt;b&gt;</p>" in text
        assert '<progress max="4" value="1">' in text
        assert 'points="0.0,2.0 150.0,30.0 300.0,58.0"' in text


@pytest.mark.parametrize(
    ("changes", "language", "said"),
    [
        ({}, "en", "at least 0.044 (95 % bound), 0.081 on average; p = 0.0020, at most 0.0042"),
        ({}, "pt", "Promovido: o candidato responde com mais fidelidade"),
        ({"outcome": "rejected", "decided_by": "twin_refusals"}, "en", "Rejected: it may answer more often where"),
        (
            {"outcome": "not_enough_evidence", "decided_by": "items", "gains": {}, "more_exchanges": 1200},
            "en",
            "About 1,200 more questions in chats, rated or not",
        ),
        ({"outcome": "not_tried", "decided_by": "unchanged", "gains": {}}, "pt", "nada novo para aprender"),
        ({"outcome": "judge_not_trusted", "decided_by": "judge"}, "en", "The judge is not trusted here"),
    ],
)
def test_a_verdict_is_told_in_plain_words(
    *, http: httpx.Client, database: Database, changes: dict[str, Any], language: str, said: str
) -> None:
    number = run_of(database, status=RunStatus.DONE, verdict=VERDICT | changes)
    assert said in page(http, f"/training/runs/{number}", language)


def test_a_failed_run_says_why(http: httpx.Client, database: Database) -> None:
    number = run_of(database, status=RunStatus.FAILED, problem="training.four_bit needs a GPU.")
    assert "training.four_bit needs a GPU." in page(http, f"/training/runs/{number}")
    assert "training.four_bit needs a GPU." in page(http, "/training")
    assert "training.four_bit precisa de uma GPU." in page(http, f"/training/runs/{number}", "pt")
    assert "training.four_bit precisa de uma GPU." in page(http, "/training", "pt")
    assert http.get("/training/runs/99").status_code == 404


def test_the_answers_that_changed_most_are_shown_until_they_are_deleted(http: httpx.Client, database: Database) -> None:
    talk = Talk(database)
    talk.add_documents(1, sections=10)
    asked = talk.ask(talk.places(Side.VALIDATION, 1)[0], question="Is <i>this</i> one?")
    number = run_of(database, status=RunStatus.DONE, verdict=VERDICT)
    with database.write() as session:
        texts = {"candidate": "Yes & no.", "champion": "It may be."}
        gate.keep_score(session, gate.validation_key(number, asked.id), texts, exchange_id=asked.id)
        answers = [{"exchange": asked.id, "candidate": 0.9, "champion": 0.2}]
        stages.finish(session, number, "screen", {"answers": answers, "why": None})
    text = page(http, f"/training/runs/{number}")
    assert "Is &lt;i&gt;this&lt;/i&gt; one?" in text
    assert "Yes &amp; no." in text
    assert "0.90" in text
    with database.write() as session:
        session.delete(session.get_one(gate.ExchangeRow, asked.id))
    assert "Yes &amp; no." not in page(http, f"/training/runs/{number}")


def test_the_schedule_stands_in_its_form(http: httpx.Client, database: Database) -> None:
    with database.write() as session:
        cycles.set_schedule(session, cycles.Schedule(cron=None, after=7, paused=True), person_id=1)
        cycles.fired(session, datetime.now(UTC))
    text = page(http, "/training")
    assert 'name="after" type="number" min="1" value="7"' in text
    assert '<option value="true" selected>' in text
