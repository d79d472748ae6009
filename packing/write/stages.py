"""Which queue each sequence of a stage comes from, and whether there are enough of them: before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from packing.layout import files
from packing.layout.digests import digest_file
from packing.layout.manifest import StageInfo
from packing.order.feasibility import longest_budget, natural_weights, needs
from packing.order.tijdeman import MOST_QUEUES, prefix_deviation, tijdeman
from packing.order.weights import WeightPath, interpolated, static
from packing.write.rules import StageRules

ENOUGH = 1 + 1e-6  # epochs; what is above is no rounding


@dataclass(frozen=True, eq=False)
class QueueRows:
    """A queue with the real tokens of each of its rows, int64[rows]."""

    name: str
    row_tokens: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scheduled:
    """A stage and its order uint16[sequences]: numbers of queues.

    `deviation`: the farthest that a queue is from its share after any prefix, in sequences.
    """

    rules: StageRules
    weights: list[float]
    end_weights: list[float] | None
    order: NDArray[np.uint16]
    deviation: float


def schedule(stages: Sequence[StageRules], queues: Sequence[QueueRows], L: int) -> list[Scheduled]:
    """The order of every stage; a later stage goes on in each queue where the one before ended.

    Raises UsageError: unknown queues, no weight at all, or a queue with too few tokens for its share.
    """
    if not queues:
        return [Scheduled(stage, [], None, np.zeros(0, np.uint16), 0.0) for stage in stages]
    if len(queues) > MOST_QUEUES:
        raise UsageError(f"{len(queues)} queues; {MOST_QUEUES} are the most", "put sources together: pack.queues")
    used = np.zeros(len(queues), np.int64)
    made = []
    for stage in stages:
        one = _scheduled(stage, queues, used, L)
        used += np.bincount(one.order, minlength=len(queues))
        made.append(one)
    return made


def _scheduled(stage: StageRules, queues: Sequence[QueueRows], used: NDArray[np.int64], L: int) -> Scheduled:
    names = [queue.name for queue in queues]
    tokens = [queue.row_tokens for queue in queues]
    left = [int(part[done:].sum()) for part, done in zip(tokens, used, strict=True)]
    if not sum(left):
        raise UsageError(f"stage {stage.name}: the stages before it take every token", "give them fewer tokens")
    begin = natural_weights(left) if stage.weights is None else _shares(stage, "weights", stage.weights, names)
    end = None if stage.end_weights is None else _shares(stage, "end_weights", stage.end_weights, names)
    budget = float(sum(left) if stage.tokens is None else stage.tokens)
    path = static(begin) if end is None else interpolated(begin, end, budget)
    _require_enough(stage, names, path, budget, left)
    if stage.weights is None and end is None and budget >= sum(left):
        count = int(sum(part.size - done for part, done in zip(tokens, used, strict=True)))
    else:
        given = np.array([float(path.ideal(np.array([budget]), k)[0]) for k in range(len(queues))])
        each = np.array([one / max(1, part.size - done) for one, part, done in zip(left, tokens, used, strict=True)])
        count = max(1, int((given[given > 0] / each[given > 0]).sum()))
    order = tijdeman(path, tokens, L, count, used=used)
    deviation = float(prefix_deviation(order, path, tokens, L, used).max().round(6))
    return Scheduled(stage, begin.tolist(), None if end is None else end.tolist(), order, deviation)


def _require_enough(stage: StageRules, names: list[str], path: WeightPath, budget: float, left: list[int]) -> None:
    short = [need for need in needs(names, path, budget, left) if need.epochs > ENOUGH]
    if not short:
        return
    worst = max(short, key=lambda need: (need.epochs, need.queue))
    if not worst.available:
        raise UsageError(f"stage {stage.name}: {worst.queue!r} has a weight, but no tokens", "leave it out")
    most = longest_budget(path, left)
    raise UsageError(
        f"stage {stage.name}: {worst.queue!r} needs {worst.epochs:.1f} epochs: {worst.wanted:,.0f} tokens wanted, "
        f"{worst.available:,} there",
        f"give it less weight, or the stage at most {most:,.0f} tokens (pack.tokens), or copies in a mix",
    )


def _shares(stage: StageRules, key: str, given: dict[str, float], names: list[str]) -> NDArray[np.float64]:
    for name in given:
        if name not in names:
            remedy = suggest(name, names) or f"queues: {', '.join(names)}"
            raise UsageError(f"stage {stage.name}: {key}: no queue with tokens is called {name!r}", remedy)
    values = np.array([given.get(name, 0.0) for name in names])
    if not values.sum() > 0 or values.min() < 0:
        raise UsageError(f"stage {stage.name}: {key}: shares must be at least 0, and one of them more")
    return np.asarray(values / values.sum())


def write_orders(directory: Path, stages: Sequence[Scheduled]) -> list[StageInfo]:
    """order/stageN.u16 of every stage."""
    (directory / "order").mkdir(exist_ok=True)
    infos = []
    for number, stage in enumerate(stages):
        path = files.order_path(directory, number)
        path.write_bytes(stage.order.astype(files.QUEUE).tobytes())
        digest = digest_file(directory, path.relative_to(directory).as_posix(), blocks=False)
        infos.append(StageInfo(stage.rules.name, len(stage.order), stage.weights, stage.end_weights, digest))
    return infos
