"""Execute one task: check, run, commit.  The same function serves every executor.

A task is a pure function of its fingerprint, so executing it twice, or in two places
at once, writes the same bytes; the manifest is written last.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from curation.pipeline.context import TaskContext
from curation.pipeline.errors import CurateError, TaskFailed, UsageError, explain_os_error
from curation.pipeline.manifest import Manifest
from curation.pipeline.plan import Plan, State, Work, step_of
from curation.pipeline.schema import PRIVATE_VIEWS
from curation.pipeline.shards import sweep_stale


def execute(state: State, name: str) -> Manifest:
    """Run one task of a plan unless it is finished; returns its manifest."""
    return state.manifest(name) or perform(state.work(name))


def execute_from_file(plan: Path, name: str) -> Manifest:
    """Run one task of a plan file: all that a remote machine needs."""
    return execute(State(Plan.read(plan)), name)


def perform(work: Work, advance: Callable[[int], None] = lambda n: None) -> Manifest:
    """Run a task; returns its manifest.  `advance` is told the input bytes just done.

    Raises TaskFailed for infrastructure errors (they may be retried), CurateError for
    what the user must settle first.
    """
    task = work.task
    step = step_of(task)
    _check_versions(task.name, dict(task.versions), dict(step.versions(task.config)))
    wall, cpu = time.perf_counter(), cpu_seconds()
    context = None
    try:
        work.directory.mkdir(parents=True, exist_ok=True)
        sweep_stale(work.directory)
        context = TaskContext(
            task,
            work.directory,
            lambda name, output: work.inputs[name][output],
            public=frozenset(step.views) - PRIVATE_VIEWS,
            strict=work.strict,
            advance=advance,
        )
        step.run(context)
        outputs = context.close()
        manifest = Manifest(
            task=task.name,
            step=task.step,
            fingerprint=work.fingerprint,
            outputs=outputs,
            counts=dict(sorted(context.counts.items())),
            slices=context.slices,
            versions=dict(task.versions),
            warnings=context.warnings,
            wall_s=round(time.perf_counter() - wall, 4),
            cpu_s=round(cpu_seconds() - cpu, 4),
            max_rss_mb=round(peak_memory_mb(), 1),
        )
        manifest.write(work.directory)
    except BaseException as error:
        if context is not None:
            context.discard()
        raise _explained(work, error) from error
    return manifest


def _explained(work: Work, error: BaseException) -> BaseException:
    """Infrastructure errors as TaskFailed with a remedy; everything else as it is, with the task's name."""
    name = work.task.name
    if isinstance(error, OSError):
        return TaskFailed(f"{name}: {explain_os_error(error)} [writing {work.directory}]")
    if isinstance(error, MemoryError):
        return TaskFailed(f"{name}: out of memory", "use fewer workers (executor.workers)")
    if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
        return TaskFailed(
            f"{name}: {error}", "a global step needs disk space beside its output for what exceeds memory"
        )
    if not isinstance(error, CurateError):
        error.add_note(f"while executing task {name}")
    return error


def cpu_seconds() -> float:
    """User + system time of this process and its ended children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def _check_versions(name: str, planned: dict[str, str], here: dict[str, str]) -> None:
    differing = [
        f"{k}: plan {planned.get(k)}, here {here.get(k)}" for k in planned | here if planned.get(k) != here.get(k)
    ]
    if differing:
        raise UsageError(
            f"{name}: this machine has other software than the plan was made with ({'; '.join(differing)})",
            "install the same versions, or make the plan anew here",
        )
