"""The client of servers that speak OpenAI's completions over HTTP: vLLM's and others'."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from assistant.engines.base import Delta
from assistant.records import Message

_SILENCE = 300  # seconds without a token after which a server counts as lost; a full one lets requests wait


def client(headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers=headers,
        timeout=httpx.Timeout(_SILENCE, connect=10),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        trust_env=False,
    )


async def events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The server-sent events of a stream, without the mark of its end."""
    async for line in response.aiter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


async def whole_answers(
    prompts: Sequence[Sequence[Message]],
    stream: Callable[[Sequence[Message]], AsyncGenerator[Delta, None]],
    *,
    at_once: int,
) -> list[str]:
    """The answers to many prompts, in their order; cancelling it stops all of them."""
    turns = asyncio.Semaphore(at_once)

    async def answer(messages: Sequence[Message]) -> str:
        async with turns, aclosing(stream(messages)) as deltas:
            return "".join([delta.text async for delta in deltas])

    asked = [asyncio.ensure_future(answer(messages)) for messages in prompts]
    try:
        return await asyncio.gather(*asked)
    finally:
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def reason(response: httpx.Response) -> str:
    """The words of a server's error, whose shape differs by server and route."""
    try:
        error: Any = response.json()
    except ValueError:
        return response.text[:500]
    error = error.get("error", error) if isinstance(error, dict) else error
    told = error.get("message") or error.get("detail") or error if isinstance(error, dict) else error
    return str(told)[:500]
