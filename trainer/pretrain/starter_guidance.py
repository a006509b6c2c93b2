"""Tells some heads of the starter where to look while it is trained: from the question to the token that is copied."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.pretrain.starter_examples import Row
from trainer.pretrain.starter_model import Attention


class Looks:
    """An attention that keeps the queries and keys [H, T, D] of every layer, in order."""

    def __init__(self, attention: Attention) -> None:
        self.attention = attention
        self.layers: list[tuple[Tensor, Tensor]] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.layers.append((q, k))
        return self.attention(q, k, v)


def guidance(looks: Looks, row: Row, *, length: int, draw: random.Random) -> Tensor:
    """What some heads look at is told to them (guided attention, Liu et al. 2016), because choosing a sentence takes
    far longer to emerge from the tokens' losses alone. Where an answer begins, the last layers but two, but one, and
    the last look at the words of the question, at any token of the sentence that answers, and at the token that is
    copied next; and in the last layer but two each token of a passage looks at the first one of its sentence. Returns
    the weighted sum of the negative logarithms of the attention that rests where it should."""
    asked, sentences, tokens = [], [], []
    context = len(row.context)
    for number, branch in enumerate(row.branches):
        at = branch.answer_start - 1
        begin = context + number * length
        asked.append(_Look(begin + at, begin + 4, begin + at - 1, 0.5))
        if branch.source is not None:
            sentences.append(_Look(begin + at, *branch.source, 3.0))
            tokens += [
                _Look(begin + at + step, place, place + 1, 2.0 if step == 0 else 0.3)
                for step, place in enumerate(branch.copied[:8])
            ]
    starts = [
        _Look(draw.randrange(first + 1, last), first, first + 1, 0.1)
        for first, last in draw.choices(row.sentences, k=40)
        if last - first > 1
    ]
    attend = partial(_misplaced, row=row, length=length)
    losses = (
        attend(looks.layers[-3], heads=slice(3, 4), looks=asked),
        attend(looks.layers[-3], heads=slice(2, 3), looks=starts),
        attend(looks.layers[-2], heads=slice(0, 2), looks=sentences),
        attend(looks.layers[-1], heads=slice(0, 2), looks=tokens),
    )
    return torch.stack(losses).sum()


class _Look(NamedTuple):
    """From token ``at`` of the row to the tokens ``first`` to ``last`` - 1."""

    at: int
    first: int
    last: int
    weight: float


def _misplaced(layer: tuple[Tensor, Tensor], *, heads: slice, looks: Sequence[_Look], row: Row, length: int) -> Tensor:
    if not looks:
        return torch.zeros(())
    context = len(row.context)
    q, k = (x[heads].float() for x in layer)
    at, first, last, weight = (torch.tensor(column) for column in zip(*looks, strict=True))
    scores = q[:, at] @ k.transpose(1, 2) * q.shape[-1] ** -0.5
    columns = torch.arange(k.shape[1])
    branch = torch.where(columns < context, -1, (columns - context) // length)
    own = (branch == -1) | (branch == ((at - context) // length)[:, None])
    seen = (columns <= at[:, None]) & own
    inside = (columns >= first[:, None]) & (columns < last[:, None])
    rests = scores.masked_fill(~inside, -torch.inf).logsumexp(-1)
    missed = scores.masked_fill(~seen, -torch.inf).logsumexp(-1) - rests
    summed: Tensor = (missed.mean(0) * weight).sum()
    return summed
