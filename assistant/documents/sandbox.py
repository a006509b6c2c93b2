"""The process in which files are read: it forks one child for each file, with limits, and relays what the child says.

Started by ``parse.Parser``; it answers each line of JSON on its standard input with one on its standard output. It
never touches a file itself, so a bad file can only end its own child. When its standard input closes, because its
parent has ended in whatever way, it ends itself and the child with it.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from assistant.documents import reader
from assistant.documents.reader import Limits
from assistant.errors import DocumentError

_FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "os.kill", "os.remove")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main() -> None:
    requests = sys.stdin.buffer
    while line := requests.readline():
        request = json.loads(line)
        reader.preload(request["name"])
        sys.stdout.buffer.write(_answer(request) + b"\n")
        sys.stdout.buffer.flush()


def _answer(request: dict[str, Any]) -> bytes:
    limits = Limits(**request["limits"])
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        _read_in_child(request, limits, writable)
    os.close(writable)
    answer = _collect(readable, child, deadline=time.monotonic() + limits.seconds)
    os.close(readable)
    _, status = os.waitpid(child, 0)
    if answer is None:
        reason = f"Reading the file took more than the {limits.seconds:g} seconds allowed. Split it, or save it again."
    elif status != 0:
        reason = "Reading the file failed: it is damaged, or needs more memory than allowed. Save it again or split it."
    else:
        return answer
    return json.dumps({"reason": reason}).encode()


def _collect(readable: int, child: int, *, deadline: float) -> bytes | None:
    """All that the child writes; None if it had to be killed because the deadline passed."""
    chunks: list[bytes] = []
    while True:
        ready, _, _ = select.select([readable, sys.stdin], [], [], max(0.0, deadline - time.monotonic()))
        if sys.stdin in ready:  # nothing is sent while a request is open, so the parent is gone
            os.kill(child, signal.SIGKILL)
            os._exit(1)
        if not ready:
            os.kill(child, signal.SIGKILL)
            return None
        chunk = os.read(readable, 1 << 20)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def _read_in_child(request: dict[str, Any], limits: Limits, writable: int) -> NoReturn:
    status = 1
    try:
        with os.fdopen(writable, "wb") as stream:  # opened before writing to files is forbidden
            stream.write(json.dumps(_read(request, limits)).encode())
        status = 0
    finally:
        os._exit(status)  # whatever happened, the child must not go on as if it were its parent


def _read(request: dict[str, Any], limits: Limits) -> dict[str, Any]:
    try:
        confine(limits)
        parsed = reader.read(Path(request["path"]), name=request["name"], limits=limits)
        return {"text": parsed.text, "pages": [(page.number, page.start, page.end) for page in parsed.pages]}
    except DocumentError as error:
        return {"reason": str(error)}
    except (MemoryError, RecursionError):
        return {"reason": f"Reading the file needs more than the {limits.memory / 1e6:,.0f} MB allowed. Split it."}
    except Exception as error:  # noqa: BLE001  parsers of foreign formats raise anything on a damaged file
        return {
            "reason": "The file is damaged or not what it seems. Open it in its own program, save it again, add that.",
            # Without its message, which may quote the file.
            "trace": "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__,
        }


def confine(limits: Limits) -> None:
    """Bounds memory and processor time, and forbids Python code the network, other processes and writing files."""
    pages_held = int(Path("/proc/self/statm").read_text().split()[0])
    allowed = pages_held * resource.getpagesize() + limits.memory
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    seconds = int(limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    sys.addaudithook(_forbid)


def _forbid(event: str, args: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN) or (event == "open" and isinstance(args[2], int) and args[2] & _WRITING):
        raise PermissionError(f"not allowed while a document is read: {event}")


if __name__ == "__main__":
    main()
