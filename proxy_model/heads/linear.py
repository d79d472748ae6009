"""Heads on fixed vectors: small convex problems by L-BFGS in float64, penalties chosen on inner folds.

The ridge is on standardised vectors.  All is deterministic with one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from proxy_model.heads.ordinal import ordered, ordinal_nats, pair_nats, unordered

PENALTIES = (0.003, 0.03, 0.3)
STEPS = 60  # of L-BFGS


@dataclass(frozen=True)
class Pairs:
    """Comparisons on one score: rows of the better and of the worse document, int64 [m] each."""

    better: Tensor
    worse: Tensor
    weight: float = 1.0  # of the mean pair beside the mean document

    def inside(self, rows: Tensor, size: int) -> Pairs:
        """Those of which both documents are among `rows` (of `size`), by their place there."""
        place = torch.full((size,), -1)
        place[rows] = torch.arange(len(rows))
        better, worse = place[self.better], place[self.worse]
        kept = (better >= 0) & (worse >= 0)
        return Pairs(better[kept], worse[kept], self.weight)


def standardiser(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread [F] of vectors [n, F]; a constant number has spread 1."""
    spread = x.std(0, correction=0)
    return x.mean(0), torch.where(spread > 1e-6, spread, torch.ones_like(spread))


def fit_ordinal(
    x: Tensor, target: Tensor, weight: Tensor, penalty: float, pairs: Pairs | None = None
) -> tuple[Tensor, Tensor]:
    """(slopes [F], cut-points [L − 1]) that minimise mean cross-entropy + ½·penalty·|slopes|².

    x float64 [n, F] standardised, target [n, L], weight [n].  The start has the base rates' cut-points.
    """
    share = (weight[:, None] * target).sum(0) + 0.5
    above = 1 - (share / share.sum()).cumsum(0)[:-1]
    slopes = torch.zeros(x.shape[1], dtype=x.dtype, requires_grad=True)
    first, gaps = (one.clone().requires_grad_() for one in unordered(torch.log((1 - above) / above)))

    def loss() -> Tensor:
        score = x @ slopes
        found = (weight * ordinal_nats(score, ordered(first, gaps), target)).sum() / weight.sum()
        if pairs is not None and len(pairs.better):
            found = found + pairs.weight * pair_nats(score[pairs.better], score[pairs.worse]).mean()
        return found + 0.5 * penalty * (slopes @ slopes)

    _minimise([slopes, first, gaps], loss)
    return slopes.detach(), ordered(first, gaps).detach()


def fit_categories(x: Tensor, target: Tensor, weight: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """(weights [C, F], biases [C]) of a multinomial logistic regression; target float64 [n, C]."""
    slopes = torch.zeros(target.shape[1], x.shape[1], dtype=x.dtype, requires_grad=True)
    share = (weight[:, None] * target).sum(0) + 0.5
    bias = torch.log(share / share.sum()).requires_grad_()

    def loss() -> Tensor:
        nats = -(target * torch.log_softmax(x @ slopes.t() + bias, dim=1)).sum(1)
        return (weight * nats).sum() / weight.sum() + 0.5 * penalty * (slopes * slopes).sum()

    _minimise([slopes, bias], loss)
    return slopes.detach(), bias.detach()


def best_penalty(n: int, folds: Tensor, held_out_nats: Callable[[Tensor, Tensor, float], Tensor]) -> float:
    """The penalty of PENALTIES with the least held-out loss; `held_out_nats(train, held, penalty)` sums one fold's."""
    every = torch.arange(n)
    parts: Sequence[tuple[Tensor, Tensor]] = [
        (every[folds != one], every[folds == one]) for one in folds.unique().tolist()
    ]
    if len(parts) < 2:
        return PENALTIES[len(PENALTIES) // 2]
    losses = [float(sum(held_out_nats(a, b, penalty) for a, b in parts)) for penalty in PENALTIES]
    return PENALTIES[losses.index(min(losses))]


def _minimise(parameters: list[Tensor], loss: Callable[[], Tensor]) -> None:
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=STEPS, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
