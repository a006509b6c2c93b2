"""The judge of the gate is the one that the settings name."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from assistant import cycles
from assistant.entailment import load_judge
from assistant.errors import SettingsError
from assistant.settings import Remote, Settings, load
from assistant.store.database import Database
from tests.trainer.evaluate.conftest import LanguageModel
from tests.trainer.evaluate.test_endpoint import ITEM
from trainer import judging, schedule


def test_the_bundled_one_is_b_and_not_the_one_that_filters(state: Path) -> None:
    settings = Settings(state=state)
    assert judging.gate_scorer(settings).judge_name == load_judge("b").name != load_judge("a").name
    assert judging.supported_from(settings) == load_judge("b").answer_threshold


def test_a_language_model_judges_in_rounds(state: Path, language_model: LanguageModel) -> None:
    settings = Settings(state=state, gate_judge=f"{language_model.url}#m", remote=Remote(key="k"))  # type: ignore[arg-type]
    scorer = judging.gate_scorer(settings)
    assert (scorer.judge_name, scorer.repeats) == (f"{language_model.url}#m", 3)

    async def scored() -> float:
        try:
            return (await scorer.score(ITEM, ITEM.answer)).values["faithfulness"]
        finally:
            await scorer.close()

    assert asyncio.run(scored()) == 0.5
    assert judging.supported_from(settings) == 0.5


def test_an_address_without_a_model_is_none(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIEL_GATE_JUDGE", "https://example.org/v1")
    with pytest.raises(SettingsError, match="gate_judge"):
        load(state=state)


def test_its_key_reaches_the_cycle_and_no_file(
    state: Path, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(state=state, remote=Remote(key="sk-secret"))  # type: ignore[arg-type]
    with database.write() as session:
        run = cycles.request(session, by="button", person_id=None)
    child = tmp_path / "child"
    child.write_text("#!/bin/sh\necho heard $FIEL_REMOTE__KEY\n")
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    schedule.process(settings)(run).wait()
    folder = schedule.run_folder(state, run.id)
    assert (folder / "log.txt").read_text() == "heard sk-secret\n"
    written = (folder / "settings.json").read_text()
    assert "sk-secret" not in written
    monkeypatch.setenv("FIEL_REMOTE__KEY", "sk-secret")
    assert Settings(**json.loads(written)).remote.key.get_secret_value() == "sk-secret"
