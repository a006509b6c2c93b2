"""People who chat, for benchmarks: with the program over HTTP, or with the vLLM behind it and nothing between."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil

from assistant.settings import ROOT


@dataclass
class Answer:
    """When it was asked, begun and ended, in seconds of ``time.perf_counter``; by which ``version``."""

    asked: float
    first: float | None = None
    ended: float = 0.0
    text: str = ""
    tokens: int = 0
    version: str | None = None
    finished: bool = False
    exchange: str | None = None

    @property
    def first_token(self) -> float:
        """Milliseconds."""
        assert self.first is not None
        return (self.first - self.asked) * 1000

    @property
    def speed(self) -> float:
        """Tokens a second once it speaks."""
        assert self.first is not None
        return (self.tokens - 1) / (self.ended - self.first)


Ask = Callable[[int], Awaitable[Answer]]
"""Asks the question of that number and reads the answer to its end."""


class Program:
    """``launch.py serve`` in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.http = httpx.AsyncClient(
            base_url=address, timeout=None, trust_env=False, limits=httpx.Limits(max_connections=None)
        )

    def vllm(self) -> psutil.Process:
        """The process of vLLM that listens."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(p for p in children if "--port" in (line := p.cmdline()) and "keeper.py" not in " ".join(line))

    async def get(self, path: str) -> dict[str, Any]:
        body: dict[str, Any] = (await self.http.get(path)).raise_for_status().json()
        return body

    async def post(self, path: str, **body: str) -> None:
        (await self.http.post(path, json=body or None)).raise_for_status()

    async def exchanges(self) -> list[dict[str, Any]]:
        """Everything in the log."""
        return [json.loads(line) for line in (await self.http.get("/api/triples")).raise_for_status().text.splitlines()]

    def asking(self, questions: Sequence[str]) -> Ask:
        async def ask(number: int) -> Answer:
            message = {"role": "user", "content": questions[number % len(questions)]}
            body = {"model": "fiel", "stream": True, "stream_options": {"include_usage": True}, "messages": [message]}
            return await _answered(self.http, "/v1/chat/completions", body)

        return ask


def asking_vllm(http: httpx.AsyncClient, prompts: Sequence[Sequence[int]], *, model: str, tokens: int) -> Ask:
    async def ask(number: int) -> Answer:
        body = {"model": model, "prompt": prompts[number % len(prompts)], "max_tokens": tokens, "temperature": 0.0}
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        return await _answered(http, "/v1/completions", body)

    return ask


async def _answered(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Answer:
    answer = Answer(asked=time.perf_counter())
    async with http.stream("POST", path, json=body) as response:
        if response.is_success:
            async for event in _events(response):
                _note(answer, event)
    answer.ended = time.perf_counter()
    return answer


async def _events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def _note(answer: Answer, event: dict[str, Any]) -> None:
    for choice in event.get("choices", ()):
        text = choice["text"] if "text" in choice else choice["delta"].get("content", "")
        if text and answer.first is None:
            answer.first = time.perf_counter()
        answer.text += text
        answer.version = event["model"]
        answer.finished = answer.finished or choice["finish_reason"] is not None
    answer.exchange = event.get("exchange_id", answer.exchange)
    if event.get("usage"):
        answer.tokens = event["usage"]["completion_tokens"]


async def chats(
    ask: Ask, number: int, *, until: Callable[[], bool], numbers: Iterator[int] | None = None
) -> list[Answer]:
    """So many people ask one question after the other; whoever is in the middle of one hears it out."""
    numbers = numbers or count()
    answers: list[Answer] = []

    async def chat() -> None:
        while not until():
            answers.append(await ask(next(numbers)))

    await asyncio.gather(*(chat() for _ in range(number)))
    return answers


def lasting(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds from now are over."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


@contextmanager
def program(state: Path, **settings: str) -> Iterator[Program]:
    """Runs it with these settings (``FIEL_…``); its engine may still be starting."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | {f"FIEL_{k.upper()}": v for k, v in settings.items()}
    command = [sys.executable, str(ROOT / "launch.py"), "--state", str(state), "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=state, env=environment) as process:
        try:
            assert process.stdout is not None
            ready = next(line for line in process.stdout if line.startswith("Fiel is ready: "))
            yield Program(process, ready.removeprefix("Fiel is ready: ").strip())
            process.terminate()
            process.wait()
        finally:
            process.kill()
