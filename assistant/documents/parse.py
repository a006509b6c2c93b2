"""Files → readable text, read in a process of their own with limits on time, memory, pages and unpacked size."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import assistant
from assistant.documents.reader import Limits
from assistant.errors import DocumentError
from assistant.records import PageSpan, ParsedText

__all__ = ["Limits", "Parser"]

_log = logging.getLogger(__name__)
_ROOT = Path(assistant.__file__).parents[1]


class Parser:
    """Reads files, one at a time, in a sandboxed process that starts with the first and stays warm until ``close``.

    Safe to share between threads; for more files at a time, use several. Use as a context manager, or call ``close``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def parse(self, path: Path, *, name: str, limits: Limits | None = None) -> ParsedText:
        """The text of the file at ``path`` in clean NFC Unicode, structure as Markdown; pages for PDF and PowerPoint.

        ``name`` is what its owner calls the file: its suffix is a hint to what it is, and it never becomes a path.
        Raises DocumentError with a reason for people if it cannot be read within the limits.
        """
        request = {"path": str(path.absolute()), "name": name, "limits": asdict(limits or Limits())}
        with self._lock:
            answer = self._ask(json.dumps(request).encode() + b"\n")
        if "reason" in answer:
            if "trace" in answer:
                _log.warning("a file could not be read:\n%s", answer["trace"])  # no name: the log outlives the file
            raise DocumentError(answer["reason"])
        return ParsedText(answer["text"], tuple(PageSpan(*page) for page in answer["pages"]))

    def close(self) -> None:
        """Ends the process, and from any thread the ``parse`` that is under way; the next ``parse`` starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was never sent to it
                    pipe.close()

    def __enter__(self) -> Parser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: bytes) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = _start()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(request)
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):  # ended, or closed by another thread
            line = b""
        if not line.endswith(b"\n"):
            self.close()
            raise DocumentError("Reading the file was interrupted. Try again.")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _start() -> subprocess.Popen[bytes]:
    """A process of its own session, so that it can be killed with all its children; it gets no secret of ours."""
    environment = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
    # One thread for each library: the process forks, and reads one file at a time.
    environment |= {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "assistant.documents.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )
