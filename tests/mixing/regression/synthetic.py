"""Runs of a known law: each task's loss falls with some sources as a power law, plus the noise of a run."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from mixing.regression.runs import Floats, Runs

SOURCES = ("books", "code", "forum", "news", "web")
TASKS = ("prose", "programs", "talk")
HELPS = np.array([[1.0, 0.0, 0.1, 0.5, 0.4], [0.0, 1.0, 0.1, 0.0, 0.1], [0.1, 0.1, 1.0, 0.1, 0.3]])


def law(weights: Floats) -> Floats:
    """float64[n, tasks]: losses without noise."""
    reached = weights @ HELPS.T
    made: Floats = 2.0 + 1.5 * (reached + 0.01) ** -0.25
    return made


def some_runs(n: int, seed: int = 0, noise: float = 0.005) -> Runs:
    draws = np.random.Generator(np.random.PCG64(seed))
    weights = draws.dirichlet(np.full(len(SOURCES), 0.6), n)
    losses = law(weights) * np.exp(noise * draws.standard_normal((n, len(TASKS))))
    return Runs(SOURCES, TASKS, weights, losses)


def write_csv(path: Path, runs: Runs) -> Path:
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", *(f"weight.{s}" for s in runs.sources), *(f"loss.{t}" for t in runs.tasks)])
        for i, (mix, ends) in enumerate(zip(runs.weights, runs.losses, strict=True)):
            rows.writerow([f"run{i}", *map(repr, mix.tolist()), *map(repr, ends.tolist())])
    return path
