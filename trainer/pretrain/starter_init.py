"""A head start: the circuit that copies is written into the weights before training.

Copying what followed an earlier occurrence (an induction head, Olsson et al. 2022) takes millions of tokens to emerge
from random weights, and two CPU cores do not read many millions. Everything here is a starting point that training
is free to change. Attention rotates pairs of dimensions (j, j + half) by positions; the slow half of the pairs
keeps its direction over a whole prompt and carries content, the fast pairs tell neighbours apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

_NEIGHBOUR = (10.0, 6.0, 3.0, 1.5)
"""How much each of the fastest pairs adds to the score of the token before."""

_OUTPUT_GAIN = 0.4
"""The last norm's gain: word vectors of standard deviation 0.1 would else give logits that are far too sure."""


@torch.no_grad()
def prepare_heads(net: LlamaForCausalLM, *, rope_theta: float, seed: int) -> None:
    """Half of the first layer's heads read the token before, half of the second layer's continue from where the
    current token stood before; nothing else writes yet. Changes the embeddings slightly: all share a constant part, by
    which heads that look at positions alone can score."""
    generator = torch.Generator().manual_seed(seed)
    vectors = net.model.embed_tokens.weight
    heads, width = int(net.config.num_attention_heads), vectors.shape[1]
    head = width // heads
    net.model.norm.weight.fill_(_OUTPUT_GAIN)
    vectors[:, 0] = 0.55 * vectors.norm(dim=1).mean()
    for layer in net.model.layers:
        layer.get_parameter("self_attn.o_proj.weight").zero_()
        layer.get_parameter("mlp.down_proj.weight").zero_()
    for h in range(heads // 2):
        read, write = _orthogonal(head, width, generator), _orthogonal(head, width, generator)
        before = _previous_token(head, width, rope_theta)
        _set(net.model.layers[0], h, *before, v=read, o=0.2 * write.T)
        _set(net.model.layers[1], h, _slow(2.0 * read), _slow(2.0 * write), v=read, o=1.25 * read.T)


def _orthogonal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    q: Tensor = torch.linalg.qr(torch.randn(columns, rows, generator=generator)).Q
    q[0] = 0.0
    return q.T


def _slow(matrix: Tensor) -> Tensor:
    """The rows of the slow pairs; those of the fast ones nearly zero."""
    half = len(matrix) // 2
    keep = torch.full((half,), 0.1)
    keep[half // 2 :] = 1.0
    return matrix * keep.repeat(2)[:, None]


def _previous_token(head: int, width: int, rope_theta: float) -> tuple[Tensor, Tensor]:
    """Queries and keys of a head that scores by distance alone, highest at one."""
    half = head // 2
    q, k = torch.zeros(head, width), torch.zeros(head, width)
    share = 0.48 * width**0.5
    for j, score in enumerate(_NEIGHBOUR):
        size = (score * head**0.5) ** 0.5 / share
        angle = torch.tensor(rope_theta ** (-j / half))
        k[j, 0] = size
        q[j, 0], q[j + half, 0] = size * angle.cos(), -size * angle.sin()
    return q, k


def _set(layer: nn.Module, h: int, q: Tensor, k: Tensor, *, v: Tensor, o: Tensor) -> None:
    rows = slice(h * len(q), (h + 1) * len(q))
    for name, value in (("q_proj", q), ("k_proj", k), ("v_proj", v)):
        layer.get_parameter(f"self_attn.{name}.weight")[rows] = value
    layer.get_parameter("self_attn.o_proj.weight")[:, rows] = o
