"""Looks at results: only those that were planned, every one of them written down.

looks.jsonl has one line for every time that somebody asked for a verdict: when, with how many runs of each arm, which
planned look that was, or that it was refused.  Progress and health (`curate ab status`) are no look.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from filelock import FileLock

from curation.pipeline.errors import CurateError, UsageError
from proxy_model.experiment.runs import RunName, read_run
from proxy_model.experiment.settings import Experiment

LOOKS = "looks.jsonl"
FIELDS = {"time", "look", "runs", "state"}  # of a line


class LookRefused(CurateError):
    """Somebody wanted to see results before a planned look."""


def valid_runs(experiment: Experiment, arm: str) -> list[dict[str, Any]]:
    """run.json of an arm's runs that count, by number; a gap ends the list: who finished first is no choice."""
    found: list[dict[str, Any]] = []
    for number in range(2 * experiment.config.runs_of[arm]):
        one = read_run(experiment, RunName(arm, number))
        if one is None:
            break
        if not one["excluded"]:
            found.append(one)
    return found[: experiment.config.runs_of[arm]]


def excluded_runs(experiment: Experiment, arm: str) -> list[dict[str, Any]]:
    """run.json of an arm's excluded runs."""
    numbers = range(2 * experiment.config.runs_of[arm])
    found = [read_run(experiment, RunName(arm, number)) for number in numbers]
    return [one for one in found if one is not None and one["excluded"]]


def missing(experiment: Experiment, wanted: Mapping[str, int]) -> list[RunName]:
    """The runs that are still to be trained for so many of each arm, first numbers of all arms first.

    Raises UsageError where more runs of an arm were excluded than were planned: the rule, or the training, is wrong.
    """
    todo: list[tuple[int, int, RunName]] = []
    for place, (arm, runs) in enumerate(wanted.items()):
        counted, number = 0, 0
        while counted < runs:
            if number >= 2 * experiment.config.runs_of[arm]:
                out = excluded_runs(experiment, arm)
                raise UsageError(
                    f"arm {arm}: {len(out)} runs were excluded ({out[0]['excluded']})",
                    "lower lr or lengthen the warmup, and start another experiment",
                )
            one = read_run(experiment, RunName(arm, number))
            if one is None:
                todo.append((number, place, RunName(arm, number)))
            counted += one is None or not one["excluded"]
            number += 1
    return [name for _, _, name in sorted(todo, key=lambda row: row[:2])]


def due(experiment: Experiment, looks: tuple[tuple[int, ...], ...]) -> int | None:
    """The latest look whose runs are all there, or None."""
    have = [len(valid_runs(experiment, arm)) for arm in experiment.config.arms]
    ready = [i for i, look in enumerate(looks) if all(a >= b for a, b in zip(have, look, strict=True))]
    return ready[-1] if ready else None


def take(experiment: Experiment, looks: tuple[tuple[int, ...], ...], locked: Sequence[Sequence[int]]) -> int:
    """The look that may be taken now, written down.  locked: the looks of the lock; a config with others sees nothing.

    Raises LookRefused (also written down).
    """
    have = {arm: len(valid_runs(experiment, arm)) for arm in experiment.config.arms}
    if [list(one) for one in looks] != [list(one) for one in locked]:
        _write(experiment, {"look": None, "runs": have, "state": "refused"})
        raise LookRefused(
            f"the config looks at {_shown(looks)} runs, locked are looks at {_shown(locked)}",
            "restore runs and sequential.looks, or change the plan for good: curate ab lock CONFIG --amend",
        )
    look = due(experiment, looks)
    if look is None:
        _write(experiment, {"look": None, "runs": have, "state": "refused"})
        first = ":".join(map(str, looks[0]))
        raise LookRefused(
            f"results are not shown at {':'.join(map(str, have.values()))} runs: the next planned look is at {first}",
            "finish those runs: curate ab run CONFIG (curate ab status shows how far they are)",
        )
    runs = dict(zip(have, looks[look], strict=True))
    again = any(one["look"] is not None and one["runs"] == runs for one in taken(experiment))
    _write(experiment, {"look": look, "runs": runs, "state": "again" if again else "scheduled"})
    return look


def taken(experiment: Experiment) -> list[dict[str, Any]]:
    """All lines of looks.jsonl; a line cut by a crash is left out."""
    path = experiment.folder / LOOKS
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict) and set(one) >= FIELDS and isinstance(one["runs"], dict):
            found.append(one)
    return found


def _shown(looks: Sequence[Sequence[int]]) -> str:
    return ", ".join(":".join(map(str, one)) for one in looks)


def _write(experiment: Experiment, line: dict[str, Any]) -> None:
    path = experiment.folder / LOOKS
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"), path.open("a") as handle:
        if path.stat().st_size and path.read_bytes()[-1:] != b"\n":  # a line that a crash cut must not swallow this one
            handle.write("\n")
        handle.write(json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **line}) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
