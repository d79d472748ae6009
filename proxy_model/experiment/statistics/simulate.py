"""Made experiments with known truth, at the level of single items: many replicates at once, seeded.

One unit is an item; clusters share a part of the run×item noise and of the arm×item effect.  Everything is on the
metric's scale, except that for `binary` the latent score is thresholded and run effects and the true effect are
translated through the density at the threshold, so that they stay in accuracy points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from proxy_model.experiment.statistics.components import Components, Floats, Layout, Moments, moments

Kind = Literal["gaussian", "binary", "heavy"]
VALUES = 4_000_000  # scores held at once


@dataclass(frozen=True)
class Suite:
    """One benchmark of the truth.  units: items; item_sd: sd of a score over items; rho: correlation of two runs of one
    arm on an item; arm_share: arm×item variance of the contrast as a share of item_sd²; run_sd: the benchmark's own run
    effect; weight in the suite."""

    units: int
    item_sd: float = 0.45
    rho: float = 0.9
    arm_share: float = 0.03
    run_sd: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True)
class Truth:
    """runs: (baseline, candidate); run_sd: run effect shared by all benchmarks; effect: candidate − baseline.

    cluster: items per cluster, cluster_share of the arm×item and run×item variance common to it; bad_share of runs are
    shifted by −bad_shift·run_sd (heavy); variance_ratio: candidate's run variance against the baseline's.
    """

    runs: tuple[int, int]
    benchmarks: tuple[Suite, ...]
    run_sd: float = 0.005
    effect: float = 0.0
    kind: Kind = "gaussian"
    accuracy: float = 0.4
    cluster: int = 1
    cluster_share: float = 0.5
    bad_share: float = 0.1
    bad_shift: float = 5.0
    variance_ratio: float = 1.0

    def layout(self, clustered: bool = True) -> Layout:
        """Units of the test: clusters (default) or single items."""
        weights = np.array([s.weight for s in self.benchmarks]) / sum(s.weight for s in self.benchmarks)
        counts = [s.units // self.cluster if clustered else s.units for s in self.benchmarks]
        return Layout(
            self.runs,
            np.repeat(np.arange(len(counts)), counts),
            np.repeat(weights / counts, counts),
        )

    def components(self) -> Components:
        """True components of a gaussian truth with equal run variances."""
        layout = self.layout()
        sd2 = np.array([s.item_sd**2 for s in self.benchmarks])
        inflate = (1 + (self.cluster - 1) * (self.cluster_share if self.cluster > 1 else 0)) / self.cluster
        own = np.array([s.run_sd**2 for s in self.benchmarks])
        return Components(
            layout.share,
            layout.units.astype(float),
            float(self.run_sd**2 + (layout.share**2 * own).sum()),
            sd2 * np.array([1 - s.rho for s in self.benchmarks]) * inflate,
            sd2 * np.array([s.arm_share for s in self.benchmarks]) * inflate,
        )


def simulate(truth: Truth, replicates: int, seed: int) -> Iterator[Floats]:
    """Batches float32 [r, runs, items] that add up to `replicates`; the same for every machine with one numpy."""
    rng = np.random.default_rng(seed)
    per = sum(truth.runs) * sum(s.units for s in truth.benchmarks)
    step = max(1, VALUES // per)
    for start in range(0, replicates, step):
        yield _batch(truth, min(step, replicates - start), rng)


def _batch(truth: Truth, size: int, rng: np.random.Generator) -> Floats:
    total, first = sum(truth.runs), truth.runs[0]
    common = _run_effects(truth, size, rng, truth.run_sd)
    parts = []
    for suite in truth.benchmarks:
        y = _cells(truth, (size, total, suite.units), rng, np.sqrt(1 - suite.rho), truth.kind == "heavy")
        y += _normal(rng, (size, 1, suite.units), np.sqrt(suite.rho - suite.arm_share / 2))
        for arm in (slice(0, first), slice(first, total)):
            y[:, arm] += _cells(truth, (size, 1, suite.units), rng, np.sqrt(suite.arm_share / 2), False)
        shift = common + _run_effects(truth, size, rng, suite.run_sd)
        shift[:, first:] += np.float32(truth.effect)
        if truth.kind == "binary":
            limit = stats.norm.isf(truth.accuracy)
            y += (shift / np.float32(stats.norm.pdf(limit)))[:, :, None]
            parts.append((y > limit).astype(np.float32))
        else:
            y *= np.float32(suite.item_sd)
            y += shift[:, :, None]
            parts.append(y)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], sd: float) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(sd)


def _cells(truth: Truth, shape: tuple[int, int, int], rng: np.random.Generator, sd: float, heavy: bool) -> Floats:
    """Noise with unit-cluster correlation; heavy: Student's t with 4 degrees of freedom, same variance."""
    if truth.cluster > 1:
        shared = _normal(rng, (shape[0], shape[1], shape[2] // truth.cluster), sd * np.sqrt(truth.cluster_share))
        own = _normal(rng, shape, sd * np.sqrt(1 - truth.cluster_share))
        return own + np.repeat(shared, truth.cluster, axis=2)
    y = rng.standard_normal(shape, dtype=np.float32)
    if heavy:
        # χ²_4 = 2·Gamma(2) = −2·ln(U₁U₂); t₄ = z·√(4/χ²_4) has variance 2
        y *= np.sqrt(np.float32(1.0) / rng.standard_gamma(2.0, shape, dtype=np.float32))
    y *= np.float32(sd)
    return y


def _run_effects(truth: Truth, size: int, rng: np.random.Generator, sd: float) -> Floats:
    effects = _normal(rng, (size, sum(truth.runs)), sd)
    if truth.kind == "heavy":
        effects -= np.float32(truth.bad_shift * sd) * (rng.random(effects.shape, dtype=np.float32) < truth.bad_share)
    effects[:, truth.runs[0] :] *= np.float32(np.sqrt(truth.variance_ratio))
    return effects


def by_cluster(y: Floats, cluster: int) -> Floats:
    """[..., items] → [..., clusters]: means of consecutive items."""
    return y if cluster == 1 else y.reshape(*y.shape[:-1], -1, cluster).mean(-1)


def simulated_moments(truth: Truth, replicates: int, seed: int, clustered: bool = True) -> Iterator[Moments]:
    """Moments of item-level experiments, batch by batch."""
    layout = truth.layout(clustered)
    for y in simulate(truth, replicates, seed):
        yield moments(by_cluster(y, truth.cluster) if clustered else y, layout)


def drawn_moments(truth: Truth, replicates: int, seed: int) -> Moments:
    """Moments of a gaussian truth drawn from their own laws (normal means, χ² mean squares): the same distribution as
    `simulated_moments` without the items, thousands of times faster (Cochran's theorem)."""
    if truth.kind != "gaussian":
        raise ValueError("only gaussian mean squares are χ²")
    rng = np.random.default_rng(seed)
    layout, parts = truth.layout(), truth.components()
    (a, b), n, count = truth.runs, parts.units, len(parts.share)
    own = np.array([s.run_sd for s in truth.benchmarks])
    ratio = np.repeat([1.0, np.sqrt(truth.variance_ratio)], truth.runs)[:, None]
    means = truth.run_sd * rng.standard_normal((replicates, a + b, 1))
    means = (means + own * rng.standard_normal((replicates, a + b, count))) * ratio
    means += np.sqrt(parts.sigma_e2 / n) * rng.standard_normal(means.shape)
    means[:, a:] += truth.effect + np.sqrt(parts.tau2 / n) * rng.standard_normal((replicates, 1, count))
    paired = (parts.tau2 + layout.contrast * parts.sigma_e2) * rng.chisquare(n - 1, (replicates, count)) / (n - 1)
    if layout.run_df == 0:
        return Moments(layout, means, paired, np.zeros((replicates, count)))
    degrees = layout.run_df * (n - 1)
    return Moments(layout, means, paired, parts.sigma_e2 * rng.chisquare(degrees, (replicates, count)) / degrees)
