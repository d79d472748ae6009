"""Progress of long work: bars with rate and time left on a terminal, plain lines elsewhere.

Everything goes to stderr, so `--json` output on stdout stays clean.
"""

from __future__ import annotations

import re
import sys
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

LINE_EVERY_S = 10.0


class Progress(Protocol):
    """What executors report to."""

    def __enter__(self) -> Progress: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def bytes_done(self, total: int) -> None:
        """Input bytes done so far in all, not since the last call."""

    def task_done(self, name: str) -> None:
        """One more task is finished."""

    def note(self, text: str) -> None:
        """A line that stays: a warning, a retry."""


def open_progress(tasks: int, input_bytes: int, *, quiet: bool = False) -> Progress:
    """Bars on a terminal, lines elsewhere, notes only when quiet."""
    if not quiet and sys.stderr.isatty():
        return _Bars(tasks, input_bytes)
    return _Lines(tasks, input_bytes, every=float("inf") if quiet else LINE_EVERY_S)


_ACTIVE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Names come from input files: without control characters and bidi controls."""
    return _ACTIVE.sub("\N{REPLACEMENT CHARACTER}", text)


class _Bars:
    def __init__(self, tasks: int, input_bytes: int) -> None:
        self._input_bytes = input_bytes
        self._started = time.monotonic()
        self._rich = RichProgress(
            TextColumn("{task.description:<9}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks = self._rich.add_task("tasks", total=tasks, amount=f"0/{tasks}")
        self._bytes = self._rich.add_task("input", total=input_bytes or None, amount="", visible=input_bytes > 0)

    def __enter__(self) -> _Bars:
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()

    def bytes_done(self, total: int) -> None:
        rate = total / max(time.monotonic() - self._started, 1e-9)
        amount = f"{total / 1e6:,.0f}/{self._input_bytes / 1e6:,.0f} MB  {rate / 1e6:,.1f} MB/s"
        self._rich.update(self._bytes, completed=total, amount=amount)

    def task_done(self, name: str) -> None:
        bar = self._rich.tasks[self._tasks]
        self._rich.update(
            self._tasks, advance=1, amount=f"{int(bar.completed) + 1}/{int(bar.total or 0)}  {printable(name)[:60]}"
        )

    def note(self, text: str) -> None:
        self._rich.console.print(printable(text), markup=False, highlight=False)


class _Lines:
    def __init__(self, tasks: int, input_bytes: int, every: float) -> None:
        self._tasks, self._input_bytes, self._every = tasks, input_bytes, every
        self._done = self._bytes = 0
        self._started = self._last = time.monotonic()

    def __enter__(self) -> _Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._every != float("inf"):
            self._line()

    def bytes_done(self, total: int) -> None:
        self._bytes = total
        if time.monotonic() - self._last >= self._every:
            self._line()

    def task_done(self, name: str) -> None:
        self._done += 1

    def note(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    def _line(self) -> None:
        self._last = time.monotonic()
        elapsed = self._last - self._started
        share = self._done / self._tasks if self._tasks else 1.0
        left = f", about {elapsed / share - elapsed:,.0f} s left" if 0 < share < 1 else ""
        rate = f", input {self._bytes / 1e6:,.1f} MB at {self._bytes / 1e6 / max(elapsed, 1e-9):,.1f} MB/s"
        self.note(f"tasks {self._done}/{self._tasks}{rate if self._bytes else ''}, {elapsed:,.0f} s{left}")
