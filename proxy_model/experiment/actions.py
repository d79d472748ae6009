"""What `curate ab …` does: check, work, print."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from curation.commands.output import print_json, print_line, print_table
from curation.pipeline.errors import UsageError
from proxy_model.actions import need_torch
from proxy_model.experiment.arms import Arm, build_arms, read_arms
from proxy_model.experiment.design import looks_of
from proxy_model.experiment.lock import check_locked, content, noise_key, read_lock, write_lock
from proxy_model.experiment.looks import due, excluded_runs, missing, take, taken, valid_runs
from proxy_model.experiment.settings import Experiment, load_experiment, pilot_of
from proxy_model.experiment.statistics.registry_prior import NoiseKey
from proxy_model.experiment.suite import Suite, load_suite

DETAIL = 100  # characters of a check's detail in a table
PILOT_RUNS = 8  # any number names the same folder


def lock_command(config: Path, overrides: list[str], *, amend: bool, yes: bool, quiet: bool, as_json: bool) -> None:
    """Build the arms, check that they can be trained and compared, write lock.json."""
    need_torch()
    experiment = load_experiment(config, overrides)
    suite = load_suite(experiment)
    arms = build_arms(experiment, yes=yes, quiet=quiet or as_json)
    lock, changed = lock_arms(experiment, suite, arms, amend=amend)
    if as_json:
        print_json({"folder": str(experiment.folder), "changed": changed, **lock})
        return
    _print_lock(experiment, arms, suite, lock, changed)


def lock_arms(
    experiment: Experiment, suite: Suite, arms: dict[str, Arm], *, amend: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """(lock.json, changes).  Raises UsageError for what could not be trained."""
    from proxy_model.experiment.trainable import check_trainable

    check_trainable(experiment, arms)
    return write_lock(experiment, content(experiment, arms, suite), amend=amend)


def run_command(
    config: Path, overrides: list[str], *, only: str | None, processes: int, quiet: bool, as_json: bool
) -> None:
    """Train and score what is missing, take planned looks until one decides; or train one run of a cluster's job."""
    need_torch()
    experiment = load_experiment(config, overrides)
    suite, arms = load_suite(experiment), read_arms(experiment)
    found = content(experiment, arms, suite)
    lock = check_locked(experiment, found)
    if only is not None:
        _only(experiment, arms, suite, only, lock["hash"], quiet=quiet or as_json, as_json=as_json)
        return
    verdict = None
    for look, counts in enumerate(looks_of(experiment)):
        train(experiment, dict(zip(arms, counts, strict=True)), processes, quiet=quiet or as_json)
        verdict = _look(experiment, arms, suite, found)
        if decided(verdict):
            break
        if look + 1 < len(looks_of(experiment)) and not (quiet or as_json):
            print_line(f"look {look + 1}: no decision at {':'.join(map(str, counts))} runs, going on")
    _print_verdict(experiment, verdict or {}, as_json=as_json)


def decided(verdict: dict[str, Any]) -> bool:
    """Whether a look ends the experiment."""
    made = [one for one in verdict["verdicts"].values() if one is not None]
    return bool(made) and all(one["label"] != "inconclusive" for one in made)


def report_command(config: Path, overrides: list[str], *, as_json: bool) -> None:
    """A planned look: verdict.json and report.html.  An unplanned one is refused and written down."""
    need_torch()
    experiment = load_experiment(config, overrides)
    read_lock(experiment)
    suite, arms = load_suite(experiment), read_arms(experiment)
    verdict = _look(experiment, arms, suite, content(experiment, arms, suite))
    _print_verdict(experiment, verdict, as_json=as_json)


def status_command(config: Path, overrides: list[str], *, as_json: bool) -> None:
    """Progress and health; no score, no difference, no p."""
    experiment = load_experiment(config, overrides)
    lock = read_lock(experiment)
    rows, health = progress(experiment), _health(experiment)
    looks = [one for one in taken(experiment) if one["state"] != "again"]
    ready = due(experiment, looks_of(experiment))
    if as_json:
        made = {"lock": lock["hash"], "amended": lock["amended"], "arms": rows, "looks": looks, "due": ready}
        print_json({**made, "health": [vars(one) for one in health]})
        return
    print_table(["arm", "planned", "finished", "excluded", "training"], [list(row.values()) for row in rows])
    for one in health:
        print_line(f"{'ok  ' if one.ok else 'FAIL' if one.stops else 'note'} {one.check}: {one.detail[:DETAIL]}")
    for line in looks:
        print_line(f"look at {':'.join(map(str, line['runs'].values()))} runs, {line['state']}, {line['time']}")
    planned = ", ".join(":".join(map(str, one)) for one in looks_of(experiment))
    print_line(f"planned looks at {planned} runs" + ("" if ready is None else ": curate ab report may look now"))
    if lock["amended"]:
        print_line(f"amended after the lock: {lock['amended'][0]}")


def progress(experiment: Experiment) -> list[dict[str, Any]]:
    """A row an arm: planned, finished, excluded, and runs that have begun."""
    from proxy_model.experiment.runs import RUN, RUNS

    rows = []
    for arm, planned in experiment.config.runs_of.items():
        begun = [
            one for one in experiment.folder.glob(f"{RUNS}/{arm}-*/config.json") if not (one.parent / RUN).exists()
        ]
        rows.append(
            {
                "arm": arm,
                "planned": planned,
                "finished": len(valid_runs(experiment, arm)),
                "excluded": len(excluded_runs(experiment, arm)),
                "training": len(begun),
            }
        )
    return rows


