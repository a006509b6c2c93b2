"""vLLM servers as the engine sees them: one that runs as a child process of ours, or one that runs elsewhere.

A thread watches each: it says when the server can be asked, and starts a child again that has died.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

import httpx

from assistant.engines import keeper, plain
from assistant.errors import ModelError

_log = logging.getLogger(__name__)

SLOTS = 5
"""Adapters that can answer at the same time: the live one, the one before, one being loaded, one being measured, and
the one of zeros."""

LOADING = 120
"""Seconds that reading an adapter may take."""

_UNCHANGED = "-unchanged"  # ends the name of the base model when it is asked through an adapter of zeros
_GRACE = 20  # seconds that answers get to finish when the server is stopped
_LONGEST_START = 1800  # seconds; a first start may download the model
_LONGEST_DOUBT = 30  # seconds a server that stopped answering gets before it is started again
_LEFT_ALONE = 30  # seconds until a server that could not serve what the others do is tried again
_STEADY = 300  # seconds after which a server that dies is started again at once
_LONGEST_PAUSE = 60  # seconds between two tries
_TAIL = 15  # lines of the log shown when it fails


class Server:
    """A vLLM server at ``address``. While ``notice`` is None it can be asked.

    ``served`` is the name by which its base model is asked, ``root`` where it read it from, ``context`` its longest
    request in tokens; all of them are known once it has come up. ``zeros`` is an adapter of zeros through which the
    base is asked: vLLM's CPU kernels take "no adapter", index -1, for the last slot, and answer with whatever adapter
    lies there; the GPU's leave such rows out. ``adapters`` are the versions that it was given since it last came up,
    ``running`` the requests that it is answering: both are the engine's to keep.
    """

    def __init__(self, address: str, notice: str, zeros: Path | None) -> None:
        self.address = address
        self.notice: str | None = notice
        self.starts = 0
        self.served = self.root = ""
        self.context = 0
        self.adapters: set[str] = set()
        self.running = 0
        self.zeros = zeros
        self._up: Future[None] = _pending()
        self._turning = threading.Lock()
        self._doubted = threading.Event()
        self._left_alone = 0.0
        self._ill = ""  # why it cannot be asked, as far as it says so itself
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="vllm", daemon=True)

    def start(self) -> None:
        self._watcher.start()

    async def ready(self) -> None:
        """Waits until it can be asked. Raises ModelError when it never will be."""
        await asyncio.wrap_future(self._up)

    def doubt(self) -> None:
        """To be told of a request that failed: the server counts as away until it has been looked at."""
        self._down("The language model does not answer and is being looked at. Questions wait for it.")
        self._doubted.set()

    def leave_out(self, notice: str) -> None:
        """To be told when it cannot serve what the others do: it counts as away, and is looked at again after a while.
        Only for one of several."""
        self._left_alone = _LEFT_ALONE
        self._down(notice)
        self._doubted.set()

    def close(self) -> None:
        """Stops watching, and stops a child, whose answers get a moment to finish. Blocks."""
        self._closing.set()
        self._doubted.set()
        if self._watcher.ident is not None:
            self._watcher.join()

    def _watch(self) -> None:
        raise NotImplementedError

    def _came_up(self) -> None:
        with self._turning:
            self.adapters.clear()
            self.starts += 1
            self.notice = None
            if not self._up.done():
                self._up.set_result(None)

    def _down(self, notice: str) -> None:
        with self._turning:
            self.notice = notice
            if self._up.done():
                self._up = _pending()

    def _failed(self, error: ModelError) -> None:
        _log.error("%s", error)
        self.notice = str(error)
        self._up.set_exception(error)

    def _healthy(self) -> bool:
        """Whether it can be asked; if so, what it serves is noted."""
        self._ill = ""
        try:
            with httpx.Client(base_url=self.address, timeout=10, trust_env=False) as http:
                http.get("/health").raise_for_status()
                models = http.get("/v1/models").raise_for_status().json()["data"]
                base = next(model for model in models if model["parent"] is None)
                self.root, self.context = base["root"], base["max_model_len"]
                self.served = self._name_to_ask(http, base["id"], {model["id"] for model in models})
        except httpx.HTTPStatusError as error:
            self._ill = f"{error.request.url.path}: {error.response.status_code} {error.response.reason_phrase}"
            return False
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, StopIteration):  # or no vLLM
            return False
        return True

    def _name_to_ask(self, http: httpx.Client, base: str, known: set[str]) -> str:
        if self.zeros is None:
            return base
        name = f"{base}{_UNCHANGED}"
        if name not in known:
            adapter = {"lora_name": name, "lora_path": str(self.zeros.resolve())}
            answer = http.post("/v1/load_lora_adapter", json=adapter, timeout=LOADING)
            if answer.is_error:  # as of a server without adapters, which then has none to mix in
                _log.warning("vLLM at %s takes no adapter of zeros: %s", self.address, answer.text[:500])
                return base
        return name


class RemoteServer(Server):
    """A server that runs elsewhere. It is waited for, for as long as it is away."""

    def __init__(self, address: str, *, zeros: Path | None = None) -> None:
        super().__init__(address.rstrip("/"), f"The language model at {address} is being waited for.", zeros)

    def _watch(self) -> None:
        while True:
            self._doubted.clear()  # before looking at anything: what is told meanwhile, a close too, must not get lost
            if self._closing.is_set():
                return
            if self._healthy():
                self._came_up()
                self._doubted.wait()
                self._closing.wait(self._left_alone)
                self._left_alone = 0.0
            else:
                if self._ill:
                    self._down(f"What is at {self.address} does not answer as vLLM does ({self._ill}). Questions wait.")
                else:
                    self._down(f"The language model at {self.address} does not answer. Questions wait for it.")
                self._closing.wait(1)


class ChildServer(Server):
    """A server that lives as long as this process, however that ends, and is started again whenever it dies.

    One that ends before it could be asked for the first time is not tried again: it fails for good, with the last
    lines of its ``log``.
    """

    def __init__(
        self,
        *,
        python: Path,
        source: str,
        served: str,
        log: Path,
        options: Sequence[str],
        environment: dict[str, str],
        zeros: Path | None = None,
    ) -> None:
        super().__init__("", _starting(0), zeros)
        self._log = log
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("FIEL_")} | environment
        # The vllm command of the CPU build does not work; its server's module does.
        self._command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", source]
        self._command += ["--served-model-name", served, "--host", "127.0.0.1", "--api-server-count", "1"]
        self._command += ["--enable-lora", "--max-loras", str(SLOTS), "--max-cpu-loras", str(2 * SLOTS)]
        self._command += ["--max-lora-rank", str(plain.MAX_RANK), "--shutdown-timeout", str(_GRACE)]
        self._command += ["--disable-uvicorn-access-log", *options]

    def _watch(self) -> None:
        try:
            self._keep()
        except OSError as error:  # or those who wait would never hear of it
            self._failed(ModelError(f"vLLM cannot be started: {error}"))

    def _keep(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        pause = 0.5
        with self._log.open("wb") as log:
            while not self._closing.is_set():
                began = time.monotonic()
                with self._started(log) as process:
                    try:
                        if self._came_up_in_time(process, began):
                            self._stay(process)
                    finally:
                        _closed(process)
                if self._closing.is_set():
                    return
                if self.starts == 0:
                    self._failed(
                        ModelError(f"vLLM ended while it was starting. The end of {self._log}:\n{self._tail()}")
                    )
                    return
                pause = 0.5 if time.monotonic() - began > _STEADY else min(2 * pause, _LONGEST_PAUSE)
                _log.error("vLLM ended; it is started again in %.1f s. The end of its log:\n%s", pause, self._tail())
                self._down("The language model stopped and is being started again. Questions wait for it.")
                self._closing.wait(pause)

    def _started(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        # A little more than vLLM's own limit, so that it is killed only when it does not keep to that.
        kept = [sys.executable, "-I", str(keeper.__file__), str(_GRACE + 5)]
        return subprocess.Popen(
            [*kept, *self._command, "--port", str(port)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=self._environment,
            start_new_session=True,  # Ctrl-C in a terminal is the program's, which then stops the server in its turn
        )

    def _came_up_in_time(self, process: subprocess.Popen[bytes], began: float) -> bool:
        while process.poll() is None and not self._closing.wait(0.5):
            seconds = time.monotonic() - began
            self._down(_starting(seconds))
            if self._healthy():
                self._doubted.clear()
                self._came_up()
                _log.info("vLLM can be asked after %.0f s", seconds)
                return True
            if seconds > _LONGEST_START:
                break
        return False

    def _stay(self, process: subprocess.Popen[bytes]) -> None:
        """Returns when the server has died, or does not answer any more, or is to be stopped."""
        doubted_since: float | None = None
        while process.poll() is None and not self._closing.is_set():
            if self._doubted.wait(0.1) and not self._closing.wait(0.1):
                doubted_since = doubted_since or time.monotonic()
                if self._healthy():
                    self._doubted.clear()
                    doubted_since = None
                    self._came_up()
                elif time.monotonic() - doubted_since > _LONGEST_DOUBT:
                    return

    def _tail(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-_TAIL:])


def gpu_memory() -> tuple[int, int] | None:
    """Free and total MiB of the fullest NVIDIA GPU; None where there is none. Asks no library: that would take some."""
    command = ["nvidia-smi", "--query-gpu=memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        gpus = [tuple(map(int, line.split(","))) for line in listed.strip().splitlines()]
        return min((free, total) for free, total in gpus)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _closed(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()  # which tells the keeper to end it
    process.wait()


def _starting(seconds: float) -> str:
    return f"The language model is starting: {seconds:.0f} s so far, about a minute in all. Questions wait for it."


def _pending() -> Future[None]:
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()  # or the first who gives up waiting would cancel it for all
    return future
