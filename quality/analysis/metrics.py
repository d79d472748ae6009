"""Agreement, rank and calibration metrics: pure functions over numpy arrays, checked against public oracles.

Every function takes 1-d arrays of one length, is symmetric in the order of the items, and refuses NaN and infinity
(ValueError): what is missing must be left out by the caller.  A metric that the data do not define (a constant
array, one item, one class) is NaN, never 0 or 1.  `bootstrap` puts an interval around any of them.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quality.analysis.arrays import NAN, Floats, codes, midranks, numbers, tie_middles
from quality.analysis.resampling import COVERED, MASK, Interval, bootstrap

__all__ = [
    "Calibration", "Interval", "auroc", "bootstrap", "cohen_kappa", "ece", "ece_interval", "entropy", "f1_by_label",
    "krippendorff_alpha", "level_shares", "macro_f1", "pearson", "proportion", "qwk", "spearman", "variance_share",
    "within_group_spearman", "within_one",
]  # fmt: skip
LEVELS = 6
MIN_GROUP = 8  # items a group needs for a rank correlation of its own


class Calibration(NamedTuple):
    """An ECE, its bootstrap interval, and what perfect calibration would give on as few items (mean, 95th centile)."""

    value: float
    lo: float
    hi: float
    chance: float
    chance_hi: float


def levels_of(values: ArrayLike, levels: int = LEVELS) -> Floats:
    """Whole levels 0…levels−1 as float64; ValueError for anything else."""
    (made,) = numbers(values)
    if (made != np.floor(made)).any() or made.min() < 0 or made.max() >= levels:
        raise ValueError(f"levels must be whole numbers from 0 to {levels - 1}")
    return made


def qwk(a: ArrayLike, b: ArrayLike, levels: int = LEVELS) -> float:
    """Quadratically weighted kappa of two ratings in whole levels.

    With weights (i−j)² the observed and expected disagreement are moments: 1 − E(a−b)² / (Var a + Var b + (Ea−Eb)²).
    """
    numbers(a, b)
    x, y = levels_of(a, levels), levels_of(b, levels)
    return _ratio_left(float(np.mean((x - y) ** 2)), float(x.var() + y.var() + (x.mean() - y.mean()) ** 2))


def cohen_kappa(a: ArrayLike, b: ArrayLike) -> float:
    """Unweighted kappa of two nominal labellings."""
    (x, y), names = codes(a, b)
    p, q = np.bincount(x, minlength=len(names)) / len(x), np.bincount(y, minlength=len(names)) / len(y)
    return _ratio_left(float(np.mean(x != y)), float(1 - p @ q))


def within_one(a: ArrayLike, b: ArrayLike) -> float:
    """Share of items whose two values differ by at most 1."""
    x, y = numbers(a, b)
    return float(np.mean(np.abs(x - y) <= 1))


def proportion(hits: float, units: int) -> Interval:
    """A share with Wilson's 95 % interval, which stays honest where all or none of few units are hits."""
    if units < 1 or not 0 <= hits <= units:
        raise ValueError(f"{hits} of {units} is no share")
    z = 1.959963984540054
    share, spread = hits / units, z * z / units
    middle, half = share + spread / 2, z * np.sqrt(share * (1 - share) / units + spread / (4 * units))
    lo, hi = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return Interval(share, float(lo) if hits else 0.0, float(hi) if hits < units else 1.0)


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Product-moment correlation."""
    x, y = numbers(a, b)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return NAN
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt(x @ x) * np.sqrt(y @ y))
    return float(np.clip(x @ y / scale, -1, 1)) if scale else NAN


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Rank correlation with mid-ranks for ties."""
    x, y = numbers(a, b)
    return pearson(midranks(x), midranks(y))


def within_group_spearman(truth: ArrayLike, prediction: ArrayLike, groups: ArrayLike) -> float:
    """Mean of the groups' own Spearman correlations, weighted by their items: what is left once groups are known.

    Groups with fewer than MIN_GROUP items or a constant truth say nothing and are left out; a constant prediction
    where the truth varies counts as 0.
    """
    x, y = numbers(truth, prediction)
    (g,), names = codes(groups)
    if len(g) != len(x):
        raise ValueError(f"{len(x)} items but {len(g)} groups")
    size = len(names)
    count = np.bincount(g, minlength=size)
    ranks = [_centred_ranks(one, g, count) for one in (x, y)]
    both, own, other = (
        np.bincount(g, a * b, minlength=size) for a, b in ((ranks[0], ranks[1]), (ranks[0],) * 2, (ranks[1],) * 2)
    )
    told = (count >= MIN_GROUP) & (own > 0)
    if not told.any():
        return NAN
    rho = both[told] / np.sqrt(own[told] * np.where(other[told] > 0, other[told], 1))
    return float((count[told] * rho).sum() / count[told].sum())


def _centred_ranks(values: Floats, g: NDArray[np.intp], count: NDArray[np.intp]) -> Floats:
    """Mid-ranks inside each group, less their mean: all groups in one sort."""
    order = np.lexsort((values, g))
    group = g[order]
    opening = np.cumsum(count) - count
    centred: Floats = np.empty(len(values))
    centred[order] = tie_middles(values[order], group) - opening[group] - (count[group] - 1) / 2
    return centred


def auroc(positive: ArrayLike, score: ArrayLike) -> float:
    """Chance that a positive item scores above a negative one, ties counting half (Mann–Whitney)."""
    y, s = numbers(positive, score)
    if not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("the classes of an AUROC must be 0 and 1")
    hits = int(y.sum())
    if hits in (0, len(y)):
        return NAN
    return float((midranks(s)[y == 1].sum() - hits * (hits + 1) / 2) / (hits * (len(y) - hits)))


