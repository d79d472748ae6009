"""Checks that an experiment was what its plan says, before anyone reads its verdict.

The counterpart of a sample-ratio mismatch in web experiments: when an arm did not read what its mix says, or the arms
were not trained alike, the difference between them is not the difference between the mixes.  Nothing here sees scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
from scipy import stats

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint

SHARE = 0.005  # of an arm's tokens: a source further from its planned share fails
COPIES = 0.02  # total variation between the planned and the read histogram of copies
RATE = 1e-9  # relative: sums of learning rates of equal schedules differ by rounding only
UNEVEN = 0.05  # p under which exclusions are called unevenly spread over arms
OF_THE_ARM = ("shards", "held_out", "seeds", "subset_share")  # what runs may differ in
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One check; `stops`: when it fails, the verdict is not about the mixes and must not be used."""

    check: str
    ok: bool
    detail: str
    stops: bool = True


def health_checks(lock: Record, arms: Mapping[str, Record], runs: Sequence[Record]) -> list[Check]:
    """All checks that the records allow, failed ones first.

    lock: its content, with `runs`, planned by arm.  arms: by name, `sources`, `copies` and `mix`, planned shares
    (`consumption.planned`).  runs: run.json of each, with `training_facts`.
    """
    counted = [run for run in runs if not run.get("excluded")]
    made = [
        _all_runs(lock, arms, counted),
        _no_run_twice(runs),
        _equal(counted, "same training", "training", "a setting other than seeds and data"),
        _equal(counted, "equal tokens", "tokens", "tokens"),
        _equal(counted, "equal steps", "steps", "steps"),
        _equal(counted, "equal learning rate", "lr_sum", "the sum of learning rates over steps", RATE),
        _shares(arms, counted),
        _follows(arms),
        _copies(arms, counted),
        _skipped(counted),
        _exclusions(arms, runs),
    ]
    return sorted((one for one in made if one is not None), key=lambda one: (one.ok, not one.stops))


