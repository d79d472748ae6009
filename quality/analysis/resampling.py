"""Intervals by the percentile bootstrap over items or whole groups, seeded (Efron & Tibshirani 1993, §13.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quality.analysis.arrays import NAN, codes

COVERED = 0.95
MASK = (1 << 64) - 1


class Interval(NamedTuple):
    """A value with its 95 % interval; NaN where the data do not define it."""

    value: float
    lo: float
    hi: float

    def __str__(self) -> str:
        """`0.91 (0.88 to 0.93)`, as people read it."""
        if math.isnan(self.value):
            return "undefined"
        return f"{self.value:.2f}" + ("" if math.isnan(self.lo) else f" ({self.lo:.2f} to {self.hi:.2f})")


def resamples(size: int, *, seed: int, groups: ArrayLike | None = None, n: int = 1000) -> Iterator[NDArray[np.intp]]:
    """n draws of indices with replacement: of items, or of whole groups (sizes then vary)."""
    generator = np.random.Generator(np.random.PCG64(seed & MASK))
    if groups is None:
        for _ in range(n):
            yield generator.integers(0, size, size)
        return
    (g,), names = codes(groups)
    if len(g) != size:
        raise ValueError(f"{size} items but {len(g)} groups")
    members = np.split(np.argsort(g, kind="stable"), np.cumsum(np.bincount(g, minlength=len(names)))[:-1])
    for _ in range(n):
        yield np.concatenate([members[one] for one in generator.integers(0, len(members), len(members))])


def bootstrap(
    fn: Callable[..., float], *arrays: ArrayLike, seed: int, groups: ArrayLike | None = None, n: int = 1000
) -> Interval:
    """fn(*arrays) with the middle 95 % of n draws; draws where fn is NaN are left out.

    groups: draw whole groups (documents of one article, chunks of one document) instead of items.  The interval is
    NaN for fewer than two units or where most draws are undefined.
    """
    made = [np.asarray(one) for one in arrays]
    value = float(fn(*made))
    units = len(made[0]) if groups is None else len(codes(groups)[1])
    if np.isnan(value) or units < 2:
        return Interval(value, NAN, NAN)
    found = np.array(
        [fn(*(one[drawn] for one in made)) for drawn in resamples(len(made[0]), seed=seed, groups=groups, n=n)]
    )
    return Interval(value, *percentiles(found))


def percentiles(draws: ArrayLike) -> tuple[float, float]:
    """The middle 95 % of the defined draws; NaN where fewer than half are defined."""
    found = np.asarray(draws, np.float64)
    defined = found[~np.isnan(found)]
    if 2 * len(defined) < len(found) or not len(defined):
        return NAN, NAN
    lo, hi = np.quantile(defined, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(lo), float(hi)
