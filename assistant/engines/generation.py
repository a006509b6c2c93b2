"""Writes answers token by token: one as it comes, or many in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from transformers import Cache, PreTrainedModel

from assistant.engines.base import Delta, Sampling
from assistant.errors import EngineError
from assistant.records import Usage

_PREFILL = 512  # tokens read in one run: a long prompt can be stopped, and lets others speak in between
HALF = "\ufffd"  # what the first bytes of a character that is not whole yet are decoded to
_BATCH_TOKENS = 16_384  # prompts and answers of a batch: they hold keys and values in memory at the same time


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
        _, cache = _forward(model, [prompt[start : min(start + _PREFILL, len(prompt) - 1)]], cache)
        yield Delta()
    finish: Literal["stop", "length"] = "length"
    while written < sampling.max_tokens:
        logits, cache = _forward(model, [[token]], cache)
        (token,) = _choose(logits, sampling.temperature)
        written += 1
        if token in ends:
            finish = "stop"
            break
        yield Delta(text.add(token), usage=Usage(len(prompt), written))
    yield Delta(text.rest(), finish, Usage(len(prompt), written))


def batches(prompts: Sequence[list[int]], *, answer: int) -> list[list[int]]:
    """The places of ``prompts`` in batches that fit the memory: alike in length, so that little of them is padding."""
    made: list[list[int]] = []
    for place in sorted(range(len(prompts)), key=lambda place: -len(prompts[place])):
        if made and (len(made[-1]) + 1) * (len(prompts[made[-1][0]]) + answer) <= _BATCH_TOKENS:
            made[-1].append(place)
        else:
            made.append([place])
    return made


def generate_batch(
    model: PreTrainedModel, prompts: Sequence[list[int]], sampling: Sampling, *, ends: frozenset[int]
) -> Iterator[list[list[int]]]:
    """The answers to all ``prompts`` in tokens, without those that end them; yielded after each run of the model.

    The same tokens as ``generate`` gives each prompt alone, up to rounding. An answer that has ended leaves the batch.
    """
    longest = max(map(len, prompts))
    padded = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    answers: list[list[int]] = [[] for _ in prompts]
    cache = None
    for start in range(0, longest - 1, _PREFILL):
        end = min(start + _PREFILL, longest - 1)
        _, cache = _forward(model, padded[:, start:end].tolist(), cache, mask[:, :end])
        yield answers
    running = list(range(len(prompts)))
    tokens = padded[:, -1].tolist()
    for _ in range(sampling.max_tokens):
        logits, cache = _forward(model, [[token] for token in tokens], cache, mask)
        chosen = _choose(logits, sampling.temperature)
        kept = [row for row, token in enumerate(chosen) if token not in ends]
        for row in kept:
            answers[running[row]].append(chosen[row])
        yield answers
        if not kept:
            return
        if len(kept) < len(running):
            cache.batch_select_indices(torch.tensor(kept, device=model.device))
            mask = mask[kept]
        running, tokens = [running[row] for row in kept], [chosen[row] for row in kept]
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)


@torch.inference_mode()
def _forward(
    model: PreTrainedModel, tokens: list[list[int]], cache: Cache | None, mask: torch.Tensor | None = None
) -> tuple[torch.Tensor, Cache]:
    """The logits [rows, vocabulary] that follow the last of ``tokens`` [rows, tokens], and the cache with all of them.

    ``mask`` [rows, cached tokens and these]: 0 for padding, which stands on the left.
    """
    ids = torch.tensor(tokens, device=model.device)
    padding = {}
    if mask is not None:
        places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        padding = {"attention_mask": mask.to(model.device), "position_ids": places.to(model.device)}
    try:
        output = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **padding)
    except (RuntimeError, MemoryError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise EngineError(f"The language model failed: {reason}") from error
    return output.logits[:, -1], output.past_key_values


def _choose(logits: torch.Tensor, temperature: float) -> list[int]:
    """One token for each row of ``logits``."""
    if temperature == 0:
        chosen = logits.argmax(-1)
    else:
        chosen = torch.multinomial(torch.softmax(logits.float() / temperature, dim=-1), 1)[:, 0]
    return [int(token) for token in chosen]


class TextPieces:
    """Turns tokens into text as they come; a character whose bytes are spread over tokens waits for the last one."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []  # those since the last whole character, led by the one before them
        self._shown = 0  # characters of these that were handed out

    def add(self, token: int) -> str:
        self._tokens.append(token)
        text = self._decode(self._tokens)
        if text.endswith(HALF):
            return ""
        piece = text[self._shown :]
        # A token may be written differently at the very beginning (without its space): the last one stays as a lead.
        self._tokens = self._tokens[-1:]
        self._shown = len(self._decode(self._tokens))
        return piece

    def rest(self) -> str:
        """What is still waiting, without a half character at its end."""
        return self._decode(self._tokens)[self._shown :].rstrip(HALF)
