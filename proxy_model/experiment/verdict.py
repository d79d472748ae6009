"""The verdict of a look: scores of its runs, the test, health, guardrails, and what changed since the lock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import write_atomic
from proxy_model.evaluate.table import header_of, read_table
from proxy_model.experiment.arms import Arm
from proxy_model.experiment.consumption import planned
from proxy_model.experiment.contamination import Contamination, clean_runs, differential
from proxy_model.experiment.design import design_of, looks_of, prior_of, registry_of
from proxy_model.experiment.guardrails import guardrails
from proxy_model.experiment.health import contamination_check, health_checks, training_facts
from proxy_model.experiment.lock import changes, read_lock
from proxy_model.experiment.looks import excluded_runs, valid_runs
from proxy_model.experiment.runs import SCORES, RunName, asked, folder_of
from proxy_model.experiment.scores import RunScores, ScoreMatrix, score_matrix
from proxy_model.experiment.settings import Experiment
from proxy_model.experiment.statistics.candidates import Candidate
from proxy_model.experiment.statistics.compare import POOL, compare, compare_candidates
from proxy_model.experiment.statistics.design import Design, Verdict
from proxy_model.experiment.suite import Suite

VERDICT = "verdict.json"
AGAIN = "remove run.json beside it and run it again"
PROXY = (
    "a better score of small proxy models is not a better score of the target model: of pairs of recipes ranked by "
    "one 150M-parameter run, about 80 % are ranked the same at 1B (DataDecide, 2504.11393)"
)


@dataclass(frozen=True, eq=False)
class Found:
    """What the test says: one Verdict a candidate (none when exploratory), Holm's table for several candidates."""

    verdicts: dict[str, Verdict]
    candidates: tuple[Candidate, ...]
    refused: str | None


