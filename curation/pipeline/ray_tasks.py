"""The Ray executor: one plain Ray task for each of ours, in dependency order.

A task travels as JSON text and names files in `workdir`, which every node must see; no code and no
data go through Ray's object store.  Ray's own retries are off: what counts as done is the manifest,
so a lost worker or node costs the tasks that it was executing, which are tried again here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.config import RayExecutor
from curation.pipeline.errors import CurateError
from curation.pipeline.local_pool import auto_workers
from curation.pipeline.plan import State, Work
from curation.pipeline.progress import Progress
from curation.pipeline.task import Input, Task
from curation.pipeline.task_queue import Outcome, TaskQueue

POLL_S = 1.0
OBJECT_STORE_BYTES = 128 << 20  # of a cluster started here: it carries task descriptions only


def run_ray(state: State, names: list[str], executor: RayExecutor, progress: Progress) -> Outcome:
    """Run tasks on a Ray cluster; raises CurateError when there is none at `executor.address`."""
    ray = _ray()
    queue = TaskQueue.of(state, names, retries=executor.retries, progress=progress)
    done_bytes = 0
    with _cluster(executor) as slots:
        memory = {} if executor.memory_mb is None else {"memory": executor.memory_mb << 20}
        remote = ray.remote(num_cpus=1, max_retries=0, **memory)(run_work)
        running: dict[Any, str] = {}
        try:
            while queue.ready or running:
                while len(running) < slots and (name := queue.take()):
                    running[remote.options(name=name).remote(work_to_json(state.work(name)))] = name
                ended = ray.wait(list(running), timeout=POLL_S)[0] if running else []
                for one in ended:
                    name = running.pop(one)
                    try:
                        host = ray.get(one)
                    except ray.exceptions.RayTaskError as error:
                        queue.went_wrong(name, error.cause or error)
                    except ray.exceptions.RayError as error:  # its worker or node is gone
                        reason = str(error).strip().partition("\n")[0]
                        queue.retry_or_fail(name, f"{name}: lost by Ray: {type(error).__name__}: {reason}")
                    else:
                        if state.finished(name):
                            done_bytes += state.plan.by_name[name].input_bytes
                            progress.bytes_done(done_bytes)
                            queue.succeeded(name)
                        else:
                            where = f"{state.directory(name)} is not there: is workdir a folder that all nodes share?"
                            queue.retry_or_fail(name, f"{name}: done on {host}, but {where}")
        finally:
            for one in running:
                ray.cancel(one, force=True)
    return queue.outcome


def _ray() -> Any:
    """The library, which is an extra; untyped, so that the types agree with and without it."""
    return import_module("ray")


@contextmanager
def _cluster(executor: RayExecutor) -> Iterator[int]:
    """Connect to a cluster, or start one on this machine for as long as the run lasts; yields the tasks at once."""
    ray = _ray()
    if ray.is_initialized():  # the caller's own
        yield _slots(executor)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a run tells nobody about itself
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if executor.address is None:
            workers = auto_workers() if executor.workers == "auto" else executor.workers
            ray.init(num_cpus=workers, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
        else:
            ray.init(address=executor.address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        place = executor.address or "on this machine"
        raise CurateError(
            f"executor: no Ray cluster {place}: {str(error).strip().partition(chr(10))[0]}",
            "start one with `ray start --head`, or leave `address` out for a cluster on this machine",
        ) from None
    try:
        yield _slots(executor)
    finally:
        ray.shutdown()


def _slots(executor: RayExecutor) -> int:
    return max(1, int(_ray().cluster_resources().get("CPU", 1))) if executor.workers == "auto" else executor.workers


def run_work(text: bytes) -> str:
    """What a Ray worker executes; returns its host name."""
    from curation.pipeline.local_pool import one_thread

    one_thread()
    from curation.pipeline.execute import perform

    perform(work_from_json(text))
    return socket.gethostname()


def work_to_json(work: Work) -> bytes:
    """A task with its place and its inputs' files."""
    value = asdict(work)
    value["directory"] = str(work.directory)
    value["inputs"] = {task: {name: str(path) for name, path in some.items()} for task, some in work.inputs.items()}
    return orjson.dumps(value)


def work_from_json(text: bytes) -> Work:
    """What `work_to_json` wrote."""
    value = orjson.loads(text)
    task = value["task"]
    inputs = {role: tuple(Input(**one) for one in some) for role, some in task["inputs"].items()}
    return Work(
        Task(**{**task, "inputs": inputs, "files": tuple(task["files"])}),
        Path(value["directory"]),
        value["fingerprint"],
        {name: {file: Path(path) for file, path in some.items()} for name, some in value["inputs"].items()},
        value["strict"],
    )
