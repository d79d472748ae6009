"""`curate run`: plan, execute what is not finished, check that nothing was lost, link the outputs.

The run's folder holds only links into the content-addressed step folders, the plan,
and `run.json`; it can be deleted and made again without recomputing anything.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from curation.pipeline.config import RunConfig
from curation.pipeline.confirm import CONFIRM, downstream, require
from curation.pipeline.errors import StrictStop, TaskFailed, UsageError
from curation.pipeline.executors import dispatch, require_installed
from curation.pipeline.folders import files_of
from curation.pipeline.hashing import hash64
from curation.pipeline.plan import Plan, State, build, step_of
from curation.pipeline.progress import Progress, open_progress
from curation.pipeline.schema import PRIVATE_VIEWS
from curation.pipeline.shards import write_atomic
from curation.pipeline.summary import summarise
from curation.pipeline.task_queue import Outcome

RUN_FILE = "run.json"
MAX_LINK_NAME = 80


@contextmanager
def run_lock(directory: Path) -> Iterator[None]:
    """One process at a time per run folder; a killed process holds no lock."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"another process is running in {directory}", "wait for it, or give this run another name (`run:`)"
        ) from None
    try:
        yield
    finally:
        lock.release()


def run(
    config: RunConfig, *, until: str | None = None, strict: bool = False, yes: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Execute a config; returns the content of `run.json`.

    Raises TaskFailed when tasks failed after their retries (finished ones are kept), ConservationError
    when the counts do not close, StrictStop under `--strict`, NeedsConfirmation without `yes`.
    """
    require_installed(config.core.executor)
    plan = build(config, until=until, strict=strict)
    started = time.perf_counter()
    with run_lock(plan.directory):
        forget_other_results(plan)
        plan_file = plan.write()
        state = State(plan)
        todo = [task.name for task in plan.tasks if not state.finished(task.name)]
        if strict:
            stop_at_quarantined(state, {task.name for task in plan.tasks} - set(todo))
        input_bytes = sum(plan.by_name[name].input_bytes for name in todo)
        with open_progress(len(todo), input_bytes, quiet=quiet) as progress:
            ran, warnings = execute_plan(state, plan_file, todo, config, progress, confirmed=yes)
        summary = summarise(state, ran, wall_s=time.perf_counter() - started)
        summary["warnings"] += warnings
        link_outputs(state)
        write_atomic(plan.directory / RUN_FILE, orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return summary


def execute_plan(
    state: State, plan_file: Path, todo: list[str], config: RunConfig, progress: Progress, *, confirmed: bool
) -> tuple[set[str], list[str]]:
    """Run tasks, stopping before anything that depends on a result to be confirmed; (tasks run, warnings)."""
    ran: set[str] = set()
    warnings: list[str] = []
    for guarded in [*state.plan.facts.get(CONFIRM, {}), None]:
        later = downstream(state.plan, guarded) if guarded else set()
        now = [name for name in todo if name not in later]
        todo = [name for name in todo if name in later]
        outcome = dispatch(plan_file, state, now, config.core.executor, progress) if now else Outcome()
        ran |= outcome.ran
        if outcome.failures:
            raise TaskFailed(
                "\n".join(outcome.failures.values()) + f"\n{len(outcome.failures)} task(s) failed",
                "settle the cause and run the same command again; finished tasks are kept",
            )
        if guarded:
            warnings += require(state, guarded, confirmed=confirmed)
    return ran, warnings


def forget_other_results(plan: Plan) -> None:
    """Remove results of another plan, so a changed config never shows old output."""
    try:
        known = orjson.loads((plan.directory / RUN_FILE).read_bytes())["plan"]
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError):
        known = None
    if known == plan.fingerprint:
        return
    for name in (RUN_FILE, "report.html"):
        (plan.directory / name).unlink(missing_ok=True)
    for folder in plan.directory.iterdir():
        if folder.is_dir() and not folder.is_symlink() and _holds_only_links(folder):
            shutil.rmtree(folder)


def _holds_only_links(folder: Path) -> bool:
    entries = [entry for entry in folder.rglob("*") if entry.is_symlink() or not entry.is_dir()]
    return bool(entries) and all(entry.is_symlink() for entry in entries)


def stop_at_quarantined(state: State, finished: set[str]) -> None:
    """Under `--strict`, results with quarantined records made without it are refused too."""
    for name in sorted(finished):
        manifest = state.manifest(name)
        if manifest is not None and manifest.counts.get("quarantined"):
            raise StrictStop(f"{name}: --strict: {manifest.counts['quarantined']} quarantined record(s)")


def link_outputs(state: State) -> None:
    """Fill `<run>/<view>/` with links to the Parquet files, or a folder's files, of the steps that show that view."""
    views: dict[str, dict[str, Path]] = {}
    for task in state.plan.tasks:
        for view in step_of(task).views:
            target = state.output(task.name, view)
            links = views.setdefault(view, {})
            if target.is_dir():
                links |= {file.relative_to(target).as_posix(): file for file in files_of(target)}
            else:
                links[link_name(task.name)] = target
    for view, links in views.items():
        folder, fresh = state.plan.directory / view, state.plan.directory / f".{view}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        if view in PRIVATE_VIEWS:
            fresh.chmod(0o700)
        for name, target in links.items():
            link = fresh / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(target, folder / name / ".."))
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)


def link_name(task: str) -> str:
    """A file name from a task name, which holds names of input files: confined and unique."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", task.partition("/")[2] or task).strip(".-")[:MAX_LINK_NAME]
    return f"{plain}-{hash64(task):016x}.parquet"
