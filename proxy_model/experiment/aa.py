"""A/A: runs of one arm split into two halves of the same mix.  Any difference is noise, and its size is σ_seed.

Splits share runs, so their rejection rate is descriptive: it shows the test at work on real scores, it proves no level
(that is what `curate ab simulate` and benchmarks/ab_calibration.py are for).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from proxy_model.experiment.scores import ScoreMatrix
from proxy_model.experiment.statistics.components import Components, components, moments
from proxy_model.experiment.statistics.crossed import Items, crossed

MOST_SPLITS = 2000
LEVEL = 0.05
# Of the variance between units, what two different mixes change unit by unit; equal mixes cannot show it.  Measured
# .005 and .009 with half of the documents word-shuffled (docs/ab.md); simulations of the reference take .03.
ARM_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class AA:
    """sigma_seed: √ of the variance of the suite mean over all runs (df = runs − 1); sigma_main: the part of it that no
    number of items removes; rejected: of the splits, two-sided at LEVEL; largest: greatest |difference| of a split.
    """

    runs: int
    sigma_seed: float
    sigma_main: float
    item_noise: float
    mean: float
    splits: int
    exact: bool
    rejected: int
    largest: float
    components: Components  # tau2: ARM_SHARE of the units' variance

    @property
    def rate(self) -> float:
        return self.rejected / self.splits

    def to_json(self) -> dict[str, Any]:
        return {
            "runs": self.runs, "df": self.runs - 1, "sigma_seed": self.sigma_seed, "sigma_main": self.sigma_main,
            "item_noise": self.item_noise, "mean": self.mean, "splits": self.splits, "all_splits": self.exact,
            "rejected": self.rejected, "rate": self.rate, "level": LEVEL, "largest": self.largest,
        }  # fmt: skip


def split_matrix(matrix: ScoreMatrix, first: tuple[int, ...]) -> ScoreMatrix:
    """The same runs as two arms: those in `first`, and the others."""
    rest = [i for i in range(len(matrix.runs)) if i not in first]
    order = [*first, *rest]
    names = [("A", i) for i in range(len(first))] + [("B", i) for i in range(len(rest))]
    return ScoreMatrix(
        ("A", "B"), tuple(names), matrix.benchmarks, matrix.benchmark, matrix.unit, matrix.weight, matrix.y[order],
        matrix.metric, matrix.items, matrix.dropped,
    )  # fmt: skip


def analyse(matrix: ScoreMatrix, items: Items, seed: int) -> AA:
    """matrix: one arm's runs (two or more halves of at least two runs each)."""
    runs = len(matrix.runs)
    half = runs // 2
    splits, exact = _splits(runs, half, seed)
    ps, estimates = [], []
    for first in splits:
        one = split_matrix(matrix, first)
        result = crossed(moments(one.y, one.layout()), None, items)
        ps.append(float(result.p_two_sided()))
        estimates.append(abs(float(result.estimate)))
    means = matrix.y @ matrix.weight
    variance = float(means.var(ddof=1))
    parts = components(moments(split_matrix(matrix, splits[0]).y, split_matrix(matrix, splits[0]).layout()))
    noise = float((parts.share**2 * parts.sigma_e2 / parts.units).sum())
    centre = matrix.y.mean(0)
    between = [float(centre[matrix.benchmark == b].var(ddof=1)) for b in range(len(parts.share))]
    main = max(0.0, variance - noise)  # over all runs: one split has a degree of freedom less
    parts = replace(parts, sigma_s2=main, tau2=ARM_SHARE * np.maximum(np.array(between) - parts.sigma_e2 / runs, 0.0))
    return AA(
        runs, math.sqrt(variance), math.sqrt(main), math.sqrt(noise), float(means.mean()),
        len(splits), exact, int(sum(p <= LEVEL for p in ps)), max(estimates), parts,
    )  # fmt: skip


def _splits(runs: int, half: int, seed: int) -> tuple[list[tuple[int, ...]], bool]:
    """All ways to take a half (each pair of halves once when they are equal), or MOST_SPLITS drawn ones."""
    total = math.comb(runs, half) // (2 if 2 * half == runs else 1)
    if total <= MOST_SPLITS:
        found = list(itertools.combinations(range(runs), half))
        return (found[:total] if 2 * half == runs else found), True
    rng = np.random.default_rng(seed)
    return [tuple(sorted(rng.choice(runs, half, replace=False).tolist())) for _ in range(MOST_SPLITS)], False
