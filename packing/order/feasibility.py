"""Can the queues give what a schedule asks?  Answered before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.order.weights import WeightPath


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


def natural_weights(available: Sequence[int]) -> NDArray[np.float64]:
    """Shares with which all queues end together, every sequence once."""
    total = np.array(available, np.float64)
    if not total.sum():
        raise UsageError("there is not one token to train on", "see the report of the run for what removed them")
    shares: NDArray[np.float64] = total / total.sum()
    return shares


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


def require_enough(wanted: Sequence[Need], max_epochs: float = 1.0) -> None:
    """UsageError that names every queue that is asked for more than `max_epochs` (a millionth is rounding)."""
    short = [need for need in wanted if need.epochs > max_epochs * (1 + 1e-6)]
    if short:
        lines = [
            f"source {need.queue} needs {need.epochs:.1f} epochs: {need.wanted:,.0f} tokens wanted, "
            f"{need.available:,} there"
            if need.available
            else f"source {need.queue} has no tokens, and {need.wanted:,.0f} are wanted"
            for need in sorted(short, key=lambda need: (-need.epochs, need.queue))
        ]
        raise UsageError(
            "\n".join(lines),
            f"give it less weight, train on fewer tokens, or raise max_epochs (now {max_epochs:g})",
        )
