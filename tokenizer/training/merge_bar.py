"""Progress of a training: a bar with rate and time left on a terminal, plain lines elsewhere; on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from tokenizer.training.train import Progress

LINE_EVERY_S = 5.0


class MergeBar:
    """`note` for a line that stays, `update` after some merges; silent when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._last = quiet, time.monotonic()
        self._rich: RichProgress | None = None
        if not quiet and sys.stderr.isatty():
            self._rich = RichProgress(
                TextColumn("merges"), BarColumn(), TextColumn("{task.fields[amount]}"), TimeElapsedColumn(),
                TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._rich.add_task("merges", total=None, amount="")

    def __enter__(self) -> MergeBar:
        if self._rich:
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich:
            self._rich.stop()

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._rich:
            self._rich.console.print(text, markup=False, highlight=False)
        elif not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def update(self, progress: Progress) -> None:
        """Where the training is."""
        amount = f"{progress.merges:,} of {progress.target:,}, {progress.per_second:,.0f} a second"
        if self._rich:
            self._rich.update(self._task, total=progress.target, completed=progress.merges, amount=amount)
        elif time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            self.note(f"merges: {amount}, about {progress.eta_s:,.0f} s left")
