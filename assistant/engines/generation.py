"""Writes an answer token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from transformers import Cache, PreTrainedModel

from assistant.engines.base import Delta, Sampling
from assistant.errors import EngineError
from assistant.records import Usage

_PREFILL = 512  # tokens read in one run: a long prompt can be stopped, and lets others speak in between


def generate(
    model: PreTrainedModel,
    prompt: list[int],
    sampling: Sampling,
    *,
    ends: frozenset[int],
    decode: Callable[[list[int]], str],
) -> Iterator[Delta]:
    """The answer to ``prompt``: one Delta for each run of the model and one at the end.

    Those runs that read the prompt or complete no character give a Delta without text. ``ends`` are the tokens that
    end an answer. Raises EngineError when the model fails, for want of memory for instance.
    """
    text = TextPieces(decode)
    cache, token, written = None, prompt[-1], 0
    for start in range(0, len(prompt) - 1, _PREFILL):
        _, cache = _forward(model, prompt[start : min(start + _PREFILL, len(prompt) - 1)], cache)
        yield Delta()
    finish: Literal["stop", "length"] = "length"
    while written < sampling.max_tokens:
        logits, cache = _forward(model, [token], cache)
        token = _choose(logits, sampling.temperature)
        written += 1
        if token in ends:
            finish = "stop"
            break
        yield Delta(text.add(token), usage=Usage(len(prompt), written))
    yield Delta(text.rest(), finish, Usage(len(prompt), written))


@torch.inference_mode()
def _forward(model: PreTrainedModel, tokens: list[int], cache: Cache | None) -> tuple[torch.Tensor, Cache]:
    """The logits [vocabulary] that follow the last of ``tokens``, and the cache with all of them added."""
    ids = torch.tensor([tokens], device=model.device)
    try:
        output = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    except (RuntimeError, MemoryError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise EngineError(f"The language model failed: {reason}") from error
    return output.logits[0, -1], output.past_key_values


def _choose(logits: torch.Tensor, temperature: float) -> int:
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial(torch.softmax(logits.float() / temperature, dim=-1), 1))


class TextPieces:
    """Turns tokens into text as they come; a character whose bytes are spread over tokens waits for the last one."""

    _HALF = "\ufffd"

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []  # those since the last whole character, led by the one before them
        self._shown = 0  # characters of these that were handed out

    def add(self, token: int) -> str:
        self._tokens.append(token)
        text = self._decode(self._tokens)
        if text.endswith(self._HALF):
            return ""
        piece = text[self._shown :]
        # A token may be written differently at the very beginning (without its space): the last one stays as a lead.
        self._tokens = self._tokens[-1:]
        self._shown = len(self._decode(self._tokens))
        return piece

    def rest(self) -> str:
        """What is still waiting, without a half character at its end."""
        return self._decode(self._tokens)[self._shown :].rstrip(self._HALF)
