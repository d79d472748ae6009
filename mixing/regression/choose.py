"""Cross-validation: every run is predicted by models that have not seen it, and the best model of each task wins.

Folds are cut by a hash of the weights, so neither the order of the rows nor a later row moves a run, and runs of
one mix stand in one fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from curation.pipeline.hashing import Purpose, derive_seed, hash64
from mixing.regression.models import Fit, GaussianProcess
from mixing.regression.runs import Floats, Runs

FOLDS = 10  # with 5, models see so much less than all runs that intervals come out too wide


@dataclass(frozen=True, eq=False)
class Validated:
    """predictions: model → float64[runs, tasks], each by models that have not seen the run; scores: model →
    Spearman float64[tasks]; chosen: model of each task."""

    predictions: dict[str, Floats]
    scores: dict[str, Floats]
    chosen: tuple[str, ...]

    @property
    def best(self) -> Floats:
        """float64[runs, tasks]: predictions of the chosen models."""
        columns = [self.predictions[name][:, task] for task, name in enumerate(self.chosen)]
        return np.stack(columns, axis=1)


def spearman(predicted: Floats, observed: Floats) -> float:
    """Rank correlation; 0 where one side is constant, so that such a model is never chosen."""
    if np.ptp(predicted) == 0 or np.ptp(observed) == 0:
        return 0.0
    return float(spearmanr(predicted, observed).statistic)


def seen_by_fold(runs: int) -> int:
    """Runs that the models of a fold learn from."""
    return runs - -(-runs // FOLDS)


def folds_of(weights: Floats, seed: int, folds: int = FOLDS) -> NDArray[np.int64]:
    """int64[runs]: fold of each run, sizes equal to one mix."""
    purpose = derive_seed(seed, Purpose.SPLIT, "mixture regression")
    keys = [hash64(np.ascontiguousarray(row).tobytes(), purpose) for row in weights]
    place = {key: i for i, key in enumerate(sorted(set(keys)))}
    return np.array([place[key] % folds for key in keys], np.int64)


def cross_validate(runs: Runs, models: dict[str, Fit], seed: int = 0) -> Validated:
    """All models on all tasks.  Ties go to the model that stands first."""
    fold = folds_of(runs.weights, seed)
    predictions = {name: np.empty_like(runs.losses) for name in models}
    for number in np.unique(fold):
        out = fold == number
        seen, unseen = runs.weights[~out], runs.weights[out]
        for task in range(len(runs.tasks)):
            for name, fit in models.items():
                predictions[name][out, task] = fit(seen, runs.losses[~out, task]).predict(unseen)
    scores = {
        name: np.array([spearman(made[:, task], runs.losses[:, task]) for task in range(len(runs.tasks))])
        for name, made in predictions.items()
    }
    chosen = tuple(max(models, key=lambda name: scores[name][task]) for task in range(len(runs.tasks)))
    return Validated(predictions, scores, chosen)


def held_out_deviations(gaussian: Sequence[GaussianProcess], runs: Runs, seed: int = 0) -> Floats:
    """float64[runs, tasks]: deviation of each task's GP at each run, had it not seen the run's fold.

    Kernel and noise stay those of all runs: with a fold's own, the unit would not be that of new mixes.
    """
    fold = folds_of(runs.weights, seed)
    found = np.empty_like(runs.losses)
    for number in np.unique(fold):
        out = fold == number
        for task, one in enumerate(gaussian):
            again = one.relearned(runs.weights[~out], runs.losses[~out, task])
            found[out, task] = again.deviation(runs.weights[out])
    return found
