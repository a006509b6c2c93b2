"""Runs a command and ends it, with all that it started, when whoever started this process is gone.

``keeper.py SECONDS COMMAND …``, run by its path. The end of the standard input says so, and comes however the parent
ends, kill -9 included: the command is asked to end, given SECONDS, and killed. If the command ends by itself, what it
started is killed and its exit code passed on. vLLM leaves its engine running when its server is killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys


def main() -> int:
    grace, command = float(sys.argv[1]), sys.argv[2:]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent's word counts alone; not before, or the command
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # would be born deaf to them
    ended = os.pidfd_open(child.pid)
    ready, _, _ = select.select([sys.stdin, ended], [], [])
    if ended not in ready:
        child.terminate()
        select.select([ended], [], [], grace)
    with contextlib.suppress(ProcessLookupError):  # all of it may have ended
        os.killpg(child.pid, signal.SIGKILL)  # before the child is waited for: its number is not free yet
    return child.wait()


if __name__ == "__main__":
    sys.exit(main())
