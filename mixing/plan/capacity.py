"""What caps and ceilings allow: the largest budget, and what each policy does when it is exceeded.

All numbers are roots of piecewise linear, monotone functions, found by bisection to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixing.plan.waterfill import Array

SLACK = 1 - 1e-12  # a budget that equals the capacity but for rounding is met


@dataclass(frozen=True, eq=False)
class Supply:
    """What can be taken.  unique: float64[n] tokens; cap: float64[n] epochs; weighted: bool[n], cells with a
    share above 0; source, category: int64[n]; ceilings: float64[sources] shares of the budget (inf: none);
    floors: float64[categories] shares of the budget; named: the user gave them by name.
    """

    unique: Array
    cap: Array
    weighted: NDArray[np.bool_]
    source: NDArray[np.int64]
    category: NDArray[np.int64]
    ceilings: Array
    floors: Array
    named: bool = False

    @cached_property
    def limit(self) -> Array:
        """Tokens that each cell may give at most: cap · unique; 0 where nothing is or the ceiling is 0."""
        there = (self.unique > 0) & (self.ceilings[self.source] > 0)
        return np.where(there, self.cap, 0.0) * np.where(there, self.unique, 1.0)

    @cached_property
    def _of_sources(self) -> Array:
        weights = np.where(self.weighted, self.limit, 0.0)
        return np.bincount(self.source, weights=weights, minlength=len(self.ceilings)).astype(np.float64)

    @cached_property
    def of_categories(self) -> Array:
        """float64[categories]: tokens that weighted cells may give at most."""
        weights = np.where(self.weighted, self.limit, 0.0)
        return np.bincount(self.category, weights=weights, minlength=len(self.floors)).astype(np.float64)

    @cached_property
    def _spare(self) -> Array:
        weights = np.where(self.weighted | np.isfinite(self.ceilings[self.source]), 0, self.limit)
        return np.bincount(self.category, weights=weights, minlength=len(self.floors)).astype(np.float64)

    def reserves(self, budget: float) -> Array:
        """float64[categories]: tokens a floor takes from cells of weight 0 once the others are empty.

        Only a floor given by name outweighs a weight of 0, and never in a source with a ceiling.
        """
        if not self.named:
            return np.zeros(len(self.floors))
        return np.clip(self.floors * budget - self.of_categories, 0.0, self._spare)

    def tops(self, budget: float) -> Array:
        """float64[sources]: ceilings in tokens; inf where there is none."""
        given = np.isfinite(self.ceilings)
        return np.where(given, np.where(given, self.ceilings, 0.0) * budget, np.inf)

    def capacity(self, budget: float) -> float:
        """Tokens that a plan of this budget can have: its ceilings and floors are shares of it."""
        return float(np.minimum(self._of_sources, self.tops(budget)).sum() + self.reserves(budget).sum())

    def meets(self, budget: float) -> bool:
        """Is there a plan of this budget?"""
        return self.capacity(budget) >= budget * SLACK

    def times(self, factor: float) -> Supply:
        """All caps multiplied."""
        return replace(self, cap=self.cap * factor)

    def at_least(self, level: float) -> Supply:
        """Lower caps raised to one level; a cap of 0 says no and stays."""
        return replace(self, cap=np.where(self.cap > 0, np.maximum(self.cap, level), 0.0))


def largest_budget(supply: Supply, asked: float) -> float:
    """The largest budget, not above `asked`, that can be met."""
    return asked if supply.meets(asked) else -_smallest(lambda one: supply.meets(-one), -asked, 0.0)


def cap_multiplier(supply: Supply, budget: float) -> float:
    """The smallest common factor ≥ 1 of all caps with which the budget is met; inf when none does."""
    return _unbounded(lambda factor: supply.times(factor).meets(budget))


def cap_level(supply: Supply, budget: float) -> float:
    """The smallest level to which lower caps must rise for the budget to be met; inf when none does."""
    return _unbounded(lambda level: supply.at_least(level).meets(budget), start=0.0)


def _unbounded(enough: Callable[[float], bool], start: float = 1.0) -> float:
    high = 1.0
    while not enough(high):
        high *= 2
        if high > 1e18:
            return np.inf
    return _smallest(enough, start, high)


def _smallest(enough: Callable[[float], bool], low: float, high: float) -> float:
    """The smallest number in (low, high] for which `enough` holds, given that it holds at `high`."""
    if enough(low):
        return low
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return high
        if enough(middle):
            high = middle
        else:
            low = middle
