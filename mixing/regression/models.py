"""The candidates: each learns one task's loss from the weights, and predicts it for other mixes.

All but the exponential law are scikit-learn's, imported when used (extra `regress`).  Losses are positive and
their effects multiply, so ridge and GP work on log loss; √w makes the first tokens of a source count most, as
they do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from curation.pipeline.errors import UsageError
from mixing.regression.exponential import fit_exponential
from mixing.regression.runs import Floats, least_runs

RIDGES = tuple(10.0 ** (k / 2) for k in range(-12, 3))  # strengths that ridge's own leave-one-out chooses from
LENGTHS = (0.1, 100.0)  # of the kernel along one √w; at 100 a source does not matter
NOISE = (1e-5, 1.0)  # of the variance of log loss
TREES: dict[str, Any] = {"max_iter": 300, "learning_rate": 0.05, "max_leaf_nodes": 8, "min_samples_leaf": 5}


class Fitted(Protocol):
    """A model of one task."""

    def predict(self, weights: Floats) -> Floats:
        """float64[n] losses for weights float64[n, sources]."""


Fit = Callable[[Floats, Floats], Fitted]


class _Ridge:
    """Ridge on [w, √w] of log loss."""

    def __init__(self, weights: Floats, losses: Floats) -> None:
        from sklearn.linear_model import RidgeCV

        self._model = RidgeCV(alphas=RIDGES).fit(self._features(weights), np.log(losses))

    @staticmethod
    def _features(weights: Floats) -> Floats:
        return np.concatenate([weights, np.sqrt(weights)], axis=1)

    def predict(self, weights: Floats) -> Floats:
        losses: Floats = np.exp(self._model.predict(self._features(weights)))
        return losses


class GaussianProcess:
    """GP of log loss on √w: Matérn 5/2, with a length scale for each source, found by the marginal likelihood.

    One length scale for all is far worse where a task depends on few sources (docs/mixing-regression.md).
    """

    def __init__(self, weights: Floats, losses: Floats) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        size = ConstantKernel(1.0, (1e-2, 1e3))
        kernel = size * Matern(np.full(weights.shape[1], 2.0), LENGTHS, nu=2.5) + WhiteKernel(0.01, NOISE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound is a source of no effect
            self._model = GaussianProcessRegressor(kernel, normalize_y=True).fit(np.sqrt(weights), np.log(losses))

    def relearned(self, weights: Floats, losses: Floats) -> GaussianProcess:
        """The same kernel and noise, given other runs."""
        from sklearn.base import clone

        made = object.__new__(GaussianProcess)
        made._model = clone(self._model).set_params(kernel=self._model.kernel_, optimizer=None)
        made._model.fit(np.sqrt(weights), np.log(losses))
        return made

    def predict(self, weights: Floats) -> Floats:
        losses: Floats = np.exp(self._model.predict(np.sqrt(weights)))
        return losses

    def deviation(self, weights: Floats) -> Floats:
        """float64[n]: standard deviation of the loss (to first order; noise of a run included)."""
        mean, deviation = self._model.predict(np.sqrt(weights), return_std=True)
        spread: Floats = np.exp(mean) * deviation
        return spread

    def covariance(self, weights: Floats) -> tuple[Floats, float]:
        """float64[n, n] of the log loss without the noise of a run, and that noise's variance."""
        _, joint = self._model.predict(np.sqrt(weights), return_cov=True)
        noise = float(self._model.kernel_.k2.noise_level) * float(self._model._y_train_std) ** 2
        return joint - noise * np.eye(len(joint)), noise


class _Trees:
    """Gradient-boosted trees on w."""

    def __init__(self, weights: Floats, losses: Floats) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        self._model = HistGradientBoostingRegressor(**TREES, random_state=0).fit(weights, losses)

    def predict(self, weights: Floats) -> Floats:
        return np.asarray(self._model.predict(weights), np.float64)


GP = "gp"
MODELS: dict[str, Fit] = {"exponential": fit_exponential, "ridge": _Ridge, GP: GaussianProcess, "trees": _Trees}


def usable(sources: int, runs: int) -> dict[str, Fit]:
    """The candidates with at most as many parameters as there are runs to fit."""
    parameters = {"exponential": least_runs(sources), "ridge": 2 * sources + 1}
    return {name: fit for name, fit in MODELS.items() if parameters.get(name, 0) <= runs}


def one_thread() -> AbstractContextManager[Any]:
    """Numerical libraries on one thread: sums in one order, and no waiting for each other on tiny matrices."""
    import sklearn.ensemble  # noqa: F401  a library is limited only when it is there already
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def require_library() -> None:
    """Raises UsageError where scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise UsageError("mixture regression needs scikit-learn", "pip install 'curate-lm[regress]'") from None
