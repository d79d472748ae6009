"""Made score tables and matrices for the tests of the experiment's statistics."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from proxy_model.experiment.scores import RunScores, ScoreMatrix
from proxy_model.experiment.statistics.simulate import Suite, Truth, simulate

TWO = (Suite(300, rho=0.8), Suite(700, rho=0.9, run_sd=0.003))


def matrix(truth: Truth, seed: int = 0, metric: str = "acc") -> ScoreMatrix:
    """One made experiment of single-item units."""
    layout = truth.layout()
    y = next(simulate(truth, 1, seed))[0].astype(np.float64)
    runs = tuple((arm, i) for arm, k in zip(("base", "new"), truth.runs, strict=True) for i in range(k))
    names = tuple(f"b{b}" for b in range(len(truth.benchmarks)))
    units = tuple(f"i{i}" for i in range(y.shape[1]))
    return ScoreMatrix(("base", "new"), runs, names, layout.benchmark, units, layout.weight, y, metric, y.shape[1])


def table(seed: int, items: int = 12, gain: float = 0.0, **columns: object) -> pa.Table:
    """Two benchmarks of 4-way items, two items a cluster in the second; columns override single columns."""
    rng = np.random.default_rng(seed)
    rows = []
    for benchmark in ("arc", "mmlu"):
        for i in range(items):
            for choice in range(4):
                gold = choice == i % 4
                size = 5 + (i + choice) % 7
                rows.append(
                    {
                        "benchmark": benchmark,
                        "item": f"{i:03d}",
                        "cluster": f"{i // 2:03d}" if benchmark == "mmlu" else f"{i:03d}",
                        "kind": "multiple_choice",
                        "choice": choice,
                        "gold": gold,
                        "log_likelihood": float(size * (-1.0 + 0.2 * rng.standard_normal() + (0.3 + gain) * gold)),
                        "bytes": size,
                        "chars": size,
                        "tokens": 2,
                        "greedy": False,
                        "truncated": False,
                        "weight": 1.0,
                    }
                )
    made = pa.Table.from_pylist(rows)
    for name, values in columns.items():
        made = made.set_column(made.schema.get_field_index(name), name, pa.array(values))
    return made


def runs(k: int = 3, gain: float = 0.0, items: str = "sha-1") -> list[RunScores]:
    """k runs of each arm."""
    return [
        RunScores(arm, i, items, table(100 * a + i, gain=gain * a))
        for a, arm in enumerate(("base", "new"))
        for i in range(k)
    ]
