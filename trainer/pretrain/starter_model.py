"""The starter's network: a Llama whose weights carry the names that transformers' ``LlamaForCausalLM`` gives them.

Written out here because training shares one reading of the passages among many questions: a row is a context and its
branches (question and answer), each branch attends to the context and to itself, and none to another branch. To each
branch the row looks like a prompt of its own, so the weights serve as an ordinary causal model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the network; the defaults give 5.8 M parameters (11.5 MB in bfloat16)."""

    vocabulary: int = 8192
    width: int = 256
    layers: int = 4
    heads: int = 4
    head_width: int = 128
    hidden: int = 512
    context: int = 2048
    rope_theta: float = 100_000_000.0
    norm_eps: float = 1e-5

    def llama_config(self) -> dict[str, Any]:
        """The same sizes in the words of ``transformers.LlamaConfig``."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "head_dim": self.head_width,
            "max_position_embeddings": self.context,
            "rms_norm_eps": self.norm_eps,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "hidden_act": "silu",
        }


Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scaled dot-product attention over one row: queries, keys and values [H, T, D]."""


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.input_layernorm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        inner = shape.heads * shape.head_width
        self.self_attn = nn.ModuleDict(
            {name: nn.Linear(shape.width, inner, bias=False) for name in ("q_proj", "k_proj", "v_proj")}
            | {"o_proj": nn.Linear(inner, shape.width, bias=False)}
        )
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(shape.width, shape.hidden, bias=False),
                "up_proj": nn.Linear(shape.width, shape.hidden, bias=False),
                "down_proj": nn.Linear(shape.hidden, shape.width, bias=False),
            }
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attention: Attention) -> Tensor:
        attn, mlp, shape = self.self_attn, self.mlp, self.shape
        h = self.input_layernorm(x)
        q, k, v = (
            attn[name](h).unflatten(-1, (shape.heads, -1)).transpose(0, 1) for name in ("q_proj", "k_proj", "v_proj")
        )
        read = attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v)
        x = x + attn["o_proj"](read.transpose(0, 1).flatten(-2))
        h = self.post_attention_layernorm(x)
        out: Tensor = x + mlp["down_proj"](F.silu(mlp["gate_proj"](h)) * mlp["up_proj"](h))
        return out


class Starter(nn.Module):
    """The tokens of a row [T] and their positions [T] → final hidden states [T, width]."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        half = torch.arange(0, shape.head_width, 2) / shape.head_width
        angles = torch.outer(torch.arange(shape.context), shape.rope_theta**-half).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._init_weights()

    def _init_weights(self) -> None:
        """Normal, 0.02; what writes into the residual stream starts smaller by √(2 · layers) (GPT-2's scheme)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * self.shape.layers) ** 0.5 if residual else 0.02)

    def forward(self, tokens: Tensor, positions: Tensor, attention: Attention) -> Tensor:
        x = self.embed_tokens(tokens)
        cos, sin = self.cos[positions], self.sin[positions]
        for layer in self.layers:
            x = layer(x, cos, sin, attention)
        out: Tensor = self.norm(x)
        return out


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-b, a), dim=-1) * sin.to(x.dtype)


def branched_attention(*, context: int, branches: int) -> Attention:
    """Attention for a row of ``context`` tokens followed by ``branches`` branches of equal length."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # With three dimensions scaled_dot_product_attention takes a path that is three times slower on a CPU.
        q, k, v = q[None], k[None], v[None]
        shared_k, shared_v = k[:, :, :context], v[:, :, :context]
        read = F.scaled_dot_product_attention(q[:, :, :context], shared_k, shared_v, is_causal=True)
        if not branches:
            return read[0]
        _, heads, count, size = q[:, :, context:].shape
        length = count // branches
        queries = q[:, :, context:] * size**-0.5
        own_q, own_k, own_v = (
            x.reshape(heads * branches, length, size) for x in (queries, k[:, :, context:], v[:, :, context:])
        )
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        own = (own_q @ own_k.transpose(1, 2)).masked_fill(hidden, -torch.inf).view(1, heads, count, length)
        share = torch.cat((queries @ shared_k.transpose(2, 3), own), dim=-1).softmax(dim=-1).to(v.dtype)
        branch = share[..., :context] @ shared_v
        branch = branch + (share[..., context:].reshape(heads * branches, length, length) @ own_v).view_as(branch)
        return torch.cat((read, branch), dim=2)[0]

    return attend


def load_starter(folder: Path) -> Starter:
    """The network in float32, in the shape in which ``save_starter`` left it."""
    llama = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config: Any = llama.config
    shape = Shape(
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        head_width=config.head_dim,
        hidden=config.intermediate_size,
        context=config.max_position_embeddings,
        rope_theta=config.rope_parameters["rope_theta"],
        norm_eps=config.rms_norm_eps,
    )
    net = Starter(shape)
    net.load_state_dict(llama.model.state_dict())
    return net


def save_starter(net: Starter, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes what ``AutoModelForCausalLM`` and ``AutoTokenizer`` load; the weights in bfloat16."""
    model = LlamaForCausalLM(LlamaConfig(**net.shape.llama_config(), pad_token_id=0, bos_token_id=None, eos_token_id=1))
    model.model.load_state_dict(net.state_dict())
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, max_new_tokens=160, eos_token_id=1, pad_token_id=0, bos_token_id=None
    )
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
