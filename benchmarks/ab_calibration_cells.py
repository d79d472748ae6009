"""Cells of the calibration grid beyond one test of one suite mean: family error, looks, registry, shared baselines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from proxy_model.experiment.statistics.calibrate import Rate
from proxy_model.experiment.statistics.components import pooled_variance
from proxy_model.experiment.statistics.per_benchmark import holm, per_benchmark
from proxy_model.experiment.statistics.power import run_mde
from proxy_model.experiment.statistics.registry_prior import fit_prior
from proxy_model.experiment.statistics.sequential import Spending, bounds, e_value, null_paths
from proxy_model.experiment.statistics.simulate import Suite, Truth, drawn_moments

LOOKS = tuple((k, k) for k in (2, 3, 4, 5, 6, 8))
PATHS = 200_000
ITEMS = (300, 500, 1000, 1200, 1800, 3000)
RHO = (0.8, 0.85, 0.9, 0.8, 0.9, 0.95)
RUN_SD = {  # run effects of six benchmarks, and the one they share
    "alike": ((0.006, 0.004, 0.003, 0.004, 0.003, 0.003), 0.004),
    "none": ((0.0,) * 6, 0.0),
    "shared": ((0.0,) * 6, 0.01),
    "tenfold": ((0.003, 0.002, 0.005, 0.006, 0.01, 0.035), 0.002),
    "one wild": ((0.002,) * 5 + (0.05,), 0.002),
    "large": ((0.01, 0.02, 0.03, 0.04, 0.06, 0.1), 0.002),
}


def _family(law: str, runs: tuple[int, int], copies: int, effect: float, replicates: int = 20_000) -> dict[str, Any]:
    """Family error (effect 0) or chance of any finding; beside it variance pooled over benchmarks and items alone."""
    own, common = RUN_SD[law]
    suites = tuple(Suite(n, rho=r, run_sd=s) for n, r, s in zip(ITEMS, RHO, own, strict=True)) * copies
    m = drawn_moments(Truth(runs, suites, common, effect), replicates, 2024)
    layout, unit = m.layout, m.paired / m.layout.effective
    excess = pooled_variance(m.means, layout.runs) - m.within / layout.effective
    pooled = layout.contrast * np.maximum(excess.mean(-1, keepdims=True), 0) + unit
    p_pooled = 2 * stats.t.sf(np.abs(m.differences) / np.sqrt(pooled), 2 * layout.run_df)
    p_items = 2 * stats.norm.sf(np.abs(m.differences) / np.sqrt(unit))
    found = Rate(int((per_benchmark(m).holm.min(-1) <= 0.05).sum()), replicates)
    return {
        "family_error": found.rate,
        "band99": found.band,
        "pooled_only": float((holm(p_pooled).min(-1) <= 0.05).mean()),
        "items_only": float((holm(p_items).min(-1) <= 0.05).mean()),
        "replicates": replicates,
    }


def _looks(spending: Spending, prior_df: float, looks: tuple[tuple[int, int], ...], effect: float) -> dict[str, Any]:
    plan = bounds(looks, 0.05, spending, prior_df)
    paths = null_paths(looks, prior_df, PATHS, 4048, effect)
    p = stats.t.sf(paths, np.array([a + b - 2 + prior_df for a, b in looks]))
    hit = p <= np.array(plan.levels)
    first = np.where(hit.any(1), hit.argmax(1), len(looks) - 1)
    rate = Rate(int(hit.any(1).sum()), PATHS)
    return {
        "rejected": rate.rate,
        "band99": rate.band,
        "mean_runs": float(np.array([sum(runs) for runs in looks])[first].mean() / 2),
        "peeking": float((p <= 0.05).any(1).mean()),
        "levels": plan.levels,
        "replicates": PATHS,
    }


def _evidence(effect: float, assumed: float = 2.0, replicates: int = 20_000) -> dict[str, Any]:
    paths = null_paths(LOOKS, 0.0, replicates, 4048, effect)
    values = np.stack([e_value(paths[:, j], runs, assumed) for j, runs in enumerate(LOOKS)], 1)
    rate = Rate(int((values >= 20).any(1).sum()), replicates)
    return {"rejected": rate.rate, "band99": rate.band, "replicates": replicates}


def _shared(baseline: int, ratio: float, replicates: int = 400_000) -> dict[str, Any]:
    """One candidate run against a pool of baseline runs; ratio: its variance against theirs."""
    rng = np.random.default_rng(2024)
    pool = rng.standard_normal((replicates, baseline))
    t = (np.sqrt(ratio) * rng.standard_normal(replicates) - pool.mean(1)) / (
        pool.std(1, ddof=1) * np.sqrt(1 + 1 / baseline)
    )
    rate = Rate(int((t > stats.t.isf(0.05, baseline - 1)).sum()), replicates)
    return {"size": rate.rate, "band99": rate.band, "mde80": run_mde((baseline, 1)), "replicates": replicates}


def _registry(true_df: float, past: int, k: int, replicates: int = 10_000) -> dict[str, Any]:
    """Moderated t with a prior fitted on `past` experiments of 3:3 runs whose variances vary as ν/χ²_ν."""
    rng = np.random.default_rng(2024)
    df = 2 * k - 2

    def variances(*shape: int) -> Any:
        return true_df / rng.chisquare(true_df, shape) if np.isfinite(true_df) else np.ones(shape)

    earlier = variances(replicates, past) * rng.chisquare(4, (replicates, past)) / 4
    now = variances(replicates)
    seen, z = now * rng.chisquare(df, replicates) / df, rng.standard_normal(replicates) * np.sqrt(2 * now / k)
    priors = [fit_prior(row.tolist(), [4] * past) for row in earlier]
    nu0, s0 = np.array([p.df for p in priors]), np.array([p.variance for p in priors])
    error = np.sqrt((nu0 * s0 + df * seen) / (nu0 + df) * 2 / k)
    limit, plain = stats.t.isf(0.05, nu0 + df), stats.t.isf(0.05, df)
    rate = Rate(int((z / error > limit).sum()), replicates)
    return {
        "size": rate.rate,
        "band99": rate.band,
        "power_2.5": float(((z + 2.5) / error > limit).mean()),
        "plain_power_2.5": float(((z + 2.5) / np.sqrt(seen * 2 / k) > plain).mean()),
        "replicates": replicates,
    }


def _cells() -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    out: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for law in RUN_SD:
        for runs in ((2, 2), (3, 2), (3, 3), (4, 4), (5, 5), (8, 8), (8, 2), (4, 1)):
            for copies in (1, 4):
                for effect in (0.0, 0.015):
                    out.append(
                        (
                            f"family {law} {runs} benchmarks {6 * copies} effect {effect}",
                            lambda law=law, runs=runs, copies=copies, effect=effect: _family(law, runs, copies, effect),  # type: ignore[misc]
                        )
                    )
    uneven = ((6, 2), (8, 3), (8, 4), (8, 6))
    for spending in ("obrien-fleming", "pocock"):
        for prior, looks in ((0.0, LOOKS), (8.0, LOOKS), (0.0, uneven)):
            for effect in (0.0, 1.0, 2.0, 3.0):
                out.append(
                    (
                        f"looks {spending} prior {prior} schedule {looks} effect {effect}",
                        lambda s=spending, p=prior, v=looks, e=effect: _looks(s, p, v, e),  # type: ignore[misc]
                    )
                )
    out += [(f"e-value effect {e}", lambda e=e: _evidence(e)) for e in (0.0, 1.0, 2.0, 3.0)]  # type: ignore[misc]
    for m in (3, 5, 8, 16):
        for ratio in (1.0, 1.5, 2.0, 4.0):
            out.append((f"shared baseline {m}:1 variance ratio {ratio}", lambda m=m, r=ratio: _shared(m, r)))  # type: ignore[misc]
    for true_df in (5.0, 20.0, np.inf):
        for past in (2, 5, 10, 30):
            for k in (2, 3):
                out.append(
                    (
                        f"registry true df {true_df} past {past} runs {k}:{k}",
                        lambda t=true_df, p=past, k=k: _registry(t, p, k),  # type: ignore[misc]
                    )
                )
    return out


CHECKS = _cells()
