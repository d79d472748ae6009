"""Time of the experiment's statistics: 16 runs × 25,000 items in ten benchmarks, from the matrix to the verdict.

python benchmarks/ab_speed.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from results import write_result

from proxy_model.experiment import Design, compare
from proxy_model.experiment.scores import ScoreMatrix
from proxy_model.experiment.statistics.components import moments
from proxy_model.experiment.statistics.crossed import crossed
from proxy_model.experiment.statistics.plan import Costs, Goal, plan
from proxy_model.experiment.statistics.sequential import bounds
from proxy_model.experiment.statistics.simulate import Suite, Truth, simulate

REPEATS = 7


def timed(work: Callable[[], Any]) -> dict[str, float]:
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return {"median_cpu_s": round(median(seconds), 4), "least_cpu_s": round(min(seconds), 4)}


def main() -> None:
    truth = Truth((8, 8), tuple(Suite(2500, rho=0.9, run_sd=0.002) for _ in range(10)), 0.004, 0.01)
    layout = truth.layout()
    y = next(simulate(truth, 1, 0))[0].astype(np.float64)
    runs = tuple((arm, i) for arm in ("base", "new") for i in range(8))
    names = tuple(f"b{b}" for b in range(10))
    units = tuple(str(i) for i in range(y.shape[1]))
    matrix = ScoreMatrix(("base", "new"), runs, names, layout.benchmark, units, layout.weight, y, "acc", y.shape[1])
    write_result(
        "ab_speed",
        {
            "scores": y.shape,
            "benchmarks": 10,
            "repeats": REPEATS,
            "crossed test": timed(lambda: crossed(moments(y, truth.layout())).p_greater()),
            "verdict with all robustness lines": timed(lambda: compare(matrix, Design())),
            "cheapest plan": timed(lambda: plan(Goal(effect=0.008), Costs(), truth.components())),
            "boundaries of six looks, 10^6 paths": timed(lambda: bounds(tuple((k, k) for k in (2, 3, 4, 5, 6, 8)))),
        },
    )


if __name__ == "__main__":
    main()
