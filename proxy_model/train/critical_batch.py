"""From gradient noise to a table of batch sizes.

Noise scale (McCandlish et al. 2018, appendix A): with squared gradient norms of batches of b and of B tokens,
    |G|² ≈ (B·|g_B|² - b·|g_b|²)/(B - b)      tr Σ ≈ (|g_b|² - |g_B|²)/(1/b - 1/B)      B_noise = tr Σ / |G|²
measured on checkpoints of one run; log B = log a + b·log L is fitted by least squares.  Without a probe the curve of
MiniMax-01 serves, which reproduces its four printed switch points: B = 2.104e9 · L^-6.121 (reference, paper §0.6); its
data lie at losses of 3.2 to 4.4, so elsewhere it is an extrapolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from curation.pipeline.errors import UsageError
from packing.loader.batch import IGNORE, Batch
from proxy_model.loss import objective, token_nats
from proxy_model.model import ProxyLM
from proxy_model.packed import packed_from
from proxy_model.train.token_table import TokenTable, merged

SMOOTHING = 0.05  # of the run: window of the running mean of the loss
FEWEST = 3  # points of a fit


@dataclass(frozen=True)
class Curve:
    """B = a · L^b tokens at a loss of L nats a token."""

    a: float = 2.104e9
    b: float = -6.121

    def batch(self, loss: float) -> float:
        """Tokens."""
        return float(self.a * loss**self.b)


@dataclass(frozen=True)
class Noise:
    """A probe at one loss; `batch` is B_noise in tokens, nan where the noise drowned the gradient."""

    loss: float
    batch: float
    squared_gradient: float
    trace: float


def noise_scale(squared_norms: Sequence[float], whole: float, tokens: int, loss: float) -> Noise:
    """Squared norms of gradients of parts of `tokens` tokens each, and of their mean gradient.

    Raises ValueError for fewer than two parts.
    """
    count = len(squared_norms)
    if count < 2:
        raise ValueError("a noise scale needs at least two parts")
    small, big = sum(squared_norms) / count, whole
    b, large = tokens, tokens * count
    squared = (large * big - b * small) / (large - b)
    trace = (small - big) / (1 / b - 1 / large)
    return Noise(loss, trace / squared if squared > 0 else math.nan, squared, trace)


def probe(model: ProxyLM, parts: Sequence[Batch]) -> Noise:
    """Gradients of equally large batches, one by one, at the model as it is."""
    device = next(model.parameters()).device
    parameters = [one for one in model.parameters() if one.requires_grad]
    total = [torch.zeros_like(one) for one in parameters]
    squares, losses = [], []
    for batch in parts:
        packed = packed_from(batch, device)
        labels = torch.from_numpy(np.ascontiguousarray(batch["labels"])).to(device)
        output = model(packed)
        nats = token_nats(output.hidden, model.head_weight, labels, vocab_size=model.config.vocab_size)
        loss, found = objective(output, nats, labels, model.config)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        given = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
        squares.append(float(sum(g.double().square().sum() for g in given)))
        losses.append(float(found["nats"]))
        torch._foreach_add_(total, given, alpha=1 / len(parts))
    whole = float(sum(one.double().square().sum() for one in total))
    tokens = int(np.mean([(batch["labels"] != IGNORE).sum() for batch in parts]))
    return noise_scale(squares, whole, tokens, float(np.mean(losses)))


def fit(points: Sequence[Noise]) -> Curve:
    """Least squares of log B on log L.  Raises UsageError where the points do not give a falling curve."""
    good = [one for one in points if one.batch > 0 and math.isfinite(one.batch)]
    if len(good) < FEWEST or len({round(one.loss, 3) for one in good}) < FEWEST:
        raise UsageError(
            f"{len(good)} of {len(points)} probes gave a noise scale; a fit needs {FEWEST} at different losses",
            "probe more tokens, keep more checkpoints (checkpoint: {keep: 8}), or take the default curve",
        )
    x, y = np.log([one.loss for one in good]), np.log([one.batch for one in good])
    slope, intercept = np.polyfit(x, y, 1)
    if slope >= 0:
        raise UsageError(
            f"the fitted batch falls as the loss falls (exponent {slope:+.2f}): noise, not a law",
            "probe more tokens at losses that lie further apart, or take the default curve",
        )
    return Curve(float(math.exp(intercept)), float(slope))


def smooth(tokens: Sequence[int], losses: Sequence[float]) -> np.ndarray:
    """The loss after `tokens`: running mean over SMOOTHING of the run, then its running minimum, so that it falls."""
    values = np.asarray(losses, np.float64)
    width = max(1, round(SMOOTHING * len(values)))
    sums = np.cumsum(np.concatenate([[0.0], values]))
    first = np.maximum(0, np.arange(len(values)) + 1 - width)
    return np.minimum.accumulate((sums[1:] - sums[first]) / (np.arange(len(values)) + 1 - first))


def table(
    curve: Curve, tokens: Sequence[int], losses: Sequence[float], *, sequence_length: int, smallest: int, largest: int
) -> TokenTable:
    """Doubling batches: `smallest` at first, twice as much whenever the curve at the run's loss allows it.

    Sizes are whole sequences; `tokens` are those seen after each step of the run that `losses` are of.
    """
    unit = max(1, smallest // sequence_length) * sequence_length
    rows = [(0, unit)]
    for seen, loss in zip(tokens, smooth(tokens, losses), strict=True):
        while unit * 2 <= largest and curve.batch(float(loss)) >= unit * 2:
            unit *= 2
            rows.append((int(seen), unit))
    last: dict[int, int] = {}
    for start, batch in rows:
        last[start] = batch  # several doublings at one place are one row
    return merged(sorted(last.items()))
