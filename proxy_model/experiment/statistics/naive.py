"""Negative controls: the tests that treat items as the only randomness.  Never used for a verdict."""

from __future__ import annotations

import numpy as np
from scipy import stats

from proxy_model.experiment.statistics.components import Floats, Layout, Moments


def paired_items(m: Moments) -> Floats:
    """One-sided p of the paired z test over items on the arms' mean scores: V = Σ W²S_d²/n, runs ignored.

    This is how a comparison that sizes only its items is tested; its size is up to 42 % (docs/ab-statistics.md).
    """
    variance = (m.layout.share**2 * m.paired / m.layout.effective).sum(-1)
    return np.asarray(stats.norm.sf(m.differences @ m.layout.share / np.sqrt(variance)))


def pooled_items(y: Floats, layout: Layout) -> Floats:
    """One-sided p of the unpaired z test that pools all items of all runs of an arm, as leaderboards do."""
    a, b = layout.runs[:2]
    means = y @ layout.averaging.astype(y.dtype)
    variance = np.zeros((*y.shape[:-2], len(layout.share)))
    for start, k in ((0, a), (a, b)):
        rows = y[..., start : start + k, :]
        centre = means[..., start : start + k, :].mean(-2, keepdims=True)[..., layout.benchmark]
        variance += np.asarray(np.square(rows - centre).mean(-2) @ layout.spreading.astype(y.dtype), np.float64) / k
    estimate = (means[..., a : a + b, :].mean(-2) - means[..., :a, :].mean(-2)) @ layout.share
    return np.asarray(stats.norm.sf(estimate / np.sqrt((layout.share**2 / layout.effective * variance).sum(-1))))
