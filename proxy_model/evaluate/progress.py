"""Progress of an evaluation on stderr: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

LINE_EVERY_S = 10.0


class Progress:
    """Tokens decide the time left (long requests come first); what an earlier run left counts as done, not as speed."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar = _bar() if not quiet and sys.stderr.isatty() else None
        self._requests = self._tokens = self._of_requests = self._of_tokens = self._reused = 0
        self._began = self._last = time.monotonic()

    def start(self, requests: int, tokens: int) -> None:
        """What there is to do."""
        self._of_requests, self._of_tokens = requests, tokens
        self._began = self._last = time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task("scoring", total=tokens, amount="")
            self._bar.start()

    def advance(self, requests: int, tokens: int) -> None:
        """A batch is done.  Inputs that several requests share are fewer tokens than were announced."""
        self._requests += requests
        self._tokens += tokens
        self._show()

    def reused(self, requests: int, tokens: int) -> None:
        """A finished part was found."""
        self._requests += requests
        self._reused += tokens
        self._show()

    def close(self) -> None:
        """End the bar; a last line elsewhere."""
        if self._bar is not None:
            self._bar.stop()
        elif not self._quiet:
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """`1,200/4,000 options  5,300 tokens/s  about 40 s left`."""
        took = max(time.monotonic() - self._began, 1e-9)
        rate = self._tokens / took
        left = (self._of_tokens - self._tokens - self._reused) / rate if rate else 0.0
        text = f"{self._requests:,}/{self._of_requests:,} options  {rate:,.0f} tokens/s"
        return text + (
            f"  about {max(left, 0):,.0f} s left" if self._requests < self._of_requests else f"  {took:,.0f} s"
        )

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self._tokens + self._reused, amount=self.line())
        elif not self._quiet and time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)


def _bar() -> RichProgress:
    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