def _health(experiment: Experiment) -> list[Any]:
    from proxy_model.experiment.consumption import planned
    from proxy_model.experiment.health import health_checks

    runs = [
        one for arm in experiment.config.arms for one in (*valid_runs(experiment, arm), *excluded_runs(experiment, arm))
    ]
    if not runs:
        return []
    arms = {name: asdict(planned(Path(one.shards))) for name, one in read_arms(experiment).items()}
    return health_checks({}, arms, runs)


def train(experiment: Experiment, wanted: dict[str, int], processes: int, *, quiet: bool) -> None:
    """Until so many runs of each arm count; an excluded one is replaced by the arm's next number."""
    from proxy_model.experiment.local import run_all

    while todo := missing(experiment, wanted):
        whole = sum(wanted.values())
        run_all(experiment, todo, done=max(0, whole - len(todo)), of=whole, processes=processes, quiet=quiet)


def _only(
    experiment: Experiment, arms: dict[str, Arm], suite: Suite, only: str, lock: str, *, quiet: bool, as_json: bool
) -> None:
    from proxy_model.experiment.runs import RunName, folder_of, one_run

    arm, sign, number = only.rpartition(":")
    if not sign or arm not in arms or not number.isdecimal():
        raise UsageError(f"--only {only!r} is no run", f"write ARM:NUMBER, arms are {', '.join(arms)}")
    if int(number) >= 2 * experiment.config.runs_of[arm]:
        raise UsageError(f"--only {only}: {experiment.config.runs_of[arm]} runs are planned, numbers begin at 0")
    name = RunName(arm, int(number))
    record = one_run(experiment, arms[arm], name, suite, lock, None if quiet else _steps(name))
    if as_json:
        print_json(
            {key: record[key] for key in ("arm", "number", "run", "tokens", "steps", "loss", "excluded", "cost")}
        )
        return
    print_line(f"{name} finished: {folder_of(experiment, name)}")


def _steps(name: Any) -> Any:
    """A line every LINE_EVERY_S seconds on stderr."""
    import sys
    import time

    from curation.pipeline.progress import LINE_EVERY_S

    last = [time.monotonic()]

    def told(stage: str, done: int, of: int, words: str) -> None:
        if time.monotonic() - last[0] >= LINE_EVERY_S:
            last[0] = time.monotonic()
            print(f"{name} {stage} {done:,}/{of:,} {words}", file=sys.stderr, flush=True)

    return told


def _look(experiment: Experiment, arms: dict[str, Arm], suite: Suite, found: dict[str, Any]) -> dict[str, Any]:
    from proxy_model.experiment.report import write_report
    from proxy_model.experiment.verdict import write_verdict

    verdict = write_verdict(experiment, arms, suite, found, _take(experiment))
    if len(arms) > 1:
        write_report(experiment.folder)
    return verdict


def _take(experiment: Experiment) -> int:
    return take(experiment, looks_of(experiment), read_lock(experiment)["content"]["looks"])


def _print_lock(
    experiment: Experiment, arms: dict[str, Arm], suite: Suite, lock: dict[str, Any], changed: list[str]
) -> None:
    rows = [
        [name, experiment.config.runs_of[name], arm.rows, arm.tokens, round(arm.subset_share, 4), arm.root[:12]]
        for name, arm in arms.items()
    ]
    print_table(["arm", "runs", "rows", "tokens", "share a run draws from", "shards"], rows)
    benchmarks = [[name, n, suite.weights[name]] for name, n in suite.counts.items()]
    print_table(["benchmark", "items", "weight"], benchmarks)
    for arm in arms.values():
        for line in arm.warnings:
            print_line(f"warning: {line}")
    for line in changed:
        print_line(f"changed: {line}")
    print_line(f"locked {lock['hash']}: {experiment.folder / 'lock.json'}")


def _print_verdict(experiment: Experiment, verdict: dict[str, Any], *, as_json: bool) -> None:
    from proxy_model.experiment.verdict import plain

    if as_json:
        print_json(plain(verdict))
        return
    for name, one in verdict["verdicts"].items():
        low, high = one["ci"]
        print_line(
            f"{name} against {verdict['baseline']}: {one['label'].replace('_', '-')}. {verdict['metric']} "
            f"{one['estimate']:+.5g} [{low:+.5g}, {high:+.5g}], p = {one['p']:.3g} (level {one['level']:.3g}), "
            f"{one['runs'][0]} + {one['runs'][1]} runs"
        )
        print_line(
            f"  detectable {one['mde_achieved']:.4g} = {one['mde_in_sigma']:.2f}·σ_seed, "
            f"σ_seed = {one['sigma_seed']:.4g}"
        )
    if verdict["refused"]:
        print_line(f"no verdict: {verdict['refused']}")
        for arm, mean in verdict["means"].items():
            print_line(f"  {arm} {mean:.5g}")
    for one in verdict["guardrails"]:
        print_line(f"guardrail {one['name']}: {one['state']}, {one['detail']}")
    for line in verdict["amended"]:
        print_line(f"amended: {line}")
    for line in verdict["caveats"]:
        print_line(f"note: {line}")
    print_line(f"verdict {experiment.folder / 'verdict.json'}")
    print_line(f"report  {experiment.folder / 'report.html'}")


def key_of(experiment: Experiment, suite: Suite) -> NoiseKey | None:
    """The registry's key, from the arms or from those of an A/A; None while none is built."""
    pilots = [pilot_of(experiment, [arm], PILOT_RUNS) for arm in experiment.config.arms]
    for one in (experiment, *pilots):
        try:
            return noise_key(experiment, read_arms(one), suite)
        except UsageError:
            continue
    return None
