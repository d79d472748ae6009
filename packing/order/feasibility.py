"""Can the queues give what a schedule asks?  Answered before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.pipeline.errors import UsageError
from packing.order.weights import WeightPath

ENOUGH = 1 + 1e-6  # epochs; what is above is no rounding


@dataclass(frozen=True)
class Need:
    """What one queue must give: `epochs` = wanted / available (inf where nothing is there)."""

    queue: str
    wanted: float  # tokens
    available: int  # tokens of one epoch

    @property
    def epochs(self) -> float:
        if self.wanted <= 0:
            return 0.0
        return self.wanted / self.available if self.available else float("inf")


def needs(names: Sequence[str], weights: WeightPath, budget: float, available: Sequence[int]) -> list[Need]:
    """What each queue must give for the first `budget` tokens."""
    end = np.array([budget], np.float64)
    return [Need(name, float(weights.ideal(end, queue)[0]), available[queue]) for queue, name in enumerate(names)]


def longest_budget(weights: WeightPath, available: Sequence[int], max_epochs: float = 1.0) -> float:
    """The most tokens for which no queue is asked for more than `max_epochs` epochs."""
    return min(
        weights.reached(queue, tokens * max_epochs) if weights.weights[:, queue].max() > 0 else float("inf")
        for queue, tokens in enumerate(available)
    )


def require_enough(stage: str, wanted: Sequence[Need], longest: float) -> None:
    """UsageError that names every queue that is asked for more than is left, and what `longest` tokens would do."""
    short = [need for need in wanted if need.epochs > ENOUGH]
    if not short:
        return
    lines = [
        f"stage {stage}: {need.queue!r} needs {need.epochs:.1f} epochs: {need.wanted:,.0f} tokens wanted, "
        f"{need.available:,} there"
        if need.available
        else f"stage {stage}: {need.queue!r} has no tokens left, and {need.wanted:,.0f} are wanted"
        for need in sorted(short, key=lambda need: (-need.epochs, need.queue))
    ]
    fits = f"or the stage at most {longest:,.0f} tokens, " if longest >= 1 else ""
    raise UsageError("\n".join(lines), f"give it less weight, {fits}or copies in a mix table")
