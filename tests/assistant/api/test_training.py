"""Training by HTTP and its page: what is asked for is a row; nothing is trained in the program itself."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from assistant.records import RunStatus, Side
from assistant.store import gate, runs
from assistant.store.database import Database
from tests.trainer.talk import Talk


def test_the_button_makes_one_cycle_however_often_it_is_pressed(http: httpx.Client, database: Database) -> None:
    first = http.post("/api/training/runs", json={})
    assert first.status_code == 202
    again = [http.post("/api/training/runs", json={}) for _ in range(20)]
    assert {reply.status_code for reply in again} == {503}
    assert f"Run {first.json()['id']} waits" in again[0].json()["error"]["message"]
    number = first.json()["id"]
    shown = http.get(f"/api/training/runs/{number}").json()
    assert (shown["status"], shown["parameters"]["by"], shown["stages"]) == ("waiting", "button", {})
    assert http.post(f"/api/training/runs/{number}/cancel").status_code == 204
    with database.read() as session:
        assert [run.status for run in runs.latest(session)] == [RunStatus.CANCELLED]
    assert http.post("/api/training/runs", json={"preview": True}).json()["parameters"]["preview"] is True


def test_the_overview_tells_of_schedule_gate_and_tickets(http: httpx.Client, database: Database) -> None:
    talk = Talk(database)
    talk.add_documents(1, sections=10)
    for place in talk.places(Side.GATE, 2):
        talk.ask(place)
    with database.write() as session:
        gate.take_ticket(session, 7, dataset_hash="sha256:1")
        gate.take_ticket(session, 7, dataset_hash="sha256:1")
    seen = http.get("/api/training").json()
    assert (seen["gate"]["sealed"], seen["gate"]["exchanges"], seen["gate"]["gate_groups"]) == (2, 2, 2)
    assert (seen["tickets"]["left"], seen["tickets"]["of"]) == (11, 12)
    assert seen["schedule"]["cron"] == "0 3 * * *"


def test_the_schedule_can_be_set_and_wrong_ones_say_what_is_wrong(http: httpx.Client) -> None:
    wanted = {"cron": "30 2 * * 1-5", "after": "", "quiet_from": "08:00", "quiet_until": "18:30", "paused": False}
    assert http.put("/api/training/schedule", json=wanted).json()["quiet_until"] == "18:30:00"
    assert http.get("/api/training").json()["schedule"]["cron"] == "30 2 * * 1-5"
    for wrong, told in (({"cron": "every night"}, "five fields"), ({"quiet_from": "08:00"}, "both"), ({"x": 1}, "x")):
        refused = http.put("/api/training/schedule", json=wrong)
        assert (refused.status_code, told in refused.json()["error"]["message"]) == (422, True)


def test_an_item_that_is_opened_leaves_the_gate(http: httpx.Client, database: Database) -> None:
    talk = Talk(database)
    talk.add_documents(1, sections=20)
    sealed = talk.ask(talk.places(Side.GATE, 1)[0])
    other = talk.ask(talk.places(Side.TRAIN, 1)[0])
    assert http.post(f"/api/training/gate/{other.id}/open").status_code == 404
    opened = http.post(f"/api/training/gate/{sealed.id}/open").json()
    assert (opened["question"], len(opened["passages"])) == (sealed.question, 1)
    with database.read() as session:
        assert gate.opened(session) == {sealed.id}
    assert http.get("/api/training").json()["gate"]["opened"] == 1


def test_reports_and_logs_come_from_the_runs_folder(http: httpx.Client, state: Path) -> None:
    number = http.post("/api/training/runs", json={}).json()["id"]
    assert http.get(f"/api/training/runs/{number}/report").status_code == 404
    folder = state / "runs" / str(number)
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<h1>Run</h1>")
    report = http.get(f"/api/training/runs/{number}/report")
    assert (report.status_code, report.text) == (200, "<h1>Run</h1>")
    assert "default-src 'none'" in report.headers["content-security-policy"]


@pytest.mark.parametrize("run_id", ["0", "99999", "..", "1/../../fiel.db"])
def test_no_run_no_file(http: httpx.Client, run_id: str) -> None:
    assert http.get(f"/api/training/runs/{run_id}/report").status_code in {404, 422}


def test_a_backup_is_for_the_command_line_alone(http: httpx.Client, tmp_path: Path) -> None:
    refused = http.post("/api/backup", json={"path": str(tmp_path)}, headers={"Authorization": ""})
    assert refused.status_code == 403
