"""What `curate ab plan`, `aa`, `simulate`, `registry` and `screen` do: work, print."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson

from curation.commands.output import print_json, print_line, print_table
from curation.pipeline.errors import UsageError
from curation.pipeline.shards import write_atomic
from proxy_model.actions import need_torch
from proxy_model.experiment.actions import key_of, lock_arms, train
from proxy_model.experiment.settings import Experiment, load_experiment, pilot_of
from proxy_model.experiment.suite import Suite, load_suite


def plan_command(
    config: Path, overrides: list[str], *, sigma: float | None, budget: float | None, effect: float | None,
    max_runs: int, as_json: bool,
) -> None:  # fmt: skip
    """Smallest detectable effect of the configured runs, the power table, the cheapest design, the paper's own."""
    from proxy_model.experiment.planning import known_noise, make_plan, to_json

    _refuse_effect(effect)
    experiment = load_experiment(config, overrides)
    suite = load_suite(experiment)
    noise = known_noise(experiment, suite, sigma, key_of(experiment, suite))
    found = make_plan(experiment, noise, budget=budget, effect=effect, max_runs=max_runs)
    if as_json:
        print_json(to_json(found))
        return
    metric = experiment.config.primary.metric
    print_line(f"σ_seed of {metric}: {noise.parts.sigma_seed:.4g} ({noise.origin})")
    print_line(found.sentence)
    print_line()
    columns = ["runs per arm", f"detectable {metric}", "in σ_seed", "power at the goal", "runs in all"]
    print_table(
        columns,
        [
            [f"{row.runs[0]} + {row.runs[1]}", row.mde, row.mde_in_sigma, _number(row.power), row.cost]
            for row in found.best.table
        ],
    )
    print_line()
    if found.best.goal.target is not None:
        verb = "reaches" if found.best.reached else "would come nearest to"
        print_line(
            f"cheapest: {found.best.runs[0]} baseline + {found.best.runs[1]} candidate runs {verb} "
            f"{found.best.goal.target:.4g} (power {found.best.power:.2f})"
        )
    if noise.seconds:
        print_line(
            f"cost: {noise.seconds:,.0f} s a run, {noise.seconds * sum(found.runs) / 3600:.2f} h for the configured"
        )
    paper = found.paper
    items = f"{paper.items:,.0f} items" if math.isfinite(paper.items) else "enough items"
    print_line(
        f"MiniMax-01's sizing (§4.1.3): one run against one, {items} until the detectable effect is one σ of a run. "
        f"It claims {paper.nominal:.0%} false positives; with the run as a random draw it has {paper.actual:.0%}."
    )
    for line in dict.fromkeys(found.warnings):
        print_line(f"note: {line}")


