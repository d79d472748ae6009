"""`curate mix regress`: from a table of finished runs to predictions, scores and proposals, as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.commands.output import print_line, print_table
from curation.text.display import name
from mixing.inventory.cells import Cells
from mixing.plan import PlanConfig
from mixing.regression.choose import seen_by_fold
from mixing.regression.fitted import LEVEL, Regression, fit
from mixing.regression.models import MODELS, require_library, usable
from mixing.regression.propose import Proposal, Proposals, projector, propose
from mixing.regression.runs import LOSS, WEIGHT, read_runs

SHOWN = 12  # sources of a mix, the largest first
SMALL = 5e-4  # weights below this are not shown


@dataclass(frozen=True, eq=False)
class Limits:
    """What a mix must keep to: the cells of the documents, the budget in tokens, caps and floors; `names`: {source
    of the runs: source of the documents} where they differ."""

    cells: Cells
    budget: float
    config: PlanConfig
    names: Mapping[str, str] | None = None


def regress(
    files: Sequence[Path],
    *,
    weight: str = WEIGHT,
    loss: str = LOSS,
    suffix: str = "",
    on: str | None = None,
    tasks: Mapping[str, float] | None = None,
    level: float = LEVEL,
    following: int = 8,
    limits: Limits | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Read (`read_runs`), choose and fit (`fit`), propose (`propose`); everything as one JSON record.

    tasks: {task: weight} of the target, default all alike.  Raises UsageError, and Infeasible where no mix of the
    limits' budget is possible.
    """
    require_library()
    runs = read_runs(files, weight, loss, on, suffix)
    project = None
    if limits is not None:
        project = projector(runs.sources, limits.cells, limits.budget, limits.config, limits.names)
    regression = fit(runs, tasks, level, seed)
    made = propose(regression, project, following, seed)
    return _record(regression, made, None if limits is None else limits.budget)


def _record(regression: Regression, made: Proposals, budget: float | None) -> dict[str, Any]:
    runs, validated = regression.runs, regression.validated
    observed = runs.losses @ regression.task_weights
    predicted = validated.best @ regression.task_weights
    never = [source for source, most in zip(runs.sources, runs.weights.max(0), strict=True) if most == 0]
    return {
        "runs": len(runs),
        "sources": list(runs.sources),
        "never_used": never,
        "target": dict(zip(runs.tasks, regression.task_weights.tolist(), strict=True)),
        "scores": regression.target_scores,
        "skipped": sorted(set(MODELS) - set(usable(len(runs.sources), seen_by_fold(len(runs))))),
        "tasks": [
            {
                "task": task,
                "model": validated.chosen[i],
                "scores": {m: float(s[i]) for m, s in validated.scores.items()},
            }
            for i, task in enumerate(runs.tasks)
        ],
        "held_out": {"predicted": predicted.tolist(), "observed": observed.tolist()},
        "level": regression.level,
        "budget": budget,
        "usual_distance": made.usual_distance,
        "best": _mix(runs.sources, made.best),
        "feasible": None if made.feasible is None else _mix(runs.sources, made.feasible),
        "gap": made.gap,
        "best_tested": {**_mix(runs.sources, made.tested), "observed": made.observed},
        "next": [_mix(runs.sources, one) for one in made.next],
    }


def _mix(sources: Sequence[str], one: Proposal) -> dict[str, Any]:
    return {
        "weights": dict(zip(sources, one.weights.tolist(), strict=True)),
        "predicted": one.predicted,
        "low": one.low,
        "high": one.high,
        "distance": one.distance,
    }


def print_regression(record: dict[str, Any]) -> None:
    """Scores of all models, the proposals, the next runs."""
    models = [model for model in MODELS if model not in record["skipped"]]
    print_line(
        f"{record['runs']:,} runs, {len(record['sources'])} sources, {len(record['target'])} tasks; Spearman of runs "
        "predicted by models that have not seen them"
    )
    rows = [
        [name(one["task"], 40), *(f"{one['scores'][m]:.3f}" for m in models), one["model"]] for one in record["tasks"]
    ]
    whole = record["scores"]
    rows.append(["all together", *(f"{whole[m]:.3f}" for m in models), f"chosen: {whole['chosen']:.3f}"])
    print_table(["task", *models, "best"], rows)
    for model in record["skipped"]:
        print_line(f"{model} needs more runs than a fold has")
    for source in record["never_used"]:
        print_line(f"warning: no run used {name(source, 60)}: nothing is known of it, and no proposal uses it")
    mixes = [("best tested", record["best_tested"]), ("best predicted", record["best"])]
    if record["feasible"] is not None:
        mixes.append(("best feasible", record["feasible"]))
    print_line(f"\ntarget (mean loss, {record['level']:.0%} interval), and how far from the nearest tested mix")
    print_table(
        ["mix", "target", "from", "to", "distance"],
        [[what, *(f"{one[key]:.4f}" for key in ("predicted", "low", "high", "distance"))] for what, one in mixes],
    )
    print_line(
        f"observed for the best tested: {record['best_tested']['observed']:.4f}; a tested mix is usually "
        f"{record['usual_distance']:.3f} from the nearest other"
    )
    if record["gap"] is not None:
        print_line(f"caps and floors at {record['budget']:,.0f} tokens cost {record['gap']:+.4f}")
    for what, one in mixes[1:]:
        print_line(f"{what}: {_weights(one['weights'])}")
    if record["next"]:
        print_line("\nnext runs, the most telling first")
        for one in record["next"]:
            print_line(f"  {one['low']:.4f} to {one['high']:.4f}  {_weights(one['weights'])}")


def _weights(weights: Mapping[str, float]) -> str:
    largest = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    shown = [(source, share) for source, share in largest[:SHOWN] if share >= SMALL]
    rest = 1 - float(np.sum([share for _, share in shown]))
    more = f", others {rest:.3f}" if rest >= SMALL else ""
    return ", ".join(f"{name(source, 40)} {share:.3f}" for source, share in shown) + more
