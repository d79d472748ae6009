"""Second moments of a crossed runs × units design, and the variance components they estimate.

Model: y = arm + unit + arm×unit + run(arm) + run×unit, every run scored on the same units (items, or clusters of
items), units in benchmarks with weights that sum to 1.  Equal weights give the mean squares of a balanced two-way
analysis of variance (Searle, Casella & McCulloch 1992, chapter 4); unequal weights (clusters of unequal size) give
their weighted form with Kish's effective number of units.  Every array may have leading replicate axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Layout:
    """runs: runs of each arm, the rows of y in this order (baseline, candidate, others that only lend their variance);
    benchmark: int [units], 0 … B−1; weight: float64 [units], sum 1.  Raises UsageError where there is no variance."""

    runs: tuple[int, ...]
    benchmark: Ints
    weight: Floats

    def __post_init__(self) -> None:
        if len(self.runs) < 2 or min(self.runs) < 1:
            raise UsageError(
                f"runs of each arm are {self.runs}: a comparison needs two arms with at least one run each"
            )
        if abs(float(self.weight.sum()) - 1) > 1e-6 or float(self.weight.min()) <= 0:
            raise UsageError("weights of the units must be positive and sum to 1")
        if int(self.units.min()) < 2:
            raise UsageError("a benchmark with one unit has no variance over units", "use items, or smaller clusters")

    @property
    def run_df(self) -> int:
        """ν: degrees of freedom of the variance between runs, pooled over all arms."""
        return sum(self.runs) - len(self.runs)

    @property
    def contrast(self) -> float:
        """c = 1/k_A + 1/k_B."""
        return 1 / self.runs[0] + 1 / self.runs[1]

    @cached_property
    def units(self) -> Ints:
        """int [B]: units of each benchmark."""
        return np.bincount(self.benchmark)

    @cached_property
    def share(self) -> Floats:
        """float64 [B]: W_b, the benchmark's weight in the suite."""
        return np.asarray(np.bincount(self.benchmark, self.weight), np.float64)

    @cached_property
    def squares(self) -> Floats:
        """float64 [B]: Σ w_u²."""
        return np.asarray(np.bincount(self.benchmark, self.weight**2), np.float64)

    @cached_property
    def effective(self) -> Floats:
        """float64 [B]: Kish's W_b²/Σw², the number of units when all weigh the same."""
        return self.share**2 / self.squares

    @cached_property
    def unit_df(self) -> Floats:
        """float64 [B]: degrees of freedom of a variance over units, (Σw²)²/Σw⁴ − 1; units − 1 for equal weights."""
        return np.maximum(self.squares**2 / np.bincount(self.benchmark, self.weight**4) - 1, 1e-9)

    @cached_property
    def averaging(self) -> Floats:
        """float64 [units, B]: y @ averaging are the benchmark means."""
        table = np.zeros((len(self.weight), len(self.share)))
        table[np.arange(len(self.weight)), self.benchmark] = self.weight / self.share[self.benchmark]
        return table

    @cached_property
    def spreading(self) -> Floats:
        """float64 [units, B]: squared residuals @ spreading are variances over units: w²/Σw², Bessel-corrected."""
        table = np.zeros((len(self.weight), len(self.share)))
        table[np.arange(len(self.weight)), self.benchmark] = (
            self.weight**2 * (self.units / (self.units - 1) / self.squares)[self.benchmark]
        )
        return table


@dataclass(frozen=True, eq=False)
class Moments:
    """means [..., runs, B]: benchmark means of each run; paired [..., B]: S_d², variance over units of the difference
    between the two arms' means; within [..., B]: E, run×unit mean square (0 when no arm has two runs)."""

    layout: Layout
    means: Floats
    paired: Floats
    within: Floats

    @cached_property
    def suite(self) -> Floats:
        """[..., runs]: weighted suite mean of each run."""
        return np.asarray(self.means @ self.layout.share)

    @cached_property
    def differences(self) -> Floats:
        """[..., B]: candidate − baseline of each benchmark."""
        a, b = self.layout.runs[:2]
        return np.asarray(self.means[..., a : a + b, :].mean(-2) - self.means[..., :a, :].mean(-2))

    @cached_property
    def run_variance(self) -> Floats:
        """[...]: S², variance of the suite mean between runs of one arm, pooled over arms (nan when ν = 0)."""
        return pooled_variance(self.suite[..., None], self.layout.runs)[..., 0]


