"""What a run tells while it works; the command line shows it, a library user may ignore it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from proxy_model.train.held_out import Score


class Listener(Protocol):
    """All calls come from the training process, in order."""

    def begins(self, step: int, steps: int, tokens: int) -> None:
        """Before step number `step` of `steps`; `tokens` in all."""

    def stepped(self, row: Mapping[str, Any]) -> None:
        """A row of steps.parquet."""

    def evaluated(self, step: int, scores: Sequence[Score]) -> None:
        """Of held-out text."""

    def note(self, text: str) -> None:
        """A line that stays: a spike, a skipped step, a checkpoint."""


class Silent:
    """Says nothing."""

    def begins(self, step: int, steps: int, tokens: int) -> None: ...
    def stepped(self, row: Mapping[str, Any]) -> None: ...
    def evaluated(self, step: int, scores: Sequence[Score]) -> None: ...
    def note(self, text: str) -> None: ...
