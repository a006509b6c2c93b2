"""Nothing that a keeper started outlives its parent, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from assistant.engines import keeper

# Starts a process of its own, as vLLM does, and says the numbers of both.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
# A program that is killed: it starts the keeper and waits.
PARENT = """
import subprocess, sys
command = [sys.executable, sys.argv[1], "5", sys.executable, "-c", sys.argv[2]]
with subprocess.Popen(command, stdin=subprocess.PIPE) as p:
    p.wait()
"""


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda parent, _family: parent.kill(), id="the parent is killed"),
        pytest.param(lambda _parent, family: os.kill(family[0], signal.SIGKILL), id="the command is killed"),
    ],
)
def test_no_orphan_is_left(end: Callable[[subprocess.Popen[str], list[int]], None]) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(Path(keeper.__file__)), FAMILY], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        family = list(map(int, parent.stdout.readline().split()))
        processes = [psutil.Process(pid) for pid in family]
        end(parent, family)
        psutil.wait_procs(processes, timeout=30)
        left = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        assert left == []
        parent.kill()


def test_the_exit_code_is_passed_on() -> None:
    command = [sys.executable, str(Path(keeper.__file__)), "5", sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait(timeout=60) == 7