def moments(y: Floats, layout: Layout) -> Moments:
    """y: float [..., runs, units], rows in the order of `layout.runs`.  O(runs × units); the item itself cancels."""
    dtype = y.dtype
    means = np.asarray(y @ layout.averaging.astype(dtype), np.float64)
    within = np.zeros((*y.shape[:-2], len(layout.share)))
    centres = []
    start = 0
    for runs in layout.runs:
        rows, levels = y[..., start : start + runs, :], means[..., start : start + runs, :]
        centres.append(rows.mean(-2))
        if runs > 1:
            shift = (levels - levels.mean(-2, keepdims=True)).astype(dtype)
            residual = rows - centres[-1][..., None, :]
            residual -= shift[..., layout.benchmark]
            np.square(residual, out=residual)
            within += np.asarray(residual.sum(-2) @ layout.spreading.astype(dtype), np.float64)
        start += runs
    difference = centres[1] - centres[0]
    level = np.asarray(difference @ layout.averaging.astype(dtype))
    paired = np.asarray(
        np.square(difference - level[..., layout.benchmark]) @ layout.spreading.astype(dtype), np.float64
    )
    return Moments(layout, means, paired, within / max(layout.run_df, 1))


def pooled_variance(values: Floats, runs: tuple[int, ...]) -> Floats:
    """values [..., runs, B] → [..., B]: variance between the runs of one arm, pooled over arms; nan when ν = 0."""
    total, start = np.zeros((*values.shape[:-2], values.shape[-1])), 0
    for k in runs:
        total += values[..., start : start + k, :].var(-2) * k
        start += k
    degrees = sum(runs) - len(runs)
    return total / degrees if degrees else np.full_like(total, np.nan)


@dataclass(frozen=True, eq=False)
class Components:
    """What a plan is made of.  share [B] sums to 1; units [B] (effective); sigma_s2: variance of a run's suite mean
    that no number of items removes; sigma_e2 [B]: run×unit; tau2 [B]: arm×unit variance of the contrast of two arms."""

    share: Floats
    units: Floats
    sigma_s2: float
    sigma_e2: Floats
    tau2: Floats

    @property
    def sigma_seed(self) -> float:
        """Standard deviation of a run's suite mean on these units: √(σ_s² + Σ W_b² σ_e²/n_b)."""
        return float(np.sqrt(self.sigma_s2 + (self.share**2 * self.sigma_e2 / self.units).sum()))


def components(m: Moments) -> Components:
    """Moment estimators, not below 0: σ_e² = E, σ_s² = S² − Σ W²E/n, τ² = S_d² − c·E.  Needs ν ≥ 1 (UsageError)."""
    sigma_s2, sigma_e2, tau2 = unbiased_components(m)
    return Components(m.layout.share, m.layout.effective, max(0.0, float(sigma_s2)), sigma_e2, np.maximum(tau2, 0.0))


def unbiased_components(m: Moments) -> tuple[Floats, Floats, Floats]:
    """(σ_s² [...], σ_e² [..., B], τ² [..., B]) before they are cut at 0; σ_s² and τ² may be negative."""
    if m.layout.run_df < 1:
        raise UsageError("one run per arm shows no variance between runs", "train a second run of either arm")
    noise = (m.layout.share**2 / m.layout.effective * m.within).sum(-1)
    return np.asarray(m.run_variance - noise), m.within, np.asarray(m.paired - m.layout.contrast * m.within)