def write_verdict(
    experiment: Experiment, arms: dict[str, Arm], suite: Suite, content: dict[str, Any], look: int
) -> dict[str, Any]:
    """Compute and write verdict.json for a look.  content: of the config and files as they are now.

    Raises UsageError for runs that cannot be compared: other tokens, other items, one run twice, one missing.
    """
    lock = read_lock(experiment)
    runs_of = dict(zip(arms, looks_of(experiment)[look], strict=True))
    runs = {arm: valid_runs(experiment, arm)[:k] for arm, k in runs_of.items()}
    every = [one for some in runs.values() for one in some]
    refuse_unequal(every)
    scored = [scores_of(experiment, one) for one in every]
    design = design_of(experiment, content)
    matrix = _matrix(experiment, suite, scored, runs_of)
    found = tested(matrix, design, content, exploratory=experiment.config.exploratory)
    seen = _contamination(experiment, arms, suite, runs)
    out = [{**one, "weighted": None, "scores": {}} for arm in arms for one in excluded_runs(experiment, arm)]
    told = [*_told_runs(matrix, every), *out]
    expected = {arm: asdict(planned(Path(one.shards))) for arm, one in arms.items()}
    trained = [{**one, **training_facts(folder_of(experiment, RunName(one["arm"], one["number"])))} for one in told]
    health = health_checks({"runs": runs_of}, expected, trained)
    if (check := contamination_check(None if seen is None else seen.to_json())) is not None:
        health.append(check)
    candidate = next(iter(found.verdicts), list(arms)[-1])
    verdict = found.verdicts.get(candidate)
    lines = plain(verdict.per_benchmark) if verdict else []
    rails = [
        {"candidate": name, **one.to_json()}
        for name in list(arms)[1:]
        for one in guardrails(
            content["guardrails"],
            told,
            content["baseline"],
            name,
            alpha=design.side,
            benchmarks=plain(found.verdicts[name].per_benchmark) if name in found.verdicts else [],
            contamination=None if seen is None else seen.to_json(),
        )
    ]
    amended = [*lock["amended"], *changes(lock["content"], content), *_strays(content, every, lock["hash"])]
    record = {
        "name": content["name"], "lock": lock["hash"], "amended": list(dict.fromkeys(amended)),
        "status": "amended" if amended else "exploratory" if experiment.config.exploratory else "locked",
        "key": content["key"], "arms": plain({name: arm.identity() for name, arm in arms.items()}),
        "baseline": content["baseline"], "metric": content["primary"]["metric"], "look": look,
        "looks": content["looks"], "hypothesis": content["hypothesis"],
        "verdict": plain(verdict), "refused": found.refused,
        "verdicts": plain(found.verdicts), "candidates": plain(found.candidates),
        "per_benchmark": lines, "robustness": plain(verdict.robustness) if verdict else [],
        "clean": _clean(experiment, suite, scored, runs_of, design, content, seen),
        "contamination": None if seen is None else plain(seen.to_json()),
        "health": plain(health), "guardrails": rails, "prior": plain(prior_of(content)),
        "runs": plain(told), "means": {arm: _mean(told, arm) for arm in arms},
        "mde": {"planned": design.mde}
        | ({} if verdict is None else {"achieved": verdict.mde_achieved, "in_sigma": verdict.mde_in_sigma}),
        "cost": cost(every), "caveats": _caveats(found, health, amended, arms), "software": content["code"],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    write_atomic(experiment.folder / VERDICT, orjson.dumps(plain(record), option=orjson.OPT_INDENT_2))
    return record


def tested(matrix: ScoreMatrix, design: Design, content: dict[str, Any], *, exploratory: bool) -> Found:
    """Every candidate against the baseline.  An exploratory experiment with one run per arm has no verdict."""
    registry = registry_of(content)
    runs = matrix.runs_per_arm
    if exploratory and min(runs) == 1 and registry is None and runs[0] < POOL:
        return Found({}, (), f"{':'.join(map(str, runs))} runs: exploratory, one run shows no variance between runs")
    if len(matrix.arms) == 2:
        return Found({matrix.arms[1]: compare(matrix, design, registry)}, (), None)
    verdicts, table = compare_candidates(matrix, design, registry)
    return Found(verdicts, table, None)


def plain(value: Any) -> Any:
    """JSON types: arrays as lists, numbers that JSON has not as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(getattr(value, key)) for key in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def cost(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Hours of CPU or GPU, tokens and FLOPs of these runs."""
    hours = sum(one["cost"]["seconds"] * (one["cost"]["threads"] if _cpu(one) else 1) for one in runs) / 3600
    unit = "cpu_hours" if runs and _cpu(runs[0]) else "gpu_hours"
    return {unit: hours, "tokens": sum(one["tokens"] for one in runs), "flops": sum(one["flops"] for one in runs)}


def _cpu(run: dict[str, Any]) -> bool:
    return str(run["cost"]["device"]) == "cpu"


def scores_of(experiment: Experiment, run: dict[str, Any]) -> RunScores:
    """Raises UsageError for a table that cannot be read, or is of another run or other items than run.json says."""
    path = folder_of(experiment, RunName(run["arm"], run["number"])) / SCORES
    try:
        table = read_table(path)
        header = header_of(table)
        model, named = header["model"], run["items"].partition("-")[0]
        items = asked(header["items"] if header["too_long"] == "error" else named, header)  # where none was dropped
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path} cannot be read: {error}", AGAIN) from None
    if model != run["run"]:
        raise UsageError(f"{path} holds scores of run {str(model)[:12]}, not of {run['run'][:12]}", AGAIN)
    if items != run["items"]:
        raise UsageError(f"{path} and run.json beside it name different item files", AGAIN)
    return RunScores(run["arm"], run["number"], items, table)


def _matrix(experiment: Experiment, suite: Suite, scored: list[RunScores], runs_of: dict[str, int]) -> ScoreMatrix:
    primary = experiment.config.primary
    return score_matrix(
        scored, primary.metric, next(iter(runs_of)), runs_of, suite.weights, primary.truncated, primary.unit
    )


def refuse_unequal(runs: Sequence[dict[str, Any]]) -> None:
    """Raises UsageError for runs of other lengths, and for one run that stands there under two names."""
    seen: dict[str, str] = {}
    for one in runs:
        name = f"run {one['number']} of {one['arm']}"
        if one["tokens"] != runs[0]["tokens"]:
            raise UsageError(
                f"{name} was trained on {one['tokens']:,} tokens, run {runs[0]['number']} of {runs[0]['arm']} on "
                f"{runs[0]['tokens']:,}",
                "arms are compared at equal token budgets: train them anew with one `train.tokens`",
            )
        if one["run"] in seen:
            raise UsageError(f"{name} is the same run as {seen[one['run']]}", "remove the copy: it is counted twice")
        seen[one["run"]] = name


