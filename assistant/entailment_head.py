"""The judge's network: heads over words beside their counterparts, and over what a claim shares with its evidence."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from assistant import alignment, evidence

FEATURES = len(evidence.NAMES) + len(alignment.SUMMARY)
"""Features of a claim: what ``Context.features`` measures, then what ``alignment.summary`` does."""

_PROJECTED, _HIDDEN, _TOKEN, _SENTENCE = 48, 64, 24, 32


class Head(nn.Module):
    """Logits of support for a batch of claims, and of each token being unsupported.

    The sentence sees its tokens by means weighted by attention and by a soft maximum, both free of their number.
    """

    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.normal = Normal()
        self.project = nn.Linear(alignment.WIDTH, _PROJECTED, bias=False)
        self.compare = nn.Linear(4 * _PROJECTED + len(alignment.NAMES), _HIDDEN)
        self.around = nn.Conv1d(_HIDDEN, _TOKEN, kernel_size=3, padding=1)
        self.token = nn.Linear(_TOKEN, 1)
        self.attend = nn.Linear(_TOKEN, 2)
        self.join = nn.Linear(2 * _TOKEN + 2 + FEATURES, _SENTENCE)
        self.out = nn.Linear(_SENTENCE, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, features: Tensor, facts: Tensor, own: Tensor, other: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(n, FEATURES), (n, tokens, …) and a bool mask (n, tokens) → logits (n,) and (n, tokens)."""
        a, b = self.project(own), self.project(other)
        compared = torch.cat([a, b, a * b, (a - b).abs(), facts], dim=2)
        hidden = functional.relu(self.compare(self.dropout(compared))) * mask[..., None]
        tokens = functional.relu(self.around(self.dropout(hidden).transpose(1, 2)).transpose(1, 2))
        unsupported = self.token(tokens)[..., 0]
        scores = self.attend(tokens).masked_fill(~mask[..., None], -1e4)
        pooled = (functional.softmax(scores, dim=1).transpose(1, 2) @ tokens).flatten(1)
        soft = [_soft_maximum(unsupported, mask, sharpness) for sharpness in (1.0, 4.0)]
        joined = torch.cat([pooled, torch.stack(soft, dim=1), self.dropout(self.normal(features))], dim=1)
        return self.out(self.dropout(functional.relu(self.join(joined))))[..., 0], unsupported


class Normal(nn.Module):
    """Features with mean 0 and deviation 1 over the data they were fitted on; outliers are cut."""

    centre: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))

    def fit(self, features: Tensor) -> None:
        self.centre.copy_(features.mean(dim=0))
        self.scale.copy_(features.std(dim=0) + 1e-3)

    def forward(self, features: Tensor) -> Tensor:
        normal: Tensor = (features - self.centre) / self.scale
        return normal.clamp(-4, 4)


class Ensemble(nn.Module):
    """Mean logit of several heads and of a logistic regression on the features alone."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head() for _ in range(heads))
        self.normal = Normal()
        self.linear = nn.Linear(FEATURES, 1)

    def forward(self, features: Tensor, facts: Tensor, own: Tensor, other: Tensor, mask: Tensor) -> Tensor:
        """As ``Head`` takes them → logits of support (n,)."""
        heads = torch.stack([head(features, facts, own, other, mask)[0] for head in self.heads]).mean(dim=0)
        linear: Tensor = self.linear(self.normal(features))[..., 0]
        return (heads + linear) / 2


def _soft_maximum(values: Tensor, mask: Tensor, sharpness: float) -> Tensor:
    """(n, tokens) → (n,): between mean and maximum, whatever their number."""
    masked = (sharpness * values).masked_fill(~mask, -1e4)
    count = mask.sum(dim=1).clamp(min=1)
    return (torch.logsumexp(masked, dim=1) - count.log()) / sharpness
