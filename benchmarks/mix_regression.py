"""How well do N small proxy runs rank mixes that nobody has run?  RegMix's published runs, all from one process.

    python benchmarks/mix_regression.py FOLDER [--runs 64] [--draws 12] [--peer]

FOLDER holds the CSV files of sail-sg/regmix `data/`.  Training runs: 1M parameters; a draw is N of the 512, the
first draw the first N of the file.  Tests: the same 256 unseen mixes at 1M and at 60M, and 64 others at 1B.  The
model of each task is chosen by cross-validation inside the draw, before a test file is looked at.  `--peer` adds
LightGBM with RegMix's settings (needs the package lightgbm).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from results import write_result

from mixing.regression.choose import spearman
from mixing.regression.exponential import fit_exponential
from mixing.regression.fitted import fit
from mixing.regression.models import GaussianProcess
from mixing.regression.runs import Floats, Runs, read_runs

SINGLE = "the_pile_pile_cc"
TESTS = ("1m", "60m", "1B")
# RegMix's regression: 1,000 rounds at rate 0.01, seed 42.  Leaves of 5 runs in place of LightGBM's 20: with 64 runs,
# 20 would leave hardly a split.
REGMIX = {"n_estimators": 1000, "learning_rate": 0.01, "num_leaves": 31, "min_child_samples": 5, "random_state": 42,
          "n_jobs": 1, "verbosity": -1}  # fmt: skip
Predict = Callable[[Floats, Floats, Floats], Floats]


def main() -> None:
    """Runs everything and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, nargs="+", default=[64])
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--peer", action="store_true", help="LightGBM beside ours")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")  # of the baselines: bounds met, names of columns
    trained = _read(options.folder, "train", "1m")
    tests = {size: _read(options.folder, "test", size) for size in TESTS}
    found = {str(n): _draws(trained, tests, n, options.draws, options.peer) for n in options.runs}
    found["ceiling"] = {
        name: {f"1m to {size}": _rank(tests["1m"].losses @ w, tests[size].losses @ w) for size in ("60m",)}
        for name, w in _targets(trained).items()
    }
    found["training_runs"] = len(trained)
    found["test_mixes"] = {size: len(test) for size, test in tests.items()}
    write_result("mix_regression", found, {"scikit-learn": __import__("sklearn").__version__} | _peers(options.peer))


def _peers(peer: bool) -> dict[str, str]:
    return {"lightgbm": __import__("lightgbm").__version__} if peer else {}


def _read(folder: Path, part: str, size: str) -> Runs:
    files = [folder / f"{part}_mixture_{size}.csv", folder / f"{part}_pile_loss_{size}.csv"]
    return read_runs(files, "train_", "metric/", "index", "_val_loss")


def _targets(runs: Runs) -> dict[str, Floats]:
    single = np.array([float(name == SINGLE) for name in runs.tasks])
    return {"single": single, "mean": np.full(len(runs.tasks), 1 / len(runs.tasks))}


def _rank(a: Floats, b: Floats) -> float:
    return round(spearman(a, b), 4)


def _draws(trained: Runs, tests: dict[str, Runs], n: int, draws: int, peer: bool) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for draw in range(draws):
        order = np.random.Generator(np.random.PCG64(draw)).permutation(len(trained))
        chosen = np.arange(n) if draw == 0 else np.sort(order[:n])
        rows.append(_one(trained.take(chosen), tests, peer))
        print(n, draw, {k: rows[-1][k] for k in ("single", "mean", "coverage", "seconds")}, flush=True)
    return {"draws": rows, "summary": _summary(rows)}


