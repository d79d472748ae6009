"""Losses: cumulative logits for levels, softmax for categories, Bradley–Terry for pairs.

P(level ≥ j) = σ(f·(t − θ_j)) with cut-points θ_1 < θ_2 < … (McCullagh 1980), so a level's probability is the
difference of two of them; f is the calibration's factor (1 in training).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_GAP = 1e-3  # between two cut-points: a level that no label has keeps a positive probability


def ordered(first: Tensor, gaps: Tensor) -> Tensor:
    """Any first […] and gaps […, L − 2] → strictly rising cut-points […, L − 1]."""
    steps = F.softplus(gaps) + LEAST_GAP
    return torch.cat([first[..., None], first[..., None] + steps.cumsum(-1)], dim=-1)


def unordered(cuts: Tensor) -> tuple[Tensor, Tensor]:
    """The (first, gaps) that `ordered` makes into rising `cuts`, which are moved apart where they are too close."""
    steps = (cuts.diff(dim=-1) - LEAST_GAP).clamp(min=1e-6)
    return cuts[..., 0], steps + torch.log(-torch.expm1(-steps))


def at_least(score: Tensor, cuts: Tensor, factor: Tensor | float = 1.0) -> Tensor:
    """score [n], cuts [L − 1] → P(level ≥ j), j = 1 … L − 1: [n, L − 1], falling along j."""
    return torch.sigmoid(factor * (score[:, None] - cuts))


def log_levels(score: Tensor, cuts: Tensor, factor: Tensor | float = 1.0) -> Tensor:
    """score [n], cuts [L − 1] rising → log P(level = l), l = 0 … L − 1: [n, L].

    σ(a) − σ(b) = σ(a)·σ(−b)·(1 − e^(b−a)): nothing is subtracted that could cancel.
    """
    logits = factor * (score[:, None] - cuts)
    above, below = F.logsigmoid(logits), F.logsigmoid(-logits)
    apart = torch.log(-torch.expm1(-(factor * cuts.diff())))  # log(1 − e^(b−a)) of neighbours
    inner = above[:, :-1] + below[:, 1:] + apart
    return torch.cat([below[:, :1], inner, above[:, -1:]], dim=1)


def level_targets(values: Tensor, levels: int) -> Tensor:
    """Labels [n] in [0, L − 1] → probabilities of the levels [n, L]; one between two levels is shared by both.

    A judge's expectation over the digits, or a mean of judges, thus keeps its value.
    """
    steps = (values[:, None] - torch.arange(levels - 1, dtype=values.dtype)).clamp(0, 1)
    edge = torch.ones(len(values), 1, dtype=values.dtype)
    return torch.cat([edge, steps], dim=1) - torch.cat([steps, torch.zeros_like(edge)], dim=1)


def ordinal_nats(score: Tensor, cuts: Tensor, target: Tensor, factor: Tensor | float = 1.0) -> Tensor:
    """Cross-entropy [n] of the levels' probabilities `target` [n, L]."""
    return -(target * log_levels(score, cuts, factor)).sum(1)


def pair_nats(better: Tensor, worse: Tensor) -> Tensor:
    """Bradley–Terry: −log σ(better − worse) of two scores of equal shape."""
    return F.softplus(worse - better)
