"""A training run on the terminal: one bar with loss, tokens/s, MFU and time left; plain lines elsewhere.  On stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from curation.pipeline.progress import LINE_EVERY_S, printable
from proxy_model.train.held_out import Score


class TrainingLines:
    """Lines every LINE_EVERY_S seconds and at every look; with `quiet` only notes."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.steps = self.first = 0
        self._began = self._last = time.monotonic()

    def __enter__(self) -> TrainingLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def begins(self, step: int, steps: int, tokens: int) -> None:
        self.first, self.steps = step, steps
        self._began = time.monotonic()
        if not self.quiet:
            self.note(f"{steps - step:,} of {steps:,} steps, {tokens:,} tokens in all")

    def stepped(self, row: Mapping[str, Any]) -> None:
        now, number = time.monotonic(), row["step"] + 1
        if self.quiet or (now - self._last < LINE_EVERY_S and number < self.steps):
            return
        self._last = now
        left = (now - self._began) / (number - self.first) * (self.steps - number)
        self.note(f"step {number:,}/{self.steps:,}  {told(row)}, {left:,.0f} s left")

    def evaluated(self, step: int, scores: Sequence[Score]) -> None:
        if not self.quiet:
            self.note(f"step {step + 1:,}: {look(scores)}")

    def note(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)


class TrainingBar(TrainingLines):
    """The same on a terminal."""

    def __enter__(self) -> TrainingBar:
        self._rich = Progress(
            TextColumn("training"), BarColumn(), TextColumn("{task.fields[amount]}", markup=False),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True),
        )  # fmt: skip
        self._task = self._rich.add_task("training", total=None, amount="")
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()

    def begins(self, step: int, steps: int, tokens: int) -> None:
        self.first, self.steps = step, steps
        self._rich.update(self._task, total=steps, completed=step)

    def stepped(self, row: Mapping[str, Any]) -> None:
        amount = f"{row['step'] + 1:,}/{self.steps:,}  {told(row)}"
        self._rich.update(self._task, completed=row["step"] + 1, amount=amount)

    def note(self, text: str) -> None:
        self._rich.console.print(printable(text), markup=False, highlight=False)


def open_listener(*, quiet: bool) -> TrainingLines:
    """A bar on a terminal, lines elsewhere."""
    return TrainingBar() if not quiet and sys.stderr.isatty() else TrainingLines(quiet=quiet)


def told(row: Mapping[str, Any]) -> str:
    """loss, speed and MFU of a step."""
    mfu = "" if row["mfu"] is None else f", MFU {row['mfu']:.1%}"
    return f"loss {row['loss']:.3f}, {row['tokens_per_s']:,.0f} tokens/s{mfu}"


def look(scores: Sequence[Score]) -> str:
    """Bits per byte in all and by source."""
    whole = next(one for one in scores if one.kind == "all")
    parts = ", ".join(f"{one.name} {one.bits_per_byte:.3f}" for one in scores if one.kind == "source")
    return f"held-out {whole.bits_per_byte:.4f} bits per byte" + (f" ({parts})" if parts else "")
