"""The heads: scores with ordered cut-points, and categories, on one vector a document."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxy_model.heads.ordinal import at_least, ordered, unordered


@dataclass(frozen=True)
class HeadsSpec:
    """What is scored, from vectors of `features` numbers."""

    features: int
    dimensions: tuple[str, ...]
    levels: int  # the scale is 0 … levels − 1
    categories: tuple[str, ...]  # empty: no category head


class RewardHeads(nn.Module):
    """Linear heads on standardised vectors.

    Parameters: `score` [D, F] (no bias: the cut-points carry it), `first` [D] and `gaps` [D, L − 2] (see `ordered`),
    `category` [C, F], `bias` [C].  Buffers: `mean`, `scale` [F] of the training vectors; `factor` [D] and
    `category_factor` [1], calibration; `radius` [D], half of the conformal interval in levels.
    """

    mean: Tensor
    scale: Tensor
    factor: Tensor
    category_factor: Tensor
    radius: Tensor

    def __init__(self, spec: HeadsSpec) -> None:
        super().__init__()
        self.spec = spec
        d, f, c = len(spec.dimensions), spec.features, len(spec.categories)
        self.score = nn.Parameter(torch.zeros(d, f))
        self.first = nn.Parameter(torch.full((d,), -2.0))
        self.gaps = nn.Parameter(torch.zeros(d, spec.levels - 2))
        self.category = nn.Parameter(torch.zeros(c, f))
        self.bias = nn.Parameter(torch.zeros(c))
        self.register_buffer("mean", torch.zeros(f))
        self.register_buffer("scale", torch.ones(f))
        self.register_buffer("factor", torch.ones(d))
        self.register_buffer("category_factor", torch.ones(1))
        self.register_buffer("radius", torch.zeros(d))

    @property
    def cuts(self) -> Tensor:
        """[D, L − 1], rising."""
        return ordered(self.first, self.gaps)

    @torch.no_grad()
    def set_cuts(self, cuts: Tensor) -> None:
        """Take rising cut-points [D, L − 1]."""
        first, gaps = unordered(cuts)
        self.first.copy_(first)
        self.gaps.copy_(gaps)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """pooled [n, F] → (scores [n, D] on the cut-points' scale, category logits [n, C]), not calibrated."""
        x = (pooled.to(self.mean.dtype) - self.mean) / self.scale
        return F.linear(x, self.score), F.linear(x, self.category, self.bias)

    @torch.no_grad()
    def probabilities(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Calibrated: (P(level ≥ j) [n, D, L − 1], category probabilities [n, C])."""
        scores, logits = self(pooled)
        cuts = self.cuts
        above = [at_least(scores[:, d], cuts[d], self.factor[d]) for d in range(scores.shape[1])]
        return torch.stack(above, dim=1), torch.softmax(logits * self.category_factor, dim=1)
