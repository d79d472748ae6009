"""Which queue each sequence of a stage comes from, and whether there are enough of them: before anything is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.layout import files
from packing.layout.digests import digest_file
from packing.layout.manifest import StageInfo
from packing.order.feasibility import longest_budget, needs, require_enough
from packing.order.stages import Cell, Stage, cell_name, cell_weights, stage_path
from packing.order.tijdeman import MOST_QUEUES, prefix_deviation, tijdeman
from packing.order.weights import WeightPath
from packing.write.rules import Rules


@dataclass(frozen=True, eq=False)
class QueueRows:
    """A queue with the real tokens of each of its rows, int64[rows]; `length_class` "" where it has all lengths."""

    source: str
    length_class: str
    row_tokens: NDArray[np.int64]

    @property
    def name(self) -> str:
        return cell_name(self.source, self.length_class)


@dataclass(frozen=True, eq=False)
class Scheduled:
    """A stage, its weights and its order uint16[sequences]: numbers of queues.

    `deviation`: the farthest that a queue is from its share after any prefix, in sequences.
    """

    stage: Stage
    weights: WeightPath | None  # None: there is no queue
    order: NDArray[np.uint16]
    deviation: float


def schedule(rules: Rules, queues: Sequence[QueueRows]) -> list[Scheduled]:
    """The order of every stage; a later stage goes on in each queue where the one before ended.

    Raises UsageError: unknown queues, no weight at all, or a queue with too few tokens for its share.
    """
    if not queues:
        return [Scheduled(stage, None, np.zeros(0, np.uint16), 0.0) for stage in rules.stages]
    if len(queues) > MOST_QUEUES:
        raise UsageError(f"{len(queues)} queues; {MOST_QUEUES} are the most", "put sources together: pack.queues")
    used = np.zeros(len(queues), np.int64)
    made: list[Scheduled] = []
    before: NDArray[np.float64] | None = None
    for stage in rules.stages:
        left = [int(queue.row_tokens[done:].sum()) for queue, done in zip(queues, used, strict=True)]
        if not sum(left):
            raise UsageError(f"stage {stage.name}: the stages before it take every token", "give them fewer tokens")
        cells = [Cell(one.source, one.length_class, tokens) for one, tokens in zip(queues, left, strict=True)]
        if before is None and rules.before is not None:
            before = _from_other_rows(rules.before, stage, cells)
        one = _scheduled(stage, cells, [queue.row_tokens for queue in queues], used, before, rules.sequence_length)
        used += np.bincount(one.order, minlength=len(queues))
        made.append(one)
        assert one.weights is not None
        before = one.weights.weights[-1]
    return made


def _from_other_rows(before: Stage, stage: Stage, cells: Sequence[Cell]) -> NDArray[np.float64]:
    """Weights at the end of a stage with rows of another length, over the cells of the stage that follows it."""
    sources = {cell.source for cell in cells}
    weights = before.last_weights
    return cell_weights(stage, weights and {name: one for name, one in weights.items() if name in sources}, cells)


def _scheduled(
    stage: Stage,
    cells: Sequence[Cell],
    tokens: Sequence[NDArray[np.int64]],
    used: NDArray[np.int64],
    before: NDArray[np.float64] | None,
    L: int,
) -> Scheduled:
    left = [cell.tokens for cell in cells]
    budget = float(sum(left) if stage.tokens is None else stage.tokens)
    weights = stage_path(stage, cells, budget, before)
    wanted = needs([cell.name for cell in cells], weights, budget, left)
    require_enough(stage.name, wanted, longest_budget(weights, left))
    order = tijdeman(weights, tokens, L, used=used, budget=budget)
    deviation = float(prefix_deviation(order, weights, tokens, L, used).max().round(6))
    return Scheduled(stage, weights, order, deviation)


def write_orders(directory: Path, stages: Sequence[Scheduled]) -> list[StageInfo]:
    """order/stageN.u16 of every stage."""
    (directory / "order").mkdir(exist_ok=True)
    infos = []
    for number, one in enumerate(stages):
        path = files.order_path(directory, number)
        with open(path, "wb") as file:
            file.write(one.order.astype(files.QUEUE).tobytes())
            file.flush()
            os.fsync(file.fileno())
        digest = digest_file(directory, path.relative_to(directory).as_posix(), blocks=False)
        begin, end = _weights(one.weights)
        infos.append(StageInfo(one.stage.name, len(one.order), begin, end, digest))
    return infos


def _weights(path: WeightPath | None) -> tuple[list[float], list[float] | None]:
    """At the begin, and at the end where they are others."""
    if path is None:
        return [], None
    begin, end = path.weights[0].tolist(), path.weights[-1].tolist()
    return begin, None if begin == end else end


def knots(stages: Sequence[Scheduled]) -> dict[str, list[list[float]]]:
    """[tokens, weight of each queue …] by stage, where weights do not move in one line (transition, tail)."""
    paths = {one.stage.name: one.weights for one in stages if one.weights is not None and len(one.weights.at) > 2}
    return {
        name: [[at, *row] for at, row in zip(path.at.tolist(), path.weights.tolist(), strict=True)]
        for name, path in paths.items()
    }
