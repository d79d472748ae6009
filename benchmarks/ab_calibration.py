"""Calibration of the experiment's statistics: the full grid once, cell by cell, resumable.

    nice -n 19 python benchmarks/ab_calibration.py [--minutes 25] [--cells FILE]

Every cell is a truth, a replicate count and a seed; finished cells are kept in FILE (JSON lines) and not run again, so
the command may be stopped and repeated.  Moments of gaussian cells are drawn from their own laws (a test shows that
this equals simulated items); binary, heavy-tailed and clustered cells are simulated item by item.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ab_calibration_cells import CHECKS
from results import write_result

from proxy_model.experiment.statistics.calibrate import Rate, calibrate
from proxy_model.experiment.statistics.components import moments
from proxy_model.experiment.statistics.crossed import crossed
from proxy_model.experiment.statistics.permutation import permutation
from proxy_model.experiment.statistics.simulate import Suite, Truth, simulate

RUNS = ((2, 2), (3, 3), (4, 4), (5, 5), (8, 8), (3, 1), (5, 2), (8, 2), (8, 3))
ITEMS = (300, 1000, 3000, 10_000)
RHO = (0.6, 0.8, 0.95)
RUN_SD = (0.0, 0.005, 0.01)
DRAWN = 40_000
ITEM_LEVEL = {300: 6000, 1000: 6000}  # replicates; larger suites only in the gaussian cells

SIX = tuple(
    Suite(n, sd, rho, 0.03, run)
    for n, sd, rho, run in zip(
        (300, 500, 1000, 1200, 1800, 3000),
        (0.45, 0.49, 0.48, 0.49, 0.40, 0.49),
        (0.8, 0.85, 0.9, 0.8, 0.9, 0.95),
        (0.006, 0.004, 0.003, 0.004, 0.003, 0.003),
        strict=True,
    )
)

Cell = tuple[str, Callable[[], dict[str, Any]]]


def grid() -> Iterator[Cell]:
    """(name, work) of every cell, the quickest kind first."""
    for runs in RUNS:
        for items in ITEMS:
            for rho in RHO:
                for sd in RUN_SD:
                    truth = Truth(runs, (Suite(items, rho=rho),), sd)
                    yield _name("gaussian", truth), _calibrated(truth, DRAWN, False)
    for runs in RUNS:
        for effect in (0.0, 0.005, 0.01, 0.015):
            yield f"six {runs} effect {effect}", _calibrated(Truth(runs, SIX, 0.004, effect), DRAWN, False)
            yield (
                f"power {runs} effect {effect}",
                _calibrated(Truth(runs, (Suite(10_000, rho=0.95),), 0.005, effect), DRAWN, False),
            )
    for runs in RUNS:
        for level in (0.01, 0.001):
            for rho in (0.8, 0.95):
                truth = Truth(runs, (Suite(1000, rho=rho),), 0.005)
                yield f"level {level} {_name('gaussian', truth)}", _calibrated(truth, 200_000, False, level)
    yield from CHECKS
    for items in ITEM_LEVEL:
        for kind in ("binary", "heavy"):
            for runs in RUNS:
                for rho in RHO:
                    for sd in RUN_SD:
                        truth = Truth(runs, (Suite(items, rho=rho),), sd, kind=kind)  # type: ignore[arg-type]
                        yield _name(kind, truth), _calibrated(truth, ITEM_LEVEL[items], True)
        for runs in RUNS:
            truth = Truth(runs, (Suite(items, rho=0.9),), 0.005, cluster=4)
            yield _name("clustered", truth), _calibrated(truth, ITEM_LEVEL[items], True)
    for share, shift in ((0.05, 5.0), (0.1, 5.0), (0.1, 10.0)):
        for runs in ((3, 3), (4, 4), (5, 5)):
            truth = Truth(runs, (Suite(300, rho=0.9),), 0.03, kind="heavy", bad_share=share, bad_shift=shift)
            yield f"permutation {runs} bad {share} shift {shift}", _permuted(truth, 4000)


def _name(kind: str, truth: Truth) -> str:
    suite = truth.benchmarks[0]
    return f"{kind} {truth.runs} n {suite.units} rho {suite.rho} run_sd {truth.run_sd}"


def _calibrated(truth: Truth, replicates: int, item_level: bool, level: float = 0.05) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        found = calibrate(truth, replicates, 2024, level, item_level=item_level)
        return {
            "runs": truth.runs,
            "kind": truth.kind if truth.cluster == 1 else "clustered",
            "effect": truth.effect,
            "level": level,
            "replicates": replicates,
            "rejected": found.rejected.rate,
            "band99": found.rejected.band,
            "coverage95": found.covered.rate,
            "coverage_band99": found.covered.band,
            "naive": found.naive.rate,
            "predicted": None if np.isnan(found.predicted) else found.predicted,
        }

    return work


def _permuted(truth: Truth, replicates: int) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        exact = test = 0
        for y in simulate(truth, replicates, 2024):
            m = moments(y, truth.layout())
            test += int((crossed(m).p_greater() <= 0.05).sum())
            exact += sum(permutation(row, truth.runs[0]).p_greater <= 0.05 + 1e-9 for row in m.suite)
        return {
            "replicates": replicates,
            "crossed": test / replicates,
            "permutation": exact / replicates,
            "permutation_band99": Rate(exact, replicates).band,
        }

    return work


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--cells", type=Path, default=Path("ab_calibration_cells.jsonl"))
    options = parser.parse_args()
    done: dict[str, dict[str, Any]] = {}
    if options.cells.exists():
        lines = options.cells.read_text(encoding="utf-8").splitlines()
        done = {record["cell"]: record for record in map(json.loads, lines)}
    began, cells, left = time.monotonic(), list(grid()), 0
    with options.cells.open("a", encoding="utf-8") as out:
        for name, work in cells:
            if name in done:
                continue
            if time.monotonic() - began > 60 * options.minutes:
                left += 1
                continue
            started = time.process_time()
            record = {"cell": name, **work(), "cpu_seconds": round(time.process_time() - started, 2)}
            out.write(json.dumps(record) + "\n")
            out.flush()
            done[name] = json.loads(json.dumps(record))
    print(f"{len(cells) - left} of {len(cells)} cells, {left} left")
    if not left:
        ordered = [done[name] for name, _ in cells]
        write_result(
            "ab_calibration", {"summary": summary(ordered), "truth": asdict(Truth((2, 2), SIX)), "cells": ordered}
        )


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Range of the size and of coverage by kind and runs; largest gap between predicted and simulated power."""
    out: dict[str, Any] = {}
    for cell in cells:
        if "kind" not in cell or cell["level"] != 0.05:
            continue
        key = f"{cell['kind']} {cell['runs'][0]}:{cell['runs'][1]}"
        row = out.setdefault(
            key, {"size": [1.0, 0.0], "coverage95": [1.0, 0.0], "naive": [1.0, 0.0], "power_gap": 0.0, "cells": 0}
        )
        row["cells"] += 1
        pairs = [("coverage95", cell["coverage95"])]
        if cell["effect"] == 0:
            pairs += [("size", cell["rejected"]), ("naive", cell["naive"])]
        for name, value in pairs:
            row[name] = [min(row[name][0], value), max(row[name][1], value)]
        if cell["predicted"] is not None:
            row["power_gap"] = max(row["power_gap"], abs(cell["predicted"] - cell["rejected"]))
    return out


if __name__ == "__main__":
    main()
