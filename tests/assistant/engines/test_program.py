"""The whole program over a real vLLM of its own (``make test-vllm``): started, asked, killed, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from assistant import prompts
from assistant.engines.base import model_name
from assistant.engines.template import STARTER
from assistant.registry import Registry
from assistant.settings import ROOT
from assistant.store.database import open_database, sqlite_url
from tests.assistant.engines.markers import MARKERS, is_of

pytestmark = pytest.mark.vllm

TEXT = "The lighthouse of Cabo Raso was built in 1894. Its lamp burned olive oil. A keeper lived in it.\n"
CHATS = 6
LATE = 2
"""After them: few, for the adapter's answers have no end, and five of that kind would take it back."""
ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "FIEL_ENGINE": "vllm",
    "FIEL_VLLM__MEMORY_SHARE": "0.05",
    "FIEL_GENERATION__MAX_TOKENS": "400",
}


@dataclass
class Said:
    """What a client of the program read."""

    status: int
    text: str = ""
    problem: str | None = None
    finished: bool = False


class Program:
    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        self.http = httpx.Client(base_url=address, timeout=None, trust_env=False)

    def get(self, path: str) -> dict[str, Any]:
        body: dict[str, Any] = self.http.get(path).raise_for_status().json()
        return body

    def until_the_document_is_there(self) -> str:
        """Adds one; what the program says of its language model meanwhile."""
        self.http.post("/api/documents", files={"files": ("lighthouse.txt", TEXT.encode())}).raise_for_status()
        while not (status := self.get("/api/status"))["documents"]["ready"]:
            pass
        return str(status["notice"])

    def ask(self, heard: threading.Semaphore | None = None, *, after: int = 0) -> Said:
        """A question, streamed to its end; ``heard`` is told once the answer is longer than ``after`` characters."""
        body = {"model": "fiel", "stream": True, "messages": [{"role": "user", "content": "When was the lamp built?"}]}
        with self.http.stream("POST", "/v1/chat/completions", json=body) as response:
            said = Said(response.status_code)
            for line in response.iter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    said.problem = event["error"]["message"]
                    continue
                choice = event["choices"][0]
                before, said.text = len(said.text), said.text + choice["delta"].get("content", "")
                if heard and before <= after < len(said.text):
                    heard.release()
                said.finished = said.finished or choice["finish_reason"] is not None
        return said

    def vllm(self) -> list[psutil.Process]:
        """Its processes: the keeper, the one that listens, the engine and what it started."""
        return [p for p in psutil.Process(self.process.pid).children(recursive=True) if "vllm" in str(p.cmdline())]


@contextmanager
def program(state: Path) -> Iterator[Program]:
    command = [sys.executable, str(ROOT / "launch.py"), "--state", str(state), "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=state, env=os.environ | ENVIRONMENT
    ) as process:
        try:
            assert process.stdout is not None
            ready = next(line for line in process.stdout if line.startswith("Fiel is ready: "))
            running = Program(process, ready.removeprefix("Fiel is ready: ").strip())
            with running.http:
                yield running
        finally:
            process.kill()


def left_over(processes: list[psutil.Process]) -> list[psutil.Process]:
    psutil.wait_procs(processes, timeout=60)
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def until_vllm_runs(running: Program) -> list[psutil.Process]:
    """Waits for the engine's process, which vLLM starts long before it can be asked."""
    while len(processes := running.vllm()) < 3:
        assert running.process.poll() is None
        psutil.wait_procs(processes, timeout=0.2)
    return processes


@pytest.fixture
def version(state: Path, marked: dict[str, Path]) -> str:
    """An adapter in the registry of the state folder."""
    database = open_database(sqlite_url(state / "fiel.db"))
    registry = Registry(database, state / "adapters")
    added = registry.add(marked[MARKERS[0]], base=model_name(str(STARTER)), prompt_version=prompts.VERSION).version
    database.close()
    return added


def test_from_its_start_over_a_crash_of_vllm_to_its_end(state: Path, version: str) -> None:
    with program(state) as running, ThreadPoolExecutor(2 * CHATS) as chats:
        # While it starts, questions wait in line, and are answered.
        assert "Questions wait for it" in running.until_the_document_is_there()
        early = [chats.submit(running.ask) for _ in range(3)]
        assert all(one.result().finished for one in early)
        assert running.get("/api/status")["notice"] is None
        promoted = running.http.post(f"/api/adapters/{version}/promote", json={"reason": "a test"})
        assert promoted.json()["live"] == version
        longest = running.ask().text  # it has learnt no end
        assert is_of(longest, MARKERS[0])

        # Killed under load: what had begun is told apart, what had not waits, the adapter is there again.
        heard = threading.Semaphore(0)
        asked = [chats.submit(running.ask, heard) for _ in range(CHATS)]
        for _ in range(CHATS):
            heard.acquire()
        processes = running.vllm()
        server = next(p for p in processes if "keeper.py" not in str(p.cmdline()))
        os.kill(server.pid, signal.SIGKILL)
        late = [chats.submit(running.ask) for _ in range(LATE)]
        cut_off = [said for said in (one.result() for one in asked) if said.problem]
        assert cut_off
        assert all("stopped in the middle" in str(said.problem) for said in cut_off)
        assert all(is_of(one.result().text, MARKERS[0]) for one in late)
        assert not left_over(processes)
        _is_logged(running, version, failed=[said.text for said in cut_off], asked=3 + 1 + CHATS + LATE)
        assert running.get("/api/adapters")["live"] == version, "the crash is not held against it"

        # Told to stop, it lets the answer finish; not all of it may have to come then, for the time is limited.
        heard = threading.Semaphore(0)
        last = chats.submit(running.ask, heard, after=len(longest) * 9 // 10)
        heard.acquire()
        processes = running.vllm()
        running.process.send_signal(signal.SIGINT)
        assert last.result().finished
        assert running.process.wait(timeout=120) == 0
        assert not left_over(processes)


def _is_logged(running: Program, version: str, *, failed: list[str], asked: int) -> None:
    """No exchange is lost, and the unfinished ones can be told from the others."""
    figures = running.http.get("/metrics").text
    assert f'fiel_answers_total{{adapter="{version}",status="failed"}} {len(failed)}.0' in figures.splitlines()
    assert "vllm:generation_tokens_total" in figures, "vLLM's own stand beside them"
    lines = running.http.get("/api/triples").raise_for_status().text.splitlines()
    exchanges = [json.loads(line) for line in lines]
    count = Counter(exchange["status"] for exchange in exchanges)
    assert count == {"complete": asked - len(failed), "failed": len(failed)}
    logged = sorted(exchange["answer"] for exchange in exchanges if exchange["status"] == "failed")
    assert logged == sorted(text.strip() for text in failed)
    assert Counter(exchange["adapter"] for exchange in exchanges) == {None: 3, version: asked - 3}


def test_no_process_of_vllm_outlives_a_kill_of_the_program(state: Path) -> None:
    with program(state) as running:
        processes = until_vllm_runs(running)
        os.kill(running.process.pid, signal.SIGKILL)
        assert not left_over(processes)
