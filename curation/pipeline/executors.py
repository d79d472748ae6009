"""Where tasks run: a local process pool, or datatrove's executors.

Every executor does the same thing with a plan file and task names (`execute_from_file`),
so the bytes do not depend on it.  A worker that dies (out of memory, a crash in a C
library) breaks its pool: the tasks in flight are then run one at a time, which finds
the one that kills its worker without losing the others.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any

from curation.pipeline.errors import CurateError, TaskFailed
from curation.pipeline.plan import State, Work
from curation.pipeline.progress import Progress

WORKER_MEMORY = 700 << 20  # planned for one worker when the number of workers is `auto`
POLL_S = 0.2


def auto_workers() -> int:
    """As many processes as cores this process may use, and as memory allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores, memory // WORKER_MEMORY))


@dataclass
class Outcome:
    """What an executor did: tasks that it really executed, and failures with their messages."""

    ran: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass
class _Queue:
    """Tasks in dependency order: what is ready, what waits for what."""

    state: State
    waiting: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    ready: deque[str] = field(default_factory=deque)
    blocked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, state: State, names: Iterable[str]) -> _Queue:
        queue = cls(state)
        for name in names:
            open_ones = {d for d in state.plan.by_name[name].dependencies() if not state.finished(d)}
            queue.waiting[name] = open_ones
            for one in open_ones:
                queue.children.setdefault(one, []).append(name)
            if not open_ones:
                queue.ready.append(name)
        return queue

    def done(self, name: str) -> None:
        """What became ready runs next: its input is still in the page cache."""
        for child in self.children.get(name, []):
            self.waiting[child].discard(name)
            if not self.waiting[child]:
                self.ready.appendleft(child)

    def failed(self, name: str) -> None:
        """Everything downstream of a failed task stays undone."""
        for child in self.children.get(name, []):
            if child not in self.blocked:
                self.blocked.add(child)
                self.failed(child)


def run_local(state: State, names: list[str], *, workers: int, retries: int, progress: Progress) -> Outcome:
    """Run tasks in a spawned process pool, as many at once as there are workers."""
    queue = _Queue.of(state, names)
    attempts: dict[str, int] = {}
    outcome = Outcome()
    suspects: deque[str] = deque()  # were in flight when a worker died: run one at a time
    pool = _Pool(state, workers)

    def retry_or_fail(name: str, message: str, again: Callable[[str], None]) -> None:
        attempts[name] = attempts.get(name, 0) + 1
        if attempts[name] <= retries:
            progress.note(f"retry {attempts[name]}/{retries}: {message}")
            again(name)
        else:
            progress.note(f"failed: {message}")
            outcome.failures[name] = message
            queue.failed(name)

    try:
        while queue.ready or suspects or pool.running:
            broken: list[str] = []
            while not broken and not suspects and queue.ready and len(pool.running) < workers:
                name = queue.ready.popleft()
                if state.finished(name):  # known only now: it waited for a barrier's slice, which did not change
                    queue.done(name)
                    progress.task_done(name)
                elif not pool.submit(name):
                    broken.append(name)
            if not broken and suspects and not pool.running:
                name = suspects.popleft()
                if not pool.submit(name):
                    broken.append(name)
            for name, error in [] if broken else pool.wait():
                if error is None:
                    outcome.ran.add(name)
                    queue.done(name)
                    progress.task_done(name)
                elif isinstance(error, BrokenProcessPool):
                    broken.append(name)
                elif isinstance(error, TaskFailed):
                    retry_or_fail(name, str(error), queue.ready.append)
                elif isinstance(error, CurateError):
                    raise error
                else:
                    notes = "; ".join(getattr(error, "__notes__", []))
                    retry_or_fail(name, f"{name}: {type(error).__name__}: {error} ({notes})", queue.ready.append)
            if broken:
                broken += pool.restart()
                if len(broken) == 1:
                    message = f"{broken[0]}: its worker process died (out of memory, or a crash in a library)"
                    retry_or_fail(broken[0], message, suspects.append)
                else:
                    suspects.extend(broken)
            progress.bytes_done(pool.bytes_done())
    finally:
        pool.stop()
    return outcome


class _Pool:
    """A process pool that can be restarted, and one shared byte counter per worker."""

    def __init__(self, state: State, workers: int) -> None:
        self.state, self.workers = state, workers
        self.running: dict[Future[None], str] = {}
        self._context = multiprocessing.get_context("spawn")
        self._done_before = 0
        self._start()

    def _start(self) -> None:
        # no lock on the counters: a worker killed while holding one would block the others
        self._bytes = self._context.RawArray("Q", self.workers)
        self._slot = self._context.Value("i", 0)
        self._pool = ProcessPoolExecutor(self.workers, self._context, _start_worker, (self._bytes, self._slot))

    def submit(self, name: str) -> bool:
        """Start a task; False when the pool turns out to be broken (a worker died while idle)."""
        try:
            self._submit(name)
        except BrokenProcessPool:
            return False
        return True

    def _submit(self, name: str) -> None:
        self.running[self._pool.submit(_run_task, self.state.work(name))] = name

    def wait(self) -> list[tuple[str, BaseException | None]]:
        """Tasks that ended since the last call."""
        done, _ = wait(self.running, timeout=POLL_S, return_when=FIRST_COMPLETED)
        return [(self.running.pop(future), future.exception()) for future in done]

    def bytes_done(self) -> int:
        return self._done_before + int(sum(self._bytes))

    def restart(self) -> list[str]:
        """A new pool in place of the broken one; returns the tasks that were lost with it."""
        lost = list(self.running.values())
        self.running.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._done_before = self.bytes_done()
        self._start()
        return lost

    def stop(self) -> None:
        """End the workers; whatever they had not committed is redone at the next run."""
        processes = list((self._pool._processes or {}).values()) if self.running else []
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


_advance: Callable[[int], None] = lambda n: None  # noqa: E731  (set in each worker)


def _start_worker(counters: Any, next_slot: Any) -> None:
    import pyarrow

    global _advance
    os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    with next_slot.get_lock():
        slot = next_slot.value % len(counters)
        next_slot.value += 1

    def advance(n: int) -> None:
        counters[slot] += n

    _advance = advance
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    """A worker whose parent was killed must not go on working on its own."""
    connection.wait([parent.sentinel])
    os._exit(1)


def _run_task(work: Work) -> None:
    from curation.pipeline.execute import perform

    perform(work, _advance)


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


def dispatch(plan_file: Path, state: State, names: list[str], executor: Any, progress: Progress) -> Outcome:
    """Run tasks with the executor that the config names."""
    if executor.kind == "datatrove":
        return run_datatrove(plan_file, state, names, workers=executor.workers, progress=progress)
    workers = auto_workers() if executor.workers == "auto" else executor.workers
    return run_local(state, names, workers=workers, retries=executor.retries, progress=progress)
