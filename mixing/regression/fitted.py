"""The regression: one model per task, their weighted mean as the target, and an interval that holds.

The interval is the prediction ± a multiple of the GP's standard deviation there.  The multiple is the quantile
of |error| / deviation over the runs, each predicted by models that have not seen it (cross-conformal: Vovk 2015),
so it is right for whatever model was chosen, and the deviation only says where it is wider.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from mixing.regression.choose import Validated, cross_validate, held_out_deviations, seen_by_fold, spearman
from mixing.regression.models import GP, Fitted, GaussianProcess, one_thread, usable
from mixing.regression.runs import Floats, Runs

LEVEL = 0.9


@dataclass(frozen=True, eq=False)
class Regression:
    """task_weights: float64[tasks], sum 1; quantiles: multiples of the deviation that hold `level` of the errors,
    of the target and of each task."""

    runs: Runs
    validated: Validated
    models: tuple[Fitted, ...]
    gaussians: tuple[GaussianProcess, ...]
    task_weights: Floats
    level: float
    quantile: float
    quantiles: Floats

    def losses(self, weights: Floats) -> Floats:
        """float64[n, tasks] for weights float64[n, sources]."""
        return np.stack([model.predict(weights) for model in self.models], axis=1)

    def target(self, weights: Floats) -> Floats:
        """float64[n]: weighted mean of the tasks' losses."""
        found: Floats = self.losses(weights) @ self.task_weights
        return found

    def deviations(self, weights: Floats) -> Floats:
        """float64[n, tasks]: standard deviations of the GPs, in units of loss."""
        return np.stack([model.deviation(weights) for model in self.gaussians], axis=1)

    def interval(self, weights: Floats) -> tuple[Floats, Floats]:
        """(low, high) of the target, float64[n] each."""
        middle = self.target(weights)
        half = self.quantile * together(self.deviations(weights), self.task_weights)
        return middle - half, middle + half

    def task_intervals(self, weights: Floats) -> tuple[Floats, Floats]:
        """(low, high) of every task, float64[n, tasks] each."""
        middle = self.losses(weights)
        half = self.quantiles * self.deviations(weights)
        return middle - half, middle + half

    @property
    def target_scores(self) -> dict[str, float]:
        """Cross-validated Spearman of the target, were each model used for all tasks; `chosen`: as it is."""
        observed = self.runs.losses @ self.task_weights
        made = self.validated.predictions | {"chosen": self.validated.best}
        return {name: spearman(one @ self.task_weights, observed) for name, one in made.items()}


def together(deviations: Floats, task_weights: Floats) -> Floats:
    """float64[n]: a scale for the error of the mean; how far errors of tasks go together is the quantile's matter."""
    scale: Floats = np.sqrt((deviations * task_weights) ** 2 @ np.ones(len(task_weights)))
    return scale


def fit(runs: Runs, task_weights: Mapping[str, float] | None = None, level: float = LEVEL, seed: int = 0) -> Regression:
    """Choose and fit.  task_weights: {task: ≥ 0}, default all alike; a task that is not named has 0.

    Raises UsageError for a task that is not there, weights without a sum, and a level outside (0, 1).
    """
    shares = _shares(runs, task_weights)
    if not 0 < level < 1:
        raise UsageError(f"level: {level!r}", "a share between 0 and 1, e.g. 0.9")
    used = np.flatnonzero(shares)
    runs = Runs(runs.sources, tuple(runs.tasks[i] for i in used), runs.weights, runs.losses[:, used])
    shares = shares[used]
    with one_thread():
        models = usable(len(runs.sources), seen_by_fold(len(runs)))
        validated = cross_validate(runs, models, seed)
        gaussians = tuple(GaussianProcess(runs.weights, runs.losses[:, task]) for task in range(len(runs.tasks)))
        fitted = tuple(
            gaussians[task] if name == GP else models[name](runs.weights, runs.losses[:, task])
            for task, name in enumerate(validated.chosen)
        )
        deviations = held_out_deviations(gaussians, runs, seed)
    errors = validated.best - runs.losses
    one = np.abs(errors @ shares) / together(deviations, shares)
    each = [_quantile(row, level) for row in (np.abs(errors) / deviations).T]
    return Regression(
        runs, validated, fitted, gaussians, shares, level, _quantile(one, level), np.array(each)
    )  # fmt: skip


def _quantile(values: Floats, level: float) -> float:
    """The ⌈level·(n + 1)⌉-th of n values: what the next one stays below with probability `level`."""
    rank = min(math.ceil(level * (len(values) + 1)), len(values))
    return float(np.sort(values)[rank - 1])


def _shares(runs: Runs, given: Mapping[str, float] | None) -> Floats:
    if given is None:
        return np.full(len(runs.tasks), 1 / len(runs.tasks))
    for name, share in given.items():
        if name not in runs.tasks:
            raise UsageError(f"no task is called {name!r}", suggest(name, list(runs.tasks)))
        if not (math.isfinite(share) and share >= 0):
            raise UsageError(f"task {name}: weight {share!r}", "a number of at least 0")
    raw = np.array([float(given.get(name, 0.0)) for name in runs.tasks])
    if raw.sum() <= 0:
        raise UsageError("all tasks have weight 0", "give one of them more")
    made: Floats = raw / raw.sum()
    return made