def training_facts(folder: Path) -> dict[str, Any]:
    """`training`: digest of every setting but seeds and data; `lr_sum`: of the learning rate over steps.

    Raises UsageError where config.json or steps.parquet is missing or damaged.
    """
    try:
        identity = orjson.loads((folder / "config.json").read_bytes())["identity"]
        steps = pq.read_table(folder / "steps.parquet", columns=["lr"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: what was trained cannot be read: {error}", "remove it and run it again") from None
    kept = {name: one for name, one in identity.items() if name not in OF_THE_ARM}
    return {"training": fingerprint(kept), "lr_sum": float(np.sum(steps["lr"].to_numpy()))}


def contamination_check(found: Record | None) -> Check | None:
    """Of `Contamination.to_json`; a difference does not stop the verdict, which is then also shown on clean items."""
    if found is None:
        return None
    rates = ", ".join(f"{100 * rate:.2f} % in {arm}" for arm, rate in found["rate"].items())
    said = f"items seen in training text: {rates}; {100 * found['differing']:.2f} % of items in some arms only"
    if found["ok"]:
        return Check("equal contamination", True, said, stops=False)
    return Check("equal contamination", False, f"{said}: read the verdict on items that no arm has seen", stops=False)


def _name(run: Record) -> str:
    return f"{run['arm']}-{run['number']}"


def _all_runs(lock: Record, arms: Mapping[str, Record], runs: Sequence[Record]) -> Check | None:
    planned = lock.get("runs")
    if planned is None:
        return None
    wanted = {arm: planned[arm] if isinstance(planned, Mapping) else planned for arm in arms}
    have = {arm: sum(run["arm"] == arm for run in runs) for arm in arms}
    wrong = [f"{arm} has {have[arm]} of {wanted[arm]}" for arm in arms if have[arm] != wanted[arm]]
    said = "; ".join(wrong) if wrong else " + ".join(map(str, have.values())) + " runs, as planned"
    return Check("all planned runs", not wrong, said)


def _no_run_twice(runs: Sequence[Record]) -> Check:
    """Two runs with the same seeds are one run counted twice."""
    seen: dict[str, str] = {}
    twice = []
    for run in runs:
        seeds = run.get("seeds")
        if seeds is None:
            continue
        key = repr(sorted(seeds.items()) if isinstance(seeds, Mapping) else seeds)
        if key in seen:
            twice.append(f"{_name(run)} has the seeds of {seen[key]}")
        seen.setdefault(key, _name(run))
    return Check("different seeds", not twice, "; ".join(twice[:3]) or f"{len(seen)} runs, all with seeds of their own")


def _equal(runs: Sequence[Record], check: str, key: str, what: str, tolerance: float = 0.0) -> Check | None:
    """Every run has the same value."""
    values = {_name(run): run[key] for run in runs if key in run}
    if not values:
        return None
    first, usual = next(iter(values.items()))
    same: Callable[[Any], bool] = lambda one: (  # noqa: E731
        one == usual or (tolerance > 0 and abs(one - usual) <= tolerance * abs(usual))
    )
    other = {name: one for name, one in values.items() if not same(one)}
    if not other:
        return Check(
            check,
            True,
            f"the same in {len(values)} runs" if isinstance(usual, str) else f"{what}: {usual:,.6g} in every run",
        )
    name, value = next(iter(other.items()))
    if isinstance(usual, str):
        return Check(check, False, f"{what} differs between {first} and {name}, and {len(other) - 1} others")
    return Check(check, False, f"{what}: {first} {usual:,.6g}, {name} {value:,.6g}; {len(other)} runs differ")


def _shares(arms: Mapping[str, Record], runs: Sequence[Record]) -> Check | None:
    """Tokens of each source that a run read, as a share of all it read, against the arm's mix."""
    worst: tuple[float, str] = (0.0, "")
    known = 0
    for run in runs:
        plan, read = arms[run["arm"]].get("sources"), run.get("consumed")
        if not plan or not read:
            continue
        known += 1
        total, whole = sum(read.values()) or 1, sum(plan.values()) or 1.0
        for name in sorted(set(plan) | set(read)):
            due, had = plan.get(name, 0.0) / whole, read.get(name, 0) / total
            if abs(had - due) > worst[0]:
                worst = abs(had - due), f"{_name(run)} read {100 * had:.2f} % {name}, planned {100 * due:.2f} %"
    if not known:
        return None
    ok = worst[0] <= SHARE
    return Check(
        "token shares", ok, f"within {100 * worst[0]:.2f} points of the mix in {known} runs" if ok else worst[1]
    )


def _follows(arms: Mapping[str, Record]) -> Check | None:
    """Shares of an ablation's sources against those of the mix that it stands for."""
    worst: tuple[float, str] = (0.0, "")
    known = [(name, arm) for name, arm in arms.items() if arm.get("mix") and arm["mix"] != arm["sources"]]
    for arm, plan in known:
        for name in sorted(set(plan["mix"]) | set(plan["sources"])):
            due, had = plan["mix"].get(name, 0.0), plan["sources"].get(name, 0.0)
            if abs(had - due) > worst[0]:
                said = f"{arm}: its ablation holds {100 * had:.2f} % {name}, the mix {100 * due:.2f} %"
                worst = abs(had - due), said + ": whole documents, too few to follow it closer"
    if not known:
        return None
    ok = worst[0] <= SHARE
    said = f"within {100 * worst[0]:.2f} points of the mixes" if ok else worst[1]
    return Check("ablation follows its mix", ok, said, stops=False)


def _copies(arms: Mapping[str, Record], runs: Sequence[Record]) -> Check | None:
    """How often documents were read, against the schedule that the experiment stands for (MiniMax-01 §4.1.3.2)."""
    worst: tuple[float, str] = (0.0, "")
    known = 0
    for run in runs:
        plan, read = arms[run["arm"]].get("copies"), run.get("copies")
        if not plan or not read:
            continue
        known += 1
        total, whole = sum(read.values()) or 1, sum(plan.values()) or 1.0
        due = {int(n): share / whole for n, share in plan.items()}
        had = {int(n): count / total for n, count in read.items()}
        distance = sum(abs(had.get(n, 0.0) - due.get(n, 0.0)) for n in {*due, *had}) / 2
        if distance > worst[0]:
            mean = [sum(n * share for n, share in one.items()) for one in (had, due)]
            worst = (
                distance,
                (
                    f"{_name(run)} read its documents {mean[0]:.2f} times (mean over tokens), planned {mean[1]:.2f}; "
                    f"{100 * distance:.1f} % of tokens have another number of copies"
                ),
            )
    if not known:
        return None
    ok = worst[0] <= COPIES
    said = f"histogram of copies within {100 * worst[0]:.2f} % of the plan in {known} runs" if ok else worst[1]
    return Check("repetition", ok, said, stops=False)


def _skipped(runs: Sequence[Record]) -> Check | None:
    known = [run for run in runs if "skipped" in run]
    if not known:
        return None
    some = [run for run in known if run["skipped"]]
    said = ", ".join(f"{_name(run)} left out {run['skipped']:,}" for run in some[:3]) or "no run left out a step"
    return Check("no skipped steps", not some, said, stops=False)


def _exclusions(arms: Mapping[str, Record], runs: Sequence[Record]) -> Check:
    """Exclusions that fall on one arm are a result of their own, and bias what is left."""
    out = {arm: sum(bool(run.get("excluded")) for run in runs if run["arm"] == arm) for arm in arms}
    if not any(out.values()):
        return Check("exclusions", True, "no run was excluded", stops=False)
    trained = {arm: sum(run["arm"] == arm for run in runs) for arm in arms}
    p = uneven(out, trained) if len(arms) > 1 else 1.0
    said = ", ".join(f"{n} of {trained[arm]} in {arm}" for arm, n in out.items())
    even = p > UNEVEN
    note = "by the rule fixed before the first run" if even else f"unevenly (p = {p:.2g}): the arms differ in stability"
    return Check("exclusions", even, f"excluded {said}, {note}", stops=False)


def uneven(excluded: Mapping[str, int], trained: Mapping[str, int]) -> float:
    """Two-sided Fisher p of the first two arms' runs being excluded equally often."""
    (a, b), (n, m) = list(excluded.values())[:2], list(trained.values())[:2]
    return float(stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue)
