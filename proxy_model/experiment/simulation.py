"""What a plan's test does on made experiments whose truth is known: false positives, power, coverage."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from proxy_model.experiment.statistics.calibrate import Calibration, Rate, calibrate
from proxy_model.experiment.statistics.components import Components
from proxy_model.experiment.statistics.design import Design
from proxy_model.experiment.statistics.registry_prior import Prior
from proxy_model.experiment.statistics.sequential import null_paths
from proxy_model.experiment.statistics.simulate import Suite, Truth

RHO = 0.9  # correlation of two runs on an item where only σ_seed is known (reference, experiments §5.2: .8 to .95)
ITEM_SD = 0.25
ARM_SHARE = 0.03  # of item variance that arms change item by item, where it is not known


@dataclass(frozen=True)
class Simulated:
    """null: at effect 0; at: at the effect (None without one); looks: false positives over all looks."""

    null: Calibration
    at: Calibration | None
    effect: float | None
    looks: Rate | None


def truth_of(parts: Components, runs: tuple[int, int]) -> Truth:
    """A gaussian truth with these components; unknown item noise is filled in within σ_seed."""
    names = range(len(parts.share))
    known = bool(parts.sigma_e2.any())
    sd2 = parts.sigma_e2 / (1 - RHO) if known else np.full(len(parts.share), ITEM_SD**2)
    noise = float((parts.share**2 * sd2 * (1 - RHO) / parts.units).sum())
    main = parts.sigma_s2 if known else max(parts.sigma_s2 - noise, 0.0)
    tau = np.where(parts.tau2 > 0, parts.tau2, ARM_SHARE * sd2 if not known else 0.0)
    suites = tuple(
        Suite(
            max(2, round(float(parts.units[i]))), float(np.sqrt(sd2[i])), RHO, float(min(tau[i] / sd2[i], 2 * RHO)),
            weight=float(parts.share[i]),
        )
        for i in names
    )  # fmt: skip
    return Truth(runs, suites, run_sd=float(np.sqrt(main)))


def simulated(
    parts: Components, runs: tuple[int, int], design: Design, *, effect: float | None, replicates: int, seed: int,
    prior: Prior | None = None,
) -> Simulated:  # fmt: skip
    """Item by item, seeded; the looks from paths of the pooled t (their boundaries were made with another seed)."""
    truth = truth_of(parts, runs)
    null = calibrate(truth, replicates, seed, design.side, design.items, prior)
    at = None
    if effect is not None:
        at = calibrate(replace(truth, effect=effect), replicates, seed + 1, design.side, design.items, prior)
    looks = None
    if design.bounds is not None:
        plan = design.bounds
        paths = null_paths(plan.looks, plan.prior_df, 10 * replicates, seed + 2)
        df = np.array([sum(look) - 2 + plan.prior_df for look in plan.looks])
        looks = Rate(int((paths >= stats.t.isf(np.array(plan.levels), df)).any(1).sum()), 10 * replicates)
    return Simulated(null, at, effect, looks)
