"""Runs on this machine: some processes at a time, one run each, with the time left over all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from curation.pipeline.errors import TaskFailed
from curation.pipeline.progress import LINE_EVERY_S, printable
from proxy_model.experiment.runs import LOG, RunName, folder_of
from proxy_model.experiment.settings import Experiment

TRAINING = 0.85  # of a run's time, for the bar
POLL_S = 0.1
SHOWN = 400  # characters of a failed run's last words
KILL_AFTER_S = 10.0


@dataclass(eq=False)
class _Job:
    name: RunName
    process: subprocess.Popen[str]
    log: object
    share: float = 0.0  # of its work
    words: str = ""
    reader: threading.Thread = field(init=False)

    def read(self) -> None:
        """Follow the worker's lines until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            part = told["done"] / max(1, told["of"])
            self.share = TRAINING * part if told["stage"] == "train" else TRAINING + (1 - TRAINING) * part
            self.words = f"{told['stage']} {told['done']:,}/{told['of']:,} {told['words']}".rstrip()


def run_all(
    experiment: Experiment, todo: Sequence[RunName], *, done: int, of: int, processes: int = 1, quiet: bool = False
) -> None:
    """Train and evaluate these runs.  done, of: runs that are there already, and all of the experiment.

    Raises TaskFailed when some failed, after the others ended; Ctrl-C ends the workers, whose checkpoints stay.
    """
    waiting = list(todo)
    active: list[_Job] = []
    failed: list[str] = []
    with _shown(done, of, quiet=quiet) as shown:
        try:
            while waiting or active:
                while waiting and len(active) < processes:
                    active.append(_start(experiment, waiting.pop(0)))
                time.sleep(POLL_S)
                for job in [one for one in active if one.process.poll() is not None]:
                    active.remove(job)
                    job.reader.join()
                    job.log.close()  # type: ignore[attr-defined]
                    if job.process.returncode:
                        failed.append(f"{job.name}: {_last_words(experiment, job)}")
                    else:
                        done += 1
                    shown.finished(job.name, failed=bool(job.process.returncode))
                shown.update(done, active)
        finally:
            for job in active:
                job.process.terminate()
            for job in active:
                try:
                    job.process.wait(KILL_AFTER_S)
                except subprocess.TimeoutExpired:
                    job.process.kill()
    if failed:
        raise TaskFailed(
            "\n".join(failed) + f"\n{len(failed)} run(s) failed", "settle the cause and run the same command again"
        )


def _start(experiment: Experiment, name: RunName) -> _Job:
    folder = folder_of(experiment, name)
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / LOG).open("a")
    pilot = [f"--pilot={experiment.pilot}:{','.join(experiment.config.arms)}"] if experiment.pilot else []
    command = [
        sys.executable, "-m", "proxy_model.experiment.worker", str(experiment.path), name.arm, str(name.number), *pilot,
        *experiment.overrides,
    ]  # fmt: skip
    threads = str(experiment.proxy.threads)
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True, env={**os.environ, **limits}
    )
    job = _Job(name, process, log)
    job.reader = threading.Thread(target=job.read, daemon=True)
    job.reader.start()
    return job


def _last_words(experiment: Experiment, job: _Job) -> str:
    path = folder_of(experiment, job.name) / LOG
    text = path.read_text(errors="replace").strip()
    return printable(text[-SHOWN:]) if text else f"ended with code {job.process.returncode}"


class _Lines:
    """A line for every finished run, and every LINE_EVERY_S seconds."""

    def __init__(self, done: int, of: int, *, quiet: bool) -> None:
        self.first, self.done, self.of, self.quiet = done, done, of, quiet
        self.began = self.last = time.monotonic()

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *error: object) -> None: ...

    def finished(self, name: RunName, *, failed: bool) -> None:
        self._say(f"{name} {'failed' if failed else 'finished'}")

    def update(self, done: int, active: Sequence[_Job]) -> None:
        self.done = done
        if time.monotonic() - self.last >= LINE_EVERY_S:
            self._say("; ".join(f"{job.name} {job.words}" for job in active) + self.left(active))

    def left(self, active: Sequence[_Job]) -> str:
        """`, 3 of 10 runs, about 120 s left`."""
        work = self.done - self.first + sum(job.share for job in active)
        took = time.monotonic() - self.began
        rest = f", about {took / work * (self.of - self.first - work):,.0f} s left" if work > 0.05 else ""
        return f", {self.done} of {self.of} runs{rest}"

    def _say(self, text: str) -> None:
        self.last = time.monotonic()
        if not self.quiet:
            print(printable(text), file=sys.stderr, flush=True)


class _Bar(_Lines):
    """The same on a terminal."""

    def __enter__(self) -> _Bar:
        self.rich = Progress(
            TextColumn("runs"), BarColumn(), TextColumn("{task.fields[words]}", markup=False), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=True), console=Console(stderr=True),
        )  # fmt: skip
        self.task = self.rich.add_task("runs", total=self.of - self.first, words="")
        self.rich.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.rich.stop()

    def finished(self, name: RunName, *, failed: bool) -> None:
        self.rich.console.print(f"{name} {'failed' if failed else 'finished'}", markup=False, highlight=False)

    def update(self, done: int, active: Sequence[_Job]) -> None:
        words = f"{done}/{self.of}  " + "; ".join(f"{job.name} {job.words}" for job in active)
        self.rich.update(
            self.task, completed=done - self.first + sum(job.share for job in active), words=printable(words)
        )


def _shown(done: int, of: int, *, quiet: bool) -> _Lines:
    return (_Bar if not quiet and sys.stderr.isatty() else _Lines)(done, of, quiet=quiet)
