"""A head start: the circuit that copies, and heads that match words, are written into the weights before training.

Copying what followed an earlier occurrence (an induction head, Olsson et al. 2022) takes millions of tokens to emerge
from random weights, and two CPU cores do not read many millions. Everything here is a starting point that training
is free to change. Attention rotates pairs of dimensions (j, j + half) by positions; the slow half of the pairs
keeps its direction over a whole prompt and carries content, the fast pairs tell neighbours apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.pretrain.starter_model import Starter

_NEIGHBOUR = (10.0, 6.0, 3.0, 1.5)
"""How much each of the fastest pairs adds to the score of the token before."""

_OUTPUT_GAIN = 0.4
"""The last norm's gain: word vectors of standard deviation 0.1 would else give logits that are far too sure."""


@torch.no_grad()
def prepare_heads(net: Starter, *, seed: int) -> None:
    """Half of the first layer's heads read the token before, half of the second layer's continue from where the
    current token stood before, and all others attend to tokens like their own. Changes the embeddings slightly: all
    share a constant part, by which heads that look at positions alone can score."""
    generator = torch.Generator().manual_seed(seed)
    width, head = net.shape.width, net.shape.head_width
    constant = torch.zeros(width)
    constant[0] = 1.0
    vectors = net.embed_tokens.weight
    net.norm.weight.fill_(_OUTPUT_GAIN)
    vectors[:, 0] = 0.55 * vectors.norm(dim=1).mean()
    before: list[tuple[Tensor, Tensor]] = []
    for number, layer in enumerate(net.layers):
        attn = layer.get_submodule("self_attn")
        for weight in attn.parameters():
            weight.mul_(0.1)
        for h in range(net.shape.heads):
            read, write = _orthogonal(head, width, generator), _orthogonal(head, width, generator)
            if number == 0 and h < net.shape.heads // 2:
                _set(attn, h, *_previous_token(net, constant), v=read, o=0.2 * write.T)
                before.append((read, write))
            elif number == 1 and h < net.shape.heads // 2:
                q, k = before[h]
                _set(attn, h, _slow(2.0 * q), _slow(2.0 * k), v=read, o=1.25 * read.T)
            else:
                _set(attn, h, _slow(0.8 * read), _slow(0.8 * read), v=write, o=0.05 * write.T)


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


def _previous_token(net: Starter, constant: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys of a head that scores by distance alone, highest at one."""
    head, half = net.shape.head_width, net.shape.head_width // 2
    q, k = torch.zeros(head, len(constant)), torch.zeros(head, len(constant))
    share = 0.48 * len(constant) ** 0.5
    for j, score in enumerate(_NEIGHBOUR):
        size = (score * head**0.5) ** 0.5 / share
        angle = torch.tensor(net.shape.rope_theta ** (-j / half))
        k[j] = size * constant
        q[j], q[j + half] = size * angle.cos() * constant, -size * angle.sin() * constant
    return q, k


def _set(attn: nn.Module, h: int, q: Tensor, k: Tensor, *, v: Tensor, o: Tensor) -> None:
    rows = slice(h * len(q), (h + 1) * len(q))
    for name, value in (("q_proj", q), ("k_proj", k), ("v_proj", v)):
        attn.get_parameter(f"{name}.weight")[rows] += value
    attn.get_parameter("o_proj.weight")[:, rows] += o
