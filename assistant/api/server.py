"""The HTTP server of the program: when it stops, answers that are being given finish first."""

from __future__ import annotations

import asyncio
import socket
import time

import uvicorn
from fastapi import FastAPI

from assistant.adapters import Adapters

_ANSWERS = 20  # seconds that they get
_REQUESTS = 5  # seconds that open connections of any other kind get: a page keeps one for as long as it is open


class Server(uvicorn.Server):
    """Told to stop, it takes no more connections and waits for answers; told a second time, it stops at once."""

    def __init__(self, app: FastAPI, adapters: Adapters) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=_REQUESTS))
        self._adapters = adapters

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        end = time.monotonic() + _ANSWERS
        if self._adapters.answering():
            print(f"Answers may finish, for {_ANSWERS} s at most. Ctrl-C again stops at once.", flush=True)
        while self._adapters.answering() and not self.force_exit and time.monotonic() < end:  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
