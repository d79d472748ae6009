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
from packing.layout.manifest import QueueInfo, StageInfo
from packing.order.tijdeman import tijdeman
from packing.write.rules import StageRules

MOST_QUEUES = 200  # the bound on the deviation is proven and tested up to here


@dataclass(frozen=True, eq=False)
class Scheduled:
    """A stage and its order uint16[sequences]: numbers of queues."""

    rules: StageRules
    weights: list[float]
    end_weights: list[float] | None
    order: NDArray[np.uint16]


def schedule(stages: Sequence[StageRules], queues: Sequence[QueueInfo]) -> list[Scheduled]:
    """The order of every stage; a later stage goes on in each queue where the one before ended.

    Raises UsageError: unknown queues, no weight at all, or a queue with too few tokens for its share.
    """
    if len(queues) > MOST_QUEUES:
        raise UsageError(f"{len(queues)} queues; {MOST_QUEUES} are the most", "put sources together: pack.queues")
    used = np.zeros(len(queues), np.int64)
    made = []
    for stage in stages:
        one = _scheduled(stage, queues, used)
        used += np.bincount(one.order, minlength=len(queues))
        short = np.flatnonzero(used > [queue.rows for queue in queues])
        if len(short):
            raise _exhausted(stage, queues, used, int(short[0]))
        made.append(one)
    return made


def _scheduled(stage: StageRules, queues: Sequence[QueueInfo], used: NDArray[np.int64]) -> Scheduled:
    rows = np.array([queue.rows for queue in queues], np.int64)
    tokens = np.array([queue.tokens for queue in queues], np.float64)
    left = np.maximum(rows - used, 0)
    if stage.weights is None and stage.tokens is None:  # all that is left, evenly: exact in sequences
        total = int(left.sum())
        share = tokens * left / np.maximum(rows, 1)
        weights = (share / share.sum()).tolist() if total else [0.0] * len(queues)
        order = tijdeman(left / total, np.ones(len(queues)), total) if total else np.zeros(0, np.uint16)
        return Scheduled(stage, weights, None, order)
    begin = _weights(stage, "weights", stage.weights, queues)
    if begin is None:
        begin = tokens / tokens.sum()
    end = _weights(stage, "end_weights", stage.end_weights, queues)
    each = tokens / np.maximum(rows, 1)
    wanted = begin if end is None else (begin + end) / 2
    for i, queue in enumerate(queues):
        if wanted[i] > 0 and not queue.rows:
            raise UsageError(f"stage {stage.name}: {queue.name!r} has a weight, but no tokens", "leave it out")
    asked = tokens.sum() if stage.tokens is None else float(stage.tokens)
    per_sequence = wanted.sum() / (wanted[wanted > 0] / each[wanted > 0]).sum()  # tokens of a sequence of the mix
    count = max(1, round(asked / per_sequence))
    if (needed := np.floor(count * per_sequence * wanted / np.maximum(each, 1))).max() > rows.max() + 1:
        raise _exhausted(stage, queues, used + needed.astype(np.int64), int(np.argmax(needed / np.maximum(rows, 1))))
    order = tijdeman(begin, each, count) if end is None else tijdeman(begin, each, count, end_weights=end)
    return Scheduled(stage, begin.tolist(), None if end is None else end.tolist(), order)


def _weights(
    stage: StageRules, key: str, given: dict[str, float] | None, queues: Sequence[QueueInfo]
) -> NDArray[np.float64] | None:
    if given is None:
        return None
    names = [queue.name for queue in queues]
    for name in given:
        if name not in names:
            remedy = suggest(name, names) or f"queues: {', '.join(names)}"
            raise UsageError(f"stage {stage.name}: {key}: no queue is called {name!r}", remedy)
    values = np.array([given.get(name, 0.0) for name in names])
    if not values.sum() > 0 or values.min() < 0:
        raise UsageError(f"stage {stage.name}: {key}: shares must be at least 0, and one of them more")
    return values / values.sum()


def _exhausted(stage: StageRules, queues: Sequence[QueueInfo], used: NDArray[np.int64], short: int) -> UsageError:
    queue = queues[short]
    need = used[short] / max(queue.rows, 1)
    return UsageError(
        f"stage {stage.name}: {queue.name!r} needs {need:.3g} epochs of its {queue.tokens:,} tokens "
        f"({int(used[short]):,} sequences of {queue.rows:,})",
        "give it less weight, fewer tokens to the stage (pack.stages[].tokens), or copies in the mix table",
    )


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
