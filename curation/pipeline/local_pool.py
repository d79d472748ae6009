"""The local executor: a pool of spawned processes.

A worker that dies (out of memory, a crash in a C library) breaks its pool: the tasks in flight are
then run one at a time, which finds the one that kills its worker without losing the others.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

from curation.pipeline.compiling import NOTE, listen
from curation.pipeline.plan import State, Work
from curation.pipeline.progress import Progress
from curation.pipeline.task_queue import Outcome, TaskQueue

POLL_S = 0.2
WORKER_MEMORY = 700 << 20  # planned for one worker when the number of workers is `auto`


def auto_workers() -> int:
    """As many processes as cores this process may use, and as memory allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores, memory // WORKER_MEMORY))


def run_local(state: State, names: list[str], *, workers: int, retries: int, progress: Progress) -> Outcome:
    """Run tasks in a spawned process pool, as many at once as there are workers."""
    queue = TaskQueue.of(state, names, retries=retries, progress=progress)
    suspects: deque[str] = deque()  # were in flight when a worker died: run one at a time
    pool = _Pool(state, workers)
    told = False
    try:
        while queue.ready or suspects or pool.running:
            broken: list[str] = []
            while not broken and not suspects and len(pool.running) < workers and (name := queue.take()):
                if not pool.submit(name):
                    broken.append(name)
            if not broken and suspects and not pool.running:
                name = suspects.popleft()
                if not pool.submit(name):
                    broken.append(name)
            for name, error in [] if broken else pool.wait():
                if error is None:
                    queue.succeeded(name)
                elif isinstance(error, BrokenProcessPool):
                    broken.append(name)
                else:
                    queue.went_wrong(name, error)
            if broken:
                broken += pool.restart()
                if len(broken) == 1:
                    message = f"{broken[0]}: its worker process died (out of memory, or a crash in a library)"
                    queue.retry_or_fail(broken[0], message, suspects.append)
                else:
                    suspects.extend(broken)
            progress.bytes_done(pool.bytes_done())
            if not told and pool.compiling():
                progress.note(NOTE)
                told = True
    finally:
        pool.stop()
    return queue.outcome


class _Pool:
    """A process pool that can be restarted, and what its workers share: bytes done, whether they compile."""

    def __init__(self, state: State, workers: int) -> None:
        self.state, self.workers = state, workers
        self.running: dict[Future[None], str] = {}
        self._context = multiprocessing.get_context("spawn")
        self._done_before = 0
        self._start()

    def _start(self) -> None:
        # no lock on the counters: a worker killed while holding one would block the others
        self._bytes = self._context.RawArray("Q", self.workers)
        self._compiling = self._context.RawArray("b", self.workers)
        self._slot = self._context.Value("i", 0)
        shared = (self._bytes, self._compiling, self._slot)
        self._pool = ProcessPoolExecutor(self.workers, self._context, _start_worker, shared)

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

    def compiling(self) -> bool:
        """Whether a worker compiles kernels just now."""
        return any(self._compiling)

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
        for process in processes:
            process.terminate()
        # Waiting: at exit Python wakes the pool's thread, over a pipe that this thread may just have closed.
        self._pool.shutdown(wait=True, cancel_futures=True)


def one_thread() -> None:
    """Make this process use one thread: tasks run side by side, not inside each other."""
    os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)


_advance: Callable[[int], None] = lambda n: None  # noqa: E731  (set in each worker)


def _start_worker(counters: Any, compiling: Any, next_slot: Any) -> None:
    global _advance
    one_thread()
    with next_slot.get_lock():
        slot = next_slot.value % len(counters)
        next_slot.value += 1

    def advance(n: int) -> None:
        counters[slot] += n

    def note_compiling(active: bool) -> None:
        compiling[slot] = active

    _advance = advance
    listen(note_compiling)
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
