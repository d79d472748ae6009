"""The config's hypothesis and looks as the statistical design, with what the lock froze of the noise registry."""

from __future__ import annotations

from functools import cache
from typing import Any

from curation.pipeline.errors import UsageError
from proxy_model.experiment.settings import Experiment
from proxy_model.experiment.statistics.compare import POOL
from proxy_model.experiment.statistics.design import Design
from proxy_model.experiment.statistics.registry_prior import Noise, NoiseKey, Prior, Registry
from proxy_model.experiment.statistics.sequential import Bounds, Spending, bounds


def looks_of(experiment: Experiment) -> tuple[tuple[int, ...], ...]:
    """Runs of each arm at every look; without a sequential plan the only look is at the end.

    An e-value holds whenever one looks (Ville's inequality): from two runs an arm on after each further one.
    """
    config = experiment.config
    runs = tuple(config.runs_of.values())
    if config.sequential.method == "none":
        return (runs,)
    if config.sequential.method == "e_value":
        return tuple(tuple(min(k, most) for most in runs) for k in range(2, max(runs) + 1))
    return tuple((k,) * len(config.arms) for k in config.sequential.looks)


def registry_of(content: dict[str, Any]) -> Registry | None:
    """The earlier experiments that the lock names, or None where none are borrowed from."""
    entries = tuple(Noise(NoiseKey(**one["key"]), one["variance"], one["df"]) for one in content["registry"])
    return Registry(entries) if entries else None


def prior_of(content: dict[str, Any]) -> Prior | None:
    registry = registry_of(content)
    return None if registry is None else registry.prior(NoiseKey(**content["key"]))


def design_of(experiment: Experiment, content: dict[str, Any]) -> Design:
    """Raises UsageError for one run per arm without a registry, unless exploratory or an A/A pilot."""
    config, hypothesis = experiment.config, experiment.config.hypothesis
    runs, prior = list(config.runs_of.values()), prior_of(content)
    if not (experiment.pilot or config.exploratory):
        refuse_single_runs(runs, prior)
    return Design(
        kind=hypothesis.kind, alpha=hypothesis.alpha, two_sided=hypothesis.two_sided, power=hypothesis.power,
        margin=hypothesis.margin, mde=hypothesis.mde, items=config.primary.units, bounds=_bounds(experiment, prior),
        baseline_pool=runs[0] >= POOL and min(runs) == 1, key=NoiseKey(**content["key"]),
        e_effect=config.sequential.effect,
    )  # fmt: skip


def refuse_single_runs(runs: list[int], prior: Prior | None) -> None:
    """Raises UsageError where the runs (baseline first) show no variance and none is borrowed."""
    if len(runs) == 1 or min(runs) > 1 or prior is not None or runs[0] >= POOL:
        return
    raise UsageError(
        f"{' and '.join(map(str, runs))} runs: one run shows no variance between runs, so there can be no verdict",
        "train two runs per arm or more; or registry: true with earlier experiments of the same model, tokens, "
        f"suite and metric; or {POOL} baseline runs for one candidate run; or exploratory: true, without a verdict",
    )


def _bounds(experiment: Experiment, prior: Prior | None) -> Bounds | None:
    config = experiment.config
    if config.sequential.method in ("none", "e_value"):
        return None
    hypothesis = config.hypothesis
    side = hypothesis.alpha / 2 if hypothesis.two_sided else hypothesis.alpha
    spending: Spending = "pocock" if config.sequential.method == "pocock" else "obrien-fleming"
    return _boundaries(tuple(config.sequential.looks), side, spending, 0.0 if prior is None else prior.df)


@cache
def _boundaries(looks: tuple[int, ...], side: float, spending: Spending, prior_df: float) -> Bounds:
    return bounds(tuple((k, k) for k in looks), side, spending, prior_df)
