"""The command line from outside: real processes, the bundled model, real documents."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from assistant.settings import ROOT

LAUNCH = (sys.executable, str(ROOT / "launch.py"))
TEXT = "# Lamps\n\nThe reading lamp takes a bulb of eleven watts. It was made in Porto in 1987.\n"


def fiel(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAUNCH, "--state", str(state), *arguments], capture_output=True, text=True, cwd=state.parent, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "lamp.md").write_text(TEXT)
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    return documents


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [*LAUNCH, "--state", str(tmp_path / "state"), "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    with process:
        try:
            ready = next(line for line in process.stdout if line.startswith("Fiel is ready: "))
            yield process, ready.removeprefix("Fiel is ready: ").strip()
        finally:
            process.kill()


def test_without_a_server_every_command_works_alone(tmp_path: Path, folder: Path) -> None:
    state = tmp_path / "state"
    first = fiel(state, "ingest", str(folder))
    assert first.stdout.strip() == f"{folder}: 2 new"
    assert "broken.pdf" in first.stderr
    assert first.returncode == 1  # one could not be read
    again = fiel(state, "ingest", str(folder))
    assert again.stdout.strip() == f"{folder}: 2 unchanged"

    asked = fiel(state, "ask", "How many watts does the bulb of the reading lamp take?", "--json")
    assert asked.returncode == 0, asked.stderr
    reply = json.loads(asked.stdout)
    assert set(reply) == {"answer", "citations", "exchange_id"}

    (triple,) = map(json.loads, fiel(state, "triples").stdout.splitlines())
    assert triple["id"] == reply["exchange_id"]
    assert triple["answer"] == reply["answer"]
    assert "eleven watts" in triple["context"][0]["text"]

    listed = fiel(state, "documents").stdout
    assert "ready" in listed
    assert "lamp.md" in listed
    assert json.loads(fiel(state, "status").stdout)["exchanges"] == 1
    forgetting = fiel(state, "retrain", "--forget")
    assert (forgetting.returncode, forgetting.stderr) == (
        1,
        "fiel: No adapter learnt from anything that was deleted.\n",
    )


def test_beside_a_server_the_commands_go_through_it(
    tmp_path: Path, folder: Path, server: tuple[subprocess.Popen[str], str]
) -> None:
    process, address = server
    state = tmp_path / "state"
    assert fiel(state, "ingest", str(folder / "lamp.md")).stdout.strip() == f"{folder / 'lamp.md'}: 1 new"
    asked = httpx.post(
        f"{address}/v1/chat/completions",
        json={"model": "fiel", "messages": [{"role": "user", "content": "Where was the reading lamp made?"}]},
        timeout=120,
    ).raise_for_status()
    exchange = httpx.get(f"{address}/api/exchanges/{asked.json()['exchange_id']}").raise_for_status().json()
    assert "made in Porto" in exchange["context"][0]["text"]  # found at once

    second = fiel(state, "serve", "--port", "0")
    assert second.returncode == 1
    assert "Another Fiel is using" in second.stderr

    assert "Fiel" in httpx.get(address).raise_for_status().text
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert fiel(state, "documents").stdout.count("ready") == 1


def test_wrong_settings_and_wrong_paths_are_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "fiel.toml").write_text('log_level = "LOUD"')
    wrong = fiel(tmp_path / "state", "serve", "--port", "99999")
    (tmp_path / "fiel.toml").unlink()
    assert wrong.returncode == 1
    assert "log_level" in wrong.stderr
    assert "port" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    missing = fiel(tmp_path / "state", "ingest", str(tmp_path / "nowhere"))
    assert missing.returncode == 1
    assert "There is no file or folder" in missing.stderr


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = fiel(tmp_path / "state", "--help").stdout
    for command in ("serve", "ingest", "ask", "documents", "status", "triples"):
        assert command in shown
    assert not (tmp_path / "state").exists()


def test_without_its_model_the_program_runs_and_says_what_is_missing(tmp_path: Path, folder: Path) -> None:
    state = tmp_path / "state"
    (state.parent / "fiel.toml").write_text('model = "no/such-model"')
    assert "lamp.md: 1 new" in fiel(state, "ingest", str(folder / "lamp.md")).stdout
    asked = fiel(state, "ask", "Where was the reading lamp made?")
    assert asked.returncode == 1
    assert "The language model no/such-model cannot be loaded" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_people_are_added_from_the_command_line(tmp_path: Path) -> None:
    state = tmp_path / "state"
    added = fiel(state, "users", "add", "--admin", "ada")
    assert added.returncode == 0
    assert "http://127.0.0.1:7860/invitations/" in added.stdout
    assert fiel(state, "users", "add", "Ada").returncode == 1
    assert fiel(state, "users", "list").stdout.split() == ["2", "admin", "invited", "ada"]
    assert "/invitations/" in fiel(state, "users", "reset", "ada").stdout


def test_beyond_loopback_the_first_start_prints_a_link_and_lets_nobody_else_in(tmp_path: Path) -> None:
    def start() -> list[str]:
        """What is printed until it is ready; then asks for a password, if there is a link, and for the page."""
        command = [*LAUNCH, "--state", str(tmp_path / "state"), "serve", "--host", "0.0.0.0", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
            assert process.stdout is not None
            try:
                lines = []
                for line in process.stdout:
                    lines.append(line.strip())
                    if line.startswith("Fiel is ready: "):
                        break
                address = lines[-1].removeprefix("Fiel is ready: ")
                assert httpx.get(f"{address}/api/account").status_code == 401
                links = [line for line in lines if "/invitations/" in line]
                for link in links:
                    assert link.startswith(f"{address}/invitations/")
                    path = link.replace("/invitations/", "/api/invitations/")
                    httpx.post(path, json={"password": "correct horse battery"}).raise_for_status()
                    assert httpx.post(path, json={"password": "correct horse battery"}).status_code == 404
                    session = {"name": "admin", "password": "correct horse battery"}
                    httpx.post(f"{address}/api/session", json=session).raise_for_status()
                return links
            finally:
                process.kill()

    assert len(start()) == 1
    assert start() == []  # there is an account now


def test_the_program_works_on_what_the_button_asks_for(
    tmp_path: Path, server: tuple[subprocess.Popen[str], str]
) -> None:
    _, address = server
    with httpx.Client(base_url=address, timeout=30) as http:
        asked = http.post("/api/training/runs", json={}).raise_for_status().json()
        run = asked
        while run["status"] in {"waiting", "running"}:
            threading.Event().wait(0.2)
            run = http.get(f"/api/training/runs/{asked['id']}").raise_for_status().json()
        assert (run["status"], run["verdict"]["decided_by"]) == ("done", "nothing_to_learn"), run["problem"]
        assert "no accepted rating teaches anything yet" in http.get(f"/training/runs/{asked['id']}").text
        assert "Not tried" in http.get(f"/api/training/runs/{asked['id']}/report").text


def test_whoever_stops_reading_the_output_causes_no_complaint(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as output:
        command = [*LAUNCH, "--state", str(tmp_path / "state"), "doctor"]
        process = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    assert (process.returncode, process.stderr) == (1, "")


def test_a_backup_beside_a_server_comes_back_elsewhere(
    tmp_path: Path, folder: Path, server: tuple[subprocess.Popen[str], str]
) -> None:
    state = tmp_path / "state"
    assert fiel(state, "ingest", str(folder)).returncode == 1  # one file is broken
    made = fiel(state, "backup", str(tmp_path / "backups"))
    assert made.returncode == 0, made.stderr
    (backup,) = (tmp_path / "backups").iterdir()
    in_use = fiel(state, "restore", str(backup))
    assert (in_use.returncode, "Another Fiel is using" in in_use.stderr) == (1, True)
    elsewhere = tmp_path / "elsewhere"
    assert fiel(elsewhere, "restore", str(backup)).stdout == "Restored.\n"
    assert "lamp.md" in fiel(elsewhere, "documents").stdout
    examined = fiel(elsewhere, "doctor")
    assert examined.returncode == 1  # the broken file
    assert "NOT WELL  documents" in examined.stdout
    assert "ok        store" in examined.stdout
    refused = fiel(elsewhere, "restore", str(folder))
    assert (refused.returncode, "is no whole backup" in refused.stderr) == (1, True)