def _strays(content: dict[str, Any], runs: Sequence[dict[str, Any]], lock: str) -> list[str]:
    """Runs that were made under another lock, or other settings than those of the content."""
    other = [one for one in runs if one["lock"] != lock]
    found = [f"{len(other)} runs were made under another lock ({str(other[0]['lock'])[:12]})"] if other else []
    for one in runs:
        name = f"run {one['number']} of {one['arm']}"
        if one["shards"] != content["arms"][one["arm"]]["root"]:
            found.append(f"{name}: trained on other shards ({one['shards'][:12]})")
        seeds = content["seeds"][one["arm"]]
        if one["number"] < len(seeds) and one["seeds"] != seeds[one["number"]]:
            found.append(f"{name}: trained with other seeds than the config has now")
        if not one["items"].startswith(content["items"]["hash"]):
            found.append(f"{name}: scored on other items than the config names now")
        if one["tokens"] != content["training"]["tokens"]:
            found.append(
                f"{name}: trained on {one['tokens']:,} tokens, the config has {content['training']['tokens']:,}"
            )
    return found


def _told_runs(matrix: ScoreMatrix, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """run.json of each with its benchmark means and their weighted mean."""
    share = np.bincount(matrix.benchmark, matrix.weight)
    made = []
    for one in runs:
        row = matrix.y[matrix.runs.index((one["arm"], one["number"]))]
        means = np.bincount(matrix.benchmark, matrix.weight * row) / share
        scores = dict(zip(matrix.benchmarks, means.tolist(), strict=True))
        made.append({**one, "seed": one["seeds"]["init"], "scores": scores, "weighted": float(matrix.weight @ row)})
    return made


def _mean(runs: Sequence[dict[str, Any]], arm: str) -> float | None:
    values = [one["weighted"] for one in runs if one["arm"] == arm and one["weighted"] is not None]
    return float(np.mean(values)) if values else None


def _contamination(
    experiment: Experiment, arms: dict[str, Arm], suite: Suite, runs: dict[str, list[dict[str, Any]]]
) -> Contamination | None:
    if "contamination" not in experiment.config.guardrails:
        return None
    tokenizer = tokenizer_of(experiment, next(iter(arms.values())))
    folders = {arm: [folder_of(experiment, RunName(arm, one["number"])) for one in some] for arm, some in runs.items()}
    return differential(suite.items, folders, tokenizer)


def tokenizer_of(experiment: Experiment, arm: Arm) -> Path:
    """Raises UsageError where it is not known."""
    if experiment.proxy.tokenizer is not None:
        return experiment.base / experiment.proxy.tokenizer
    if arm.run is None:
        raise UsageError(f"arm {arm.name}: its tokenizer is not known", "say train: {tokenizer: PATH}")
    return Path(arm.run) / "tokenizer"


def _clean(
    experiment: Experiment, suite: Suite, scored: list[RunScores], runs_of: dict[str, int], design: Design,
    content: dict[str, Any], seen: Contamination | None,
) -> Any:  # fmt: skip
    """The verdict without items that any arm has seen, where the arms differ in them."""
    if seen is None or seen.ok:
        return None
    matrix = _matrix(experiment, suite, clean_runs(scored, seen), runs_of)
    return plain(tested(matrix, design, content, exploratory=experiment.config.exploratory).verdicts)


def _caveats(found: Found, health: Sequence[Any], amended: list[str], arms: dict[str, Arm]) -> list[str]:
    out = [f"{one.check}: {one.detail}" for one in health if not one.ok and one.stops]
    out = [f"the arms were not what was planned, the verdict must not be used: {line}" for line in out]
    if amended:
        out.append("the plan was changed after it was locked: exploratory, to be confirmed with fresh seeds")
    if found.refused:
        out.append(found.refused)
    for verdict in found.verdicts.values():
        out += verdict.warnings
    out += [line for arm in arms.values() for line in arm.warnings]
    return [*dict.fromkeys(out), PROXY]