def _one(runs: Runs, tests: dict[str, Runs], peer: bool) -> dict[str, Any]:
    before = time.process_time()
    whole = fit(runs)
    alone = fit(runs, {SINGLE: 1.0})
    seconds = time.process_time() - before
    record: dict[str, Any] = {
        "models": dict(zip(runs.tasks, whole.validated.chosen, strict=True)),
        "cv": {name: round(value, 4) for name, value in whole.target_scores.items()},
        "cv_single": {name: round(value, 4) for name, value in alone.target_scores.items()},
        "single": {}, "mean": {}, "coverage": {}, "seconds": round(seconds, 1),
    }  # fmt: skip
    single = list(runs.tasks).index(SINGLE)
    for size, test in tests.items():
        record["single"][size] = {"chosen": _rank(alone.target(test.weights), test.losses[:, single])}
        record["mean"][size] = {"chosen": _rank(whole.target(test.weights), test.losses.mean(1))}
    unseen = tests["1m"]  # the same size of model: an interval is about its own runs' losses
    for name, one, truth in (("single", alone, unseen.losses[:, single]), ("mean", whole, unseen.losses.mean(1))):
        low, high = one.interval(unseen.weights)
        record["coverage"][name] = round(float(((low <= truth) & (truth <= high)).mean()), 4)
    low, high = whole.task_intervals(unseen.weights)
    record["coverage"]["tasks"] = round(float(((low <= unseen.losses) & (unseen.losses <= high)).mean()), 4)
    for name, predict in _baselines(peer).items():
        for size, test in tests.items():
            made = np.stack([predict(runs.weights, y, test.weights) for y in runs.losses.T], axis=1)
            record["single"][size][name] = _rank(made[:, single], test.losses[:, single])
            record["mean"][size][name] = _rank(made.mean(1), test.losses.mean(1))
    for size, test in tests.items():
        for name, predict in _baselines(peer).items():
            made_at_once = predict(runs.weights, runs.losses.mean(1), test.weights)
            record["mean"][size][f"{name}, fitted to the mean"] = _rank(made_at_once, test.losses.mean(1))
    return record


def _baselines(peer: bool) -> dict[str, Predict]:
    """Published ways, each on w: RegMix's linear regression and LightGBM, the law of Ye et al.; and one GP."""

    def linear(seen: Floats, y: Floats, unseen: Floats) -> Floats:
        from sklearn.linear_model import LinearRegression

        return np.asarray(LinearRegression(fit_intercept=False).fit(seen, y).predict(unseen))

    def trees(seen: Floats, y: Floats, unseen: Floats) -> Floats:
        from sklearn.ensemble import HistGradientBoostingRegressor

        model = HistGradientBoostingRegressor(
            max_iter=1000, learning_rate=0.01, max_leaf_nodes=31, min_samples_leaf=5, random_state=42
        )
        return np.asarray(model.fit(seen, y).predict(unseen))

    def lightgbm(seen: Floats, y: Floats, unseen: Floats) -> Floats:
        from lightgbm import LGBMRegressor

        return np.asarray(LGBMRegressor(**REGMIX).fit(seen, y).predict(unseen))

    def one_length(seen: Floats, y: Floats, unseen: Floats) -> Floats:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        kernel = ConstantKernel(1.0) * RBF(1.0) + WhiteKernel(0.01)
        model = GaussianProcessRegressor(kernel, normalize_y=True).fit(np.sqrt(seen), y)
        return np.asarray(model.predict(np.sqrt(unseen)))

    return {
        "linear": linear,
        "exponential": lambda seen, y, unseen: fit_exponential(seen, y).predict(unseen),
        "lightgbm" if peer else "trees": lightgbm if peer else trees,
        "gp, one length scale": one_length,
        "gp": lambda seen, y, unseen: GaussianProcess(seen, y).predict(unseen),
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and worst over the draws."""

    def both(values: list[float]) -> dict[str, float]:
        return {"mean": round(statistics.fmean(values), 4), "least": min(values), "most": max(values)}

    made: dict[str, Any] = {
        target: {
            size: {name: both([row[target][size][name] for row in rows]) for name in rows[0][target][size]}
            for size in TESTS
        }
        for target in ("single", "mean")
    }
    made["coverage"] = {name: both([row["coverage"][name] for row in rows]) for name in rows[0]["coverage"]}
    made["cpu_seconds"] = both([row["seconds"] for row in rows])
    return made


if __name__ == "__main__":
    main()
