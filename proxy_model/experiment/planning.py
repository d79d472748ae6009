"""How many runs: what is known of the noise, what the configured runs can find, and the cheapest design."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.pipeline.errors import UsageError
from proxy_model.experiment.design import refuse_single_runs
from proxy_model.experiment.registry import matching
from proxy_model.experiment.settings import Experiment
from proxy_model.experiment.statistics.components import Components
from proxy_model.experiment.statistics.plan import Costs, Goal, Plan, plan
from proxy_model.experiment.statistics.power import PaperSizing, Sampling, paper_sizing
from proxy_model.experiment.statistics.registry_prior import NoiseKey, Prior, fit_prior
from proxy_model.experiment.suite import Suite

AA_FILE = "aa.json"
PAPER_SIGMA = 1.0  # the paper's error rate does not depend on the scale


@dataclass(frozen=True, eq=False)
class Noise:
    """What is known of the spread between runs; origin: in words; seconds: of one run, None where not measured."""

    parts: Components
    origin: str
    seconds: float | None
    prior: Prior | None


@dataclass(frozen=True, eq=False)
class Planned:
    """runs: as configured; mde: what they find; power: at `hypothesis.mde` or `margin` (nan without)."""

    runs: tuple[int, int]
    mde: float
    mde_in_sigma: float
    power: float
    sentence: str
    best: Plan
    paper: PaperSizing
    noise: Noise
    warnings: tuple[str, ...]


def stated(suite: Suite, sigma: float, tau: float = 0.0, origin: str = "stated") -> Components:
    """Components with only σ_seed known (it holds the item noise of these items); tau: sd of arm×item effects."""
    if not (math.isfinite(sigma) and sigma > 0):
        raise UsageError(f"--sigma {sigma}: a standard deviation above 0, in metric units")
    share = np.array([suite.weights[name] for name in sorted(suite.weights)])
    units = np.array([float(suite.counts[name]) for name in sorted(suite.weights)])
    return Components(share, units, sigma**2, np.zeros_like(share), np.full_like(share, tau**2))


def known_noise(experiment: Experiment, suite: Suite, sigma: float | None, key: NoiseKey | None) -> Noise:
    """From --sigma, else from this experiment's A/A runs, else from the registry.

    key: of the registry, None where the arms are not built.  Raises UsageError that says which pilot to run.
    """
    prior = None
    entries = [] if key is None else matching(experiment.registry, key)
    if experiment.config.registry and entries:
        prior = fit_prior([one.variance for one in entries], [one.df for one in entries])
    if sigma is not None:
        return Noise(stated(suite, sigma), "stated by you; arm×item effects taken as 0", None, prior)
    pilot = experiment.folder.with_name(f"{experiment.folder.name}-aa") / AA_FILE
    if pilot.exists():
        try:
            found = json.loads(pilot.read_bytes())
            _ = found["key"], found["components"], found["aa"]["runs"], found["arm"], found["seconds_per_run"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{pilot} is damaged: {error}", "curate ab aa writes it again") from None
        if key is not None and found["key"] == {**key.__dict__}:
            parts = found["components"]
            arrays = {name: np.array(parts[name], np.float64) for name in ("share", "units", "sigma_e2", "tau2")}
            return Noise(
                Components(sigma_s2=float(parts["sigma_s2"]), **arrays),
                f"{found['aa']['runs']} A/A runs of {found['arm']} ({pilot.parent.name})", found["seconds_per_run"],
                prior,
            )  # fmt: skip
    if entries:
        df = sum(one.df for one in entries)
        variance = sum(one.variance * one.df for one in entries) / df
        words = f"registry: {len(entries)} experiments, {df} degrees of freedom; arm×item effects taken as 0"
        return Noise(stated(suite, math.sqrt(variance)), words, None, prior)
    raise UsageError(
        "σ_seed, the spread of scores between runs of one arm, is not known for this model, tokens, suite and metric",
        f"measure it: curate ab aa {experiment.path.name} --runs 8 (enters the registry); or state it: --sigma 0.004",
    )


def make_plan(
    experiment: Experiment,
    noise: Noise,
    *,
    budget: float | None = None,
    effect: float | None = None,
    max_runs: int = 32,
) -> Planned:
    """effect: default `hypothesis.mde` (or `margin`); budget: in runs.  Raises UsageError for one run per arm."""
    config, hypothesis = experiment.config, experiment.config.hypothesis
    if len(config.arms) < 2:
        raise UsageError(
            "one arm: a comparison needs a baseline and a candidate", "curate ab aa measures the noise of one arm"
        )
    counts = list(config.runs_of.values())
    if not config.exploratory:
        refuse_single_runs(counts, noise.prior)
    target = effect or hypothesis.mde
    superiority = hypothesis.kind == "superiority"
    spent = float(sum(counts)) if budget is None and (target if superiority else hypothesis.margin) is None else budget
    goal = Goal(
        kind=hypothesis.kind, effect=target, margin=hypothesis.margin, budget=spent, alpha=hypothesis.alpha,
        two_sided=hypothesis.two_sided, power=hypothesis.power, items=config.primary.units, candidates=len(counts) - 1,
        max_runs=max_runs, exploratory=config.exploratory,
    )  # fmt: skip
    runs = (counts[0], min(counts[1:]))
    best = plan(goal, Costs(), noise.parts, noise.prior)
    sampling = Sampling(noise.parts, runs, 0.0 if noise.prior is None else noise.prior.df, config.primary.units)
    if sampling.run_df <= 0:
        return Planned(
            runs,
            math.nan,
            math.nan,
            math.nan,
            "Exploratory: one run per arm gives no verdict.",
            best,
            paper(noise),
            noise,
            (),
        )
    mde = sampling.mde(goal.power, goal.side)
    power = math.nan
    if goal.target is not None:
        equivalence = goal.kind == "equivalence"
        power = (
            sampling.power_equivalent(goal.target, goal.side) if equivalence else sampling.power(goal.target, goal.side)
        )
    in_sigma = mde / noise.parts.sigma_seed
    sentence = (
        f"With this budget ({runs[0]} baseline and {runs[1]} candidate runs) you can detect {mde:.4g} = "
        f"{in_sigma:.2f}·σ_seed with {goal.power:.0%} power at {goal.alpha:.3g} "
        f"({'two-sided' if goal.two_sided else 'one-sided'})."
    )
    short: tuple[str, ...] = () if math.isnan(power) or power >= goal.power else (
        f"the configured runs have {power:.0%} power at {goal.target:.4g}, planned is {goal.power:.0%}",
    )  # fmt: skip
    if config.primary.units == "random" and not noise.parts.tau2.any():
        short += ("what mixes change item by item is not known and taken as 0: the real detectable effect is larger",)
    return Planned(runs, mde, in_sigma, power, sentence, best, paper(noise), noise, (*short, *best.warnings))


def paper(noise: Noise) -> PaperSizing:
    """MiniMax-01's sizing: items until one run against one finds σ_seed; nan items where item noise is not known."""
    parts = noise.parts
    main = parts.sigma_s2 if parts.sigma_s2 > 0 else parts.sigma_seed**2
    difference = float((parts.share**2 * (parts.tau2 + 2 * parts.sigma_e2) / parts.units).sum() * parts.units.sum())
    found = paper_sizing(math.sqrt(difference), math.sqrt(main))
    return found if difference > 0 else PaperSizing(math.nan, found.mde, found.nominal, found.actual)


def to_json(found: Planned) -> dict[str, Any]:
    """For --json; NaN as null."""
    from proxy_model.experiment.verdict import plain

    made: dict[str, Any] = plain(found)
    made["noise"] = {
        "origin": found.noise.origin,
        "sigma_seed": found.noise.parts.sigma_seed,
        "prior": plain(found.noise.prior),
    }
    return made
