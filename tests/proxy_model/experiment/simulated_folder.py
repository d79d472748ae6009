"""Experiments as folders, drawn by the statistics' simulator: what a page and the registry read, without training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from proxy_model.evaluate.table import with_header, write_table
from proxy_model.experiment.scores import RunScores, score_matrix
from proxy_model.experiment.statistics.compare import compare, compare_candidates
from proxy_model.experiment.statistics.design import Design
from proxy_model.experiment.statistics.registry_prior import NoiseKey, Registry
from proxy_model.experiment.statistics.simulate import Suite, Truth, simulate
from proxy_model.experiment.verdict import plain

KEY = NoiseKey("m" * 32, 200_000, "s" * 32, "norm_prob_byte", "fp32")
SUITE = {
    "arc_easy": Suite(160, 0.2, 0.9), "hellaswag": Suite(200, 0.2, 0.93, run_sd=0.002), "piqa": Suite(120, 0.2, 0.9),
    "boolq": Suite(90, 0.15, 0.8, run_sd=0.01), "blimp_anaphor": Suite(150, 0.22, 0.9),
}  # fmt: skip


def experiment(
    folder: Path, runs: dict[str, int], *, effect: float = 0.0, run_sd: float = 0.004, seed: int = 0,
    design: Design | None = None, registry: Registry | None = None, amended: list[str] | None = None,
    exploratory: bool = False, metric: str = "norm_prob_byte", **record: Any,
) -> Path:  # fmt: skip
    """runs: by arm, the baseline first; effect: the last arm's; record: keys of verdict.json to set."""
    names = list(runs)
    scored = [one for i, arm in enumerate(names[1:], 1) for one in _scores(names, runs, i, effect, run_sd, seed)]
    scored = [
        *[one for one in scored if one.arm == names[0]][: runs[names[0]]],
        *[one for one in scored if one.arm != names[0]],
    ]
    for one in scored:
        _write_run(folder / "runs" / f"{one.arm}-{one.run}", one, seed)
    matrix = score_matrix(scored, metric, names[0])
    design = design or Design()
    verdicts: dict[str, Any] = {}
    candidates: Any = ()
    if not exploratory:
        if len(names) == 2:
            verdicts = {names[1]: compare(matrix, design, registry)}
        else:
            verdicts, candidates = compare_candidates(matrix, design, registry)
    share = np.bincount(matrix.benchmark, matrix.weight)
    told = [
        {
            "arm": arm, "number": k, "run": f"{arm}{k}", "seeds": {"init": i}, "tokens": 200_704, "steps": 98,
            "weighted": float(matrix.weight @ row), "excluded": None, "spikes": 0, "skipped": 0, "loss": 4.1,
            "scores": dict(zip(matrix.benchmarks, means.tolist(), strict=True)),
            "bpb": {"all": 1.31 + 0.002 * (i % 3), "source:books": 1.4, "source:pages": 1.28},
            "consumed": {"books": 70_000, "pages": 130_000}, "copies": {"1": 200_000},
        }
        for i, ((arm, k), row) in enumerate(zip(matrix.runs, matrix.y, strict=True))
        for means in [np.bincount(matrix.benchmark, matrix.weight * row) / share]
    ]  # fmt: skip
    first = next(iter(verdicts.values()), None)
    hypothesis = {
        "kind": design.kind, "alpha": design.alpha, "two_sided": design.two_sided, "power": design.power,
        "margin": design.margin, "mde": design.mde,
    }  # fmt: skip
    content = {
        "name": folder.name, "runs": runs, "randomize": ["init", "order", "subset"], "exploratory": exploratory,
        "items": {"counts": {n: s.units for n, s in SUITE.items()}, "weights": {n: 1 / len(SUITE) for n in SUITE}},
        "hypothesis": hypothesis, "code": {"source": "0" * 16},
    }  # fmt: skip
    verdict = {
        "name": folder.name, "lock": "f" * 32, "amended": amended or [], "arms": {name: {} for name in names},
        "baseline": names[0], "metric": metric, "key": asdict(KEY), "hypothesis": hypothesis,
        "status": "amended" if amended else "exploratory" if exploratory else "locked",
        "verdict": plain(first), "verdicts": plain(verdicts), "candidates": plain(candidates), "clean": None,
        "health": [{"check": "token shares", "ok": True, "detail": "within 0.03 points in 6 runs", "stops": True}],
        "guardrails": [], "contamination": None, "prior": None, "runs": told,
        "mde": None if first is None else {"achieved": first.mde_achieved, "planned": design.mde},
        "cost": {"cpu_hours": 0.4, "tokens": 2_000_000, "flops": 1e13}, "caveats": [], **record,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_bytes(orjson.dumps(plain(verdict)))
    lock = {
        "format": 1,
        "hash": "f" * 32,
        "created": "2025-11-22T00:00:00+00:00",
        "amended": amended or [],
        "content": content,
    }
    (folder / "lock.json").write_bytes(orjson.dumps(lock))
    look = {"time": "2025-11-22T01:00:00+00:00", "look": 0, "runs": runs, "state": "scheduled"}
    (folder / "looks.jsonl").write_bytes(orjson.dumps(look) + b"\n")
    return folder


def _scores(
    names: list[str], runs: dict[str, int], candidate: int, effect: float, run_sd: float, seed: int
) -> list[RunScores]:
    """Baseline and one candidate; the baseline is the same for every candidate of one seed."""
    pair = (runs[names[0]], runs[names[candidate]])
    suites = tuple(SUITE.values())
    truth = Truth(pair, suites, run_sd, effect * (candidate == len(names) - 1))
    y = next(simulate(truth, 1, seed + 1000 * (candidate - 1)))[0].astype(np.float64)
    arms = [names[0]] * (pair[0] if candidate == 1 else 0) + [names[candidate]] * pair[1]
    rows = y if candidate == 1 else y[pair[0] :]
    numbers = [*range(pair[0] if candidate == 1 else 0), *range(pair[1])]
    return [RunScores(arm, k, "items-1", _table(row)) for arm, k, row in zip(arms, numbers, rows, strict=True)]


def _table(values: np.ndarray) -> pa.Table:
    """Two options of one byte whose normalised probabilities are p and 1 − p, p = the simulated value around 0.45."""
    p = np.clip(0.45 + values, 0.02, 0.98)
    names = [(b, f"{i:04}") for b, suite in SUITE.items() for i in range(suite.units)]
    n = len(names)
    columns = {
        "benchmark": np.repeat([b for b, _ in names], 2), "item": np.repeat([i for _, i in names], 2),
        "cluster": np.repeat([i for _, i in names], 2), "kind": np.repeat("multiple_choice", 2 * n),
        "choice": np.tile(np.array([0, 1], np.int16), n), "gold": np.tile([True, False], n),
        "log_likelihood": np.log(np.stack([p, 1 - p], 1)).ravel(), "bytes": np.ones(2 * n, np.int32),
        "chars": np.ones(2 * n, np.int32), "tokens": np.ones(2 * n, np.int32), "greedy": np.zeros(2 * n, bool),
        "truncated": np.zeros(2 * n, bool), "weight": np.ones(2 * n),
    }  # fmt: skip
    return with_header(pa.table(columns), {"items": "items-1"})


def _write_run(folder: Path, run: RunScores, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_table(run.table, folder / "scores.parquet")
    rng = np.random.default_rng([seed, run.run, len(run.arm)])
    tokens = 2048 * np.arange(1, 99)
    loss = 5.0 + 3.8 * np.exp(-tokens / 60_000) + 0.05 * rng.standard_normal(98) + 0.02 * rng.standard_normal()
    none = np.zeros(98, bool)
    pq.write_table(
        pa.table({"step": np.arange(98), "tokens": tokens, "loss": loss, "lr": np.full(98, 1e-3), "skipped": none}),
        folder / "steps.parquet",
    )
    looks = [
        {"set": "held_out", "kind": "all", "name": "", "step": s, "tokens": 2048 * (s + 1), "bytes": 1000,
         "bits_per_byte": float(1.3 + 1.1 * np.exp(-(s + 1) / 30) + 0.01 * rng.standard_normal())}
        for s in (19, 39, 59, 79, 97)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(looks), folder / "sources.parquet")
