"""Where tasks run: a local process pool, datatrove's executor, a Ray cluster, or Slurm.

Every executor runs the same function (`perform`) with the same tasks and folders, so that neither
fingerprints nor bytes depend on it; a task is done when its manifest is there, whoever wrote it.
"""

from __future__ import annotations

import shutil
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curation.pipeline.errors import CurateError, UsageError
from curation.pipeline.local_pool import auto_workers, run_local
from curation.pipeline.plan import State
from curation.pipeline.progress import Progress
from curation.pipeline.task_queue import Outcome


def require_installed(executor: Any) -> None:
    """Raise UsageError, before a run starts, where the executor needs something that is not installed here."""
    if executor.kind == "ray" and find_spec("ray") is None:
        raise UsageError("executor: kind ray needs the library ray", "pip install 'curate-lm[ray]'")
    if executor.kind == "slurm":
        missing = [name for name in ("sbatch", "squeue") if shutil.which(name) is None]
        if missing:
            raise UsageError(
                f"executor: kind slurm needs the command {' and '.join(missing)}", "run on a login node of the cluster"
            )


def dispatch(plan_file: Path, state: State, names: list[str], executor: Any, progress: Progress) -> Outcome:
    """Run tasks with the executor that the config names; raises UsageError as `require_installed`."""
    require_installed(executor)
    if executor.kind == "datatrove":
        return run_datatrove(plan_file, state, names, workers=executor.workers, progress=progress)
    if executor.kind == "ray":
        from curation.pipeline.ray_tasks import run_ray

        return run_ray(state, names, executor, progress)
    if executor.kind == "slurm":
        from curation.pipeline.slurm import run_slurm

        return run_slurm(state, names, executor, progress)
    workers = auto_workers() if executor.workers == "auto" else executor.workers
    return run_local(state, names, workers=workers, retries=executor.retries, progress=progress)


def run_datatrove(plan_file: Path, state: State, names: list[str], *, workers: int, progress: Progress) -> Outcome:
    """Run the same tasks through datatrove's local executor, one wave of independent tasks at a time.

    Its log folder carries the plan's fingerprint and the time; our manifests, not its
    completion markers, say what is done.
    """
    from curation.pipeline.datatrove_tasks import run_wave

    outcome = Outcome()
    waiting = list(names)
    while waiting:
        ready = [name for name in waiting if state.ready(name)]
        if not ready:
            outcome.failures |= {name: f"{name}: waits for a failed task" for name in waiting}
            return outcome
        wave = [name for name in ready if not state.finished(name)]
        logs = plan_file.parent / "datatrove" / f"{state.plan.fingerprint}-{time.time_ns()}"
        message = "datatrove reports success, but there is no manifest"
        try:
            if wave:
                run_wave(plan_file, wave, workers=workers, logs=logs)
        except CurateError:
            raise
        except Exception as error:  # whatever a rank raised, wrapped by datatrove's pool
            message = f"{type(error).__name__}: {error}"
        unfinished = [name for name in wave if not state.finished(name)]
        if unfinished:
            outcome.failures |= {name: f"{name}: {message} (logs: {logs})" for name in unfinished}
            return outcome
        outcome.ran |= set(wave)
        for name in ready:
            waiting.remove(name)
            progress.task_done(name)
    return outcome