def f1_by_label(truth: ArrayLike, prediction: ArrayLike) -> dict[Any, float]:
    """F1 of every label that occurs in either; 0 for one that is never right."""
    (t, p), names = codes(truth, prediction)
    size = len(names)
    right = np.bincount(t[t == p], minlength=size)
    both = np.bincount(t, minlength=size) + np.bincount(p, minlength=size)
    return dict(zip(names.tolist(), (2 * right / both).tolist(), strict=True))


def macro_f1(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Unweighted mean of F1 over the labels that occur in truth or prediction."""
    return float(np.mean(list(f1_by_label(truth, prediction).values())))


def equal_mass(values: ArrayLike, bins: int) -> NDArray[np.intp]:
    """intp[n]: bins of equal mass by mid-rank, so equal values share a bin and the order of items cannot matter."""
    (x,) = numbers(values)
    if bins < 1:
        raise ValueError("there must be at least one bin")
    made: NDArray[np.intp] = np.minimum(((midranks(x) - 0.5) / len(x) * bins).astype(np.intp), bins - 1)
    return made


def ece(predicted: ArrayLike, actual: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: |mean prediction − mean outcome| over bins of equal mass, in the outcome's unit.

    For a probability the outcome is 0 or 1; a score is compared with its true value just the same.  Positive even
    for perfect predictions: compare with `ece_interval`'s `chance`.
    """
    p, y = numbers(predicted, actual)
    return float(np.abs(np.bincount(equal_mass(p, bins), p - y, minlength=bins)).sum() / len(p))


def ece_interval(
    predicted: ArrayLike, actual: ArrayLike, bins: int = 15, *, seed: int, n: int = 1000,
    groups: ArrayLike | None = None,
) -> Calibration:  # fmt: skip
    """The ECE of probabilities with its sampling interval, beside that of outcomes drawn from the predictions."""
    p, y = numbers(predicted, actual)
    if p.min() < 0 or p.max() > 1:
        raise ValueError("probabilities must lie between 0 and 1")
    found = bootstrap(lambda a, b: ece(a, b, bins), p, y, seed=seed, groups=groups, n=n)
    generator = np.random.Generator(np.random.PCG64([seed & MASK, 1]))
    chance = [ece(p, generator.random(len(p)) < p, bins) for _ in range(n)]
    return Calibration(*found, float(np.mean(chance)), float(np.quantile(chance, COVERED)))


def krippendorff_alpha(ratings: ArrayLike, kind: Literal["ordinal", "nominal", "interval"] = "ordinal") -> float:
    """Krippendorff's alpha of ratings[raters, items], NaN = not rated (the one place where NaN is a value).

    Items with one rating take no part.  Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability".
    """
    table = np.asarray(ratings, np.float64)
    if table.ndim != 2 or np.isinf(table).any():
        raise ValueError("ratings must be finite values or NaN in an array of raters × items")
    rated = ~np.isnan(table)
    table = np.where(rated & (rated.sum(0) > 1), table, np.nan)
    rated = ~np.isnan(table)
    if not rated.any():
        return NAN
    values, flat = np.unique(table[rated], return_inverse=True)
    counts = np.zeros((table.shape[1], len(values)))
    np.add.at(counts, (np.nonzero(rated)[1], flat), 1)
    per_item = counts.sum(1)
    counts, per_item = counts[per_item > 1], per_item[per_item > 1]
    seen = counts.sum(0)
    coincidence = counts.T @ (counts / (per_item - 1)[:, None]) - np.diag((counts / (per_item - 1)[:, None]).sum(0))
    if kind == "nominal":
        distance = 1.0 - np.eye(len(values))
    elif kind == "interval":
        distance = (values[:, None] - values[None, :]) ** 2
    else:  # squared count of ratings between the two, halves of the ends taken off
        middle = np.cumsum(seen) - seen / 2
        distance = (middle[:, None] - middle[None, :]) ** 2
    expected = float((np.outer(seen, seen) * distance).sum() / (seen.sum() - 1))
    return _ratio_left(float((coincidence * distance).sum()), expected)


def variance_share(values: ArrayLike, groups: ArrayLike) -> tuple[float, float]:
    """Share of the variance that lies between the groups: (η², ε²).

    η² = between / total sum of squares; ε² takes off what k groups explain by chance,
    1 − (1−η²)(n−1)/(n−k), and may be negative (Okada 2013).
    """
    (x,), ((g,), names) = numbers(values), codes(groups)
    if len(g) != len(x):
        raise ValueError(f"{len(x)} items but {len(g)} groups")
    if np.ptp(x) == 0:
        return NAN, NAN
    centred = x - x.mean()
    sums, sizes = np.bincount(g, centred, minlength=len(names)), np.bincount(g, minlength=len(names))
    eta = float(min(1.0, (sums**2 / sizes).sum() / (centred @ centred)))
    n, k = len(x), len(names)
    return eta, 1 - (1 - eta) * (n - 1) / (n - k) if n > k else NAN


def level_shares(values: ArrayLike, levels: int = LEVELS) -> Floats:
    """float64[levels]: share of the items on each whole level."""
    made = levels_of(values, levels)
    return np.bincount(made.astype(np.intp), minlength=levels) / len(made)


def entropy(shares: ArrayLike) -> float:
    """Shannon entropy in bits of shares that add up to 1."""
    (p,) = numbers(shares)
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum()) + 0.0


def _ratio_left(observed: float, expected: float) -> float:
    """1 − observed / expected, NaN where no disagreement is possible."""
    return 1 - observed / expected if expected > 0 else NAN