def aa_command(
    config: Path, overrides: list[str], *, arm: str | None, runs: int, processes: int, store: bool, yes: bool,
    quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train runs of one arm, split them in halves, store σ_seed."""
    need_torch()
    from proxy_model.experiment.arms import build_arms
    from proxy_model.experiment.looks import valid_runs
    from proxy_model.experiment.registry import add

    whole = load_experiment(config, overrides)
    experiment = pilot_of(whole, [arm or next(iter(whole.config.arms))], runs)
    suite = load_suite(experiment)
    arms = build_arms(experiment, yes=yes, quiet=quiet or as_json)
    name = next(iter(arms))
    lock, _ = lock_arms(experiment, suite, arms)
    train(experiment, {name: runs}, processes, quiet=quiet or as_json)
    record = write_aa(experiment, suite, name, valid_runs(experiment, name), lock)
    stored = len(add(experiment.folder, experiment.registry)) if store else 0
    if as_json:
        print_json(record)
        return
    found = record["aa"]
    print_line(
        f"{runs} runs of {name}: {record['metric']} {found['mean']:.5g}, σ_seed {found['sigma_seed']:.4g} "
        f"({found['df']} degrees of freedom); {found['item_noise']:.4g} is noise of runs on single items"
    )
    kind = "all" if found["all_splits"] else "drawn"
    print_line(
        f"{found['rejected']} of {found['splits']} {kind} splits into halves differ at {found['level']:.0%} (two-sided"
        f"; splits share runs, so this describes and proves nothing); largest difference {found['largest']:.4g}"
    )
    print_line(f"no verdict: both halves are the same mix. {experiment.folder / 'aa.json'}")
    if stored:
        print_line(f"stored in {experiment.registry}: curate ab plan uses it")


def write_aa(
    experiment: Experiment, suite: Suite, arm: str, runs: list[dict[str, Any]], lock: dict[str, Any]
) -> dict[str, Any]:
    """aa.json, and verdict.json without a verdict, from which the registry takes its record."""
    from proxy_model.experiment.aa import analyse
    from proxy_model.experiment.planning import AA_FILE
    from proxy_model.experiment.scores import RunScores, score_matrix
    from proxy_model.experiment.verdict import VERDICT, cost, plain, refuse_unequal, scores_of

    primary, half = experiment.config.primary, len(runs) // 2
    refuse_unequal(runs)
    tables = [scores_of(experiment, one).table for one in runs]
    scored = [
        RunScores("A" if i < half else "B", one["number"], one["items"], table)
        for i, (one, table) in enumerate(zip(runs, tables, strict=True))
    ]
    matrix = score_matrix(scored, primary.metric, "A", None, suite.weights, primary.truncated, primary.unit)
    found = analyse(matrix, primary.units, experiment.config.seed)
    weighted = (matrix.y @ matrix.weight).tolist()
    spent = cost(runs)
    common = {
        "name": experiment.folder.name, "lock": lock["hash"], "key": lock["content"]["key"], "metric": primary.metric,
        "amended": lock["amended"], "cost": spent,
    }  # fmt: skip
    record = plain(
        {
            **common,
            "arm": arm,
            "aa": found.to_json(),
            "components": asdict(found.components),
            "seconds_per_run": sum(one["cost"]["seconds"] for one in runs) / len(runs),
            "runs": [{"number": one["number"], "weighted": value} for one, value in zip(runs, weighted, strict=True)],
        }
    )
    told = [{**one, "weighted": value} for one, value in zip(runs, weighted, strict=True)]
    verdict = {**common, "status": "aa", "arms": {arm: {}}, "verdict": None, "runs": told}
    write_atomic(experiment.folder / AA_FILE, orjson.dumps(record, option=orjson.OPT_INDENT_2))
    write_atomic(experiment.folder / VERDICT, orjson.dumps(plain(verdict), option=orjson.OPT_INDENT_2))
    return dict(json.loads(orjson.dumps(record)))


def screen_command(
    config: Path, overrides: list[str], *, obvious: str | None, runs: int, metric: str | None, processes: int,
    yes: bool, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train the baseline and an arm that is obviously different; which benchmarks and metrics tell them apart?"""
    need_torch()
    from proxy_model.experiment.arms import build_arms
    from proxy_model.experiment.report import write_screen
    from proxy_model.experiment.screen import HEAD, screen_folder

    whole = load_experiment(config, overrides)
    if len(whole.config.arms) < 2:
        raise UsageError("one arm: a screening needs the baseline and an arm that is obviously different")
    baseline, *others = whole.config.arms
    other = obvious or others[-1]
    experiment = pilot_of(whole, [baseline, other], runs)
    suite = load_suite(experiment)
    lock_arms(experiment, suite, build_arms(experiment, yes=yes, quiet=quiet or as_json))
    train(experiment, {baseline: runs, other: runs}, processes, quiet=quiet or as_json)
    found = screen_folder(experiment.folder, baseline, other)
    page = write_screen(found, experiment.folder)
    if as_json:
        print_json(found.to_json())
        return
    print_table(HEAD, found.rows(metric))
    best = sorted(found.suite, key=lambda one: -one.ratio if math.isfinite(one.ratio) else 0.0)
    print_table(["metric", "Δ/σ of the suite"], [[one.metric, round(one.ratio, 2)] for one in best])
    print_line(f"report  {page}")


def simulate_command(
    config: Path, overrides: list[str], *, sigma: float | None, effect: float | None, replicates: int, as_json: bool
) -> None:
    """False positives and power of the configured test on made experiments."""
    from proxy_model.experiment.design import design_of
    from proxy_model.experiment.planning import known_noise
    from proxy_model.experiment.simulation import simulated
    from proxy_model.experiment.verdict import plain

    _refuse_effect(effect)
    experiment = load_experiment(config, overrides)
    suite = load_suite(experiment)
    key = key_of(experiment, suite)
    noise = known_noise(experiment, suite, sigma, key)
    counts = list(experiment.config.runs_of.values())
    if len(counts) < 2:
        raise UsageError("one arm: there is no test to simulate")
    empty = {"model": "", "tokens": 0, "suite": "", "metric": "", "precision": ""}
    design = design_of(experiment, {"registry": [], "key": empty if key is None else asdict(key)})
    if design.e_effect is not None:
        raise UsageError(
            "an e-value is not simulated: its false positives are bounded for any looks (Ville's inequality)",
            "simulate the same runs with --set sequential.method=none --set sequential.effect=null",
        )
    design = replace(design, alpha=design.alpha / (len(counts) - 1))  # as `compare_candidates` tests each
    found = simulated(
        noise.parts, (counts[0], counts[1]), design, effect=effect or design.mde, replicates=replicates,
        seed=experiment.config.seed,
    )  # fmt: skip
    if as_json:
        print_json(plain(found))
        return
    print_line(
        f"{replicates:,} made experiments of {counts[0]} + {counts[1]} runs, σ_seed {noise.parts.sigma_seed:.4g} "
        f"({noise.origin})"
    )
    rows: list[list[Any]] = [["false positives", _rate(found.null.rejected), f"planned at most {design.side:.3g}"]]
    rows.append(["CI95 covers", _rate(found.null.covered), "planned .95"])
    rows.append(["false positives, runs ignored", _rate(found.null.naive), "paired items: the paper's test"])
    if found.looks is not None:
        rows.append(["false positives over all looks", _rate(found.looks), f"planned at most {design.side:.3g}"])
    if found.at is not None:
        rows.append([f"power at {found.effect:.4g}", _rate(found.at.rejected), f"predicted {found.at.predicted:.3f}"])
    print_table(["", "rate (99 % band)", ""], rows)


def registry_show(path: Path, *, as_json: bool) -> None:
    """What is known by key."""
    from proxy_model.experiment.registry import show
    from proxy_model.experiment.verdict import plain

    shown = show(path)
    if as_json:
        print_json(plain(shown))
        return
    rows = [
        [
            one.key.model[:12],
            one.key.tokens,
            one.key.suite[:12],
            one.key.metric,
            one.sigma_seed,
            one.df,
            ", ".join(one.experiments),
        ]
        for one in shown
    ]
    print_table(["model", "tokens", "suite", "metric", "σ_seed", "degrees of freedom", "experiments"], rows)
    if not shown:
        print_line(f"{path} has no record: curate ab aa CONFIG --runs 8 makes the first")


def registry_add(folder: Path, path: Path | None, *, as_json: bool) -> None:
    """The arms of a finished experiment."""
    from proxy_model.experiment.registry import add
    from proxy_model.experiment.verdict import plain

    made = add(folder, path)
    if as_json:
        print_json(plain(made))
        return
    for one in made:
        print_line(f"{one.experiment} {one.arm}: σ_seed {math.sqrt(one.variance):.4g} ({one.df} degrees of freedom)")


def _refuse_effect(effect: float | None) -> None:
    if effect is not None and not (math.isfinite(effect) and effect > 0):
        raise UsageError(f"--effect {effect}: a number above 0, in metric units")


def _rate(rate: Any) -> str:
    low, high = rate.band
    return f"{rate.rate:.4f} ({low:.4f} to {high:.4f})"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
