"""A head start: the circuits that copy are written into the weights before training.

Copying what followed an earlier occurrence (an induction head, Olsson et al. 2022) takes millions of tokens to emerge
from random weights, and two CPU cores do not read many millions. Everything here is a starting point that training
is free to change. Attention rotates pairs of dimensions (j, j + half) by positions; the slow half of the pairs
keeps its direction over a whole prompt and carries content, the fast pairs tell neighbours apart.

One token often stands in several places of a prompt, and two in a row do, too. So a part of the width is set aside for
codes, random vectors that tell tokens apart: of the token itself and of each of those before it. Nothing else writes
there at first, which is what makes them legible: matched within the word vectors, two tokens before were found in one
of a hundred cases, matched by codes in three of four.
"""

from __future__ import annotations

from itertools import cycle, islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import LlamaForCausalLM

CODE = 32
"""The width of one code: as many dimensions of a head of 64 turn slowly enough to carry content."""

_NEIGHBOUR = (10.0, 6.0, 3.0, 1.5)
"""How much each of the fastest pairs adds to the score of the token looked for."""

_OUTPUT_GAIN = 0.4
"""The last norm's gain: word vectors of standard deviation 0.1 would else give logits that are far too sure."""

_CONSTANT = 0.55  # the part that all word vectors share, by their length; after a norm, .48 of the root of the width
_CODE_LENGTH = 0.15  # by the length of word vectors
_SURE = 150.0  # what codes that match add to a score
_PAIRS = ((0, 1), (2, 3), (1, 2), (0, 3))
"""Of how long ago the two tokens are that a head compares at once; more would blur each other."""


@torch.no_grad()
def prepare_heads(net: LlamaForCausalLM, *, words: int, rope_theta: float, seed: int) -> None:
    """``words``: the width of the word vectors; what is left of the network's width is for codes.

    Of the first half of the heads, half read the token before in the first layer, and continue in the second from
    where the current token stood before. The second half read the codes of the tokens one, two, three… before, and
    continue from where two tokens of the latest stood together. Nothing else writes yet. Changes the embeddings: all
    share a constant part, by which heads that look at positions alone can score, and get codes.
    """
    generator = torch.Generator().manual_seed(seed)
    vectors = net.model.embed_tokens.weight
    heads, width = int(net.config.num_attention_heads), vectors.shape[1]
    first, second = net.model.layers[0], net.model.layers[1]
    head = first.get_parameter("self_attn.q_proj.weight").shape[0] // heads
    length = vectors[:, :words].norm(dim=1).mean()
    vectors[:, 0] = _CONSTANT * length
    codes = torch.randn(len(vectors), CODE, generator=generator)
    vectors[:, words : words + CODE] = _CODE_LENGTH * length * F.normalize(codes, dim=1)
    net.model.norm.weight.fill_(_OUTPUT_GAIN * (words / width) ** 0.5)
    net.model.norm.weight[words:] = 0.0
    for layer in net.model.layers:
        layer.get_parameter("self_attn.o_proj.weight").zero_()
        layer.get_parameter("mlp.down_proj.weight").zero_()
        for name in ("input_layernorm", "post_attention_layernorm"):
            layer.get_parameter(f"{name}.weight")[:words] = (words / width) ** 0.5  # as if there were no codes
    for h in range(heads // 4):
        read, write = (_wide(_orthogonal(head, words, generator), width) for _ in range(2))
        _set(first, h, *_token_before(1, head, width, words, rope_theta), v=read, o=0.2 * write.T)
        _set(second, h, _slow(2.0 * read), _slow(2.0 * write), v=read, o=1.25 * read.T)
    _compare_codes(first, second, head=head, words=words, length=length, rope_theta=rope_theta, generator=generator)


def _compare_codes(
    first: nn.Module,
    second: nn.Module,
    *,
    head: int,
    words: int,
    length: Tensor,
    rope_theta: float,
    generator: torch.Generator,
) -> None:
    """The second half of the heads of the first two layers."""
    rows, width = first.get_parameter("self_attn.q_proj.weight").shape
    reach = rows // head // 2
    for n in range(reach):
        v, o = _moved_code(n + 1, head, width, words, length)
        _set(first, reach + n, *_token_before(n + 1, head, width, words, rope_theta), v=v, o=o)
    pairs = [pair for pair in _PAIRS if max(pair) < reach]
    for n, ages in enumerate(islice(cycle(pairs), reach)):
        read = _wide(_orthogonal(head, words, generator), width)
        q, k = (_matched(ages, later, head, width, words) for later in (0, 1))
        _set(second, reach + n, q, k, v=read, o=2.0 * read.T)


def _orthogonal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    q: Tensor = torch.linalg.qr(torch.randn(columns, rows, generator=generator)).Q
    q[0] = 0.0
    return q.T


def _wide(matrix: Tensor, width: int) -> Tensor:
    """Which looks at word vectors alone."""
    return F.pad(matrix, (0, width - matrix.shape[1]))


def _slow(matrix: Tensor) -> Tensor:
    """The rows of the slow pairs; those of the fast ones nearly zero."""
    half = len(matrix) // 2
    keep = torch.full((half,), 0.1)
    keep[half // 2 :] = 1.0
    return matrix * keep.repeat(2)[:, None]


def _token_before(distance: int, head: int, width: int, words: int, rope_theta: float) -> tuple[Tensor, Tensor]:
    """Queries and keys of a head that scores by distance alone, highest at ``distance``."""
    half = head // 2
    q, k = torch.zeros(head, width), torch.zeros(head, width)
    share = _CONSTANT / (1 + _CONSTANT**2) ** 0.5 * words**0.5
    for j, score in enumerate(_NEIGHBOUR):
        size = (score * head**0.5) ** 0.5 / share
        angle = torch.tensor(distance * rope_theta ** (-j / half))
        k[j, 0] = size
        q[j, 0], q[j + half, 0] = size * angle.cos(), -size * angle.sin()
    return q, k


def _moved_code(distance: int, head: int, width: int, words: int, length: Tensor) -> tuple[Tensor, Tensor]:
    """Values and output of a head that puts the code of a token to the place of the ``distance``-th before."""
    v, o = torch.zeros(head, width), torch.zeros(width, head)
    at = torch.arange(CODE)
    v[at, words + at] = 1.0
    normed = _CODE_LENGTH * width**0.5  # the length of a code after the norm
    o[words + CODE * distance + at, at] = _CODE_LENGTH * length / normed
    return v, o


def _matched(ages: tuple[int, int], later: int, head: int, width: int, words: int) -> Tensor:
    """Queries (``later`` 0) or keys (1) that compare the codes of two ages; a key's token came one later."""
    matrix, half = torch.zeros(head, width), head // 2
    slow = torch.cat((torch.arange(half // 2, half), torch.arange(half + half // 2, head)))[:CODE]
    size = (_SURE * head**0.5) ** 0.5 / (_CODE_LENGTH * width**0.5)
    at = torch.arange(len(slow))
    for age, rows in zip(ages, (slow, slow.roll(5)), strict=True):
        matrix[rows, words + CODE * (age + later) + at] += size
    return matrix


def _set(layer: nn.Module, h: int, q: Tensor, k: Tensor, *, v: Tensor, o: Tensor) -> None:
    rows = slice(h * len(q), (h + 1) * len(q))
    for name, value in (("q_proj", q), ("k_proj", k), ("v_proj", v)):
        layer.get_parameter(f"self_attn.{name}.weight")[rows] = value
    layer.get_parameter("self_attn.o_proj.weight")[:, rows] = o
