"""Rows of a directory as a trainer gets them: in training order; the shares of queues; what EOS does not show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.layout import files
from packing.layout.manifest import Manifest

BLOCK_TOKENS = 1 << 20  # tokens gathered at once


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a stage: uint32[k, L], and where each stands (number of its shard, row in it: int64[k])."""

    rows: NDArray[np.uint32]
    shard: NDArray[np.int64]
    row: NDArray[np.int64]


def in_training_order(directory: Path, manifest: Manifest, stage: int) -> Iterator[Block]:
    """The rows of a stage as they are trained on.

    Queue q's k-th turn takes the k-th of its rows that earlier stages left (layout.files).  A turn
    without a row left raises UsageError.
    """
    length = manifest.sequence_length
    maps = [files.map_rows(directory, shard.name, length) if shard.rows else None for shard in manifest.shards]
    numbers = [np.array([i for i, s in enumerate(manifest.shards) if s.queue == q and s.rows], np.int64)
               for q in range(len(manifest.queues))]  # fmt: skip
    ends = [np.cumsum([manifest.shards[i].rows for i in of]).astype(np.int64) for of in numbers]
    done = served_before(directory, manifest, stage)
    order = files.map_order(directory, stage)
    step = max(1, BLOCK_TOKENS // length)
    for start in range(0, len(order), step):
        turns = np.asarray(order[start : start + step])
        shard, row = np.empty(len(turns), np.int64), np.empty(len(turns), np.int64)
        for queue in np.unique(turns):
            here = np.flatnonzero(turns == queue)
            place = done[queue] + np.arange(len(here))
            if not len(ends[queue]) or place[-1] >= ends[queue][-1]:
                raise UsageError(
                    f"{files.order_path(directory, stage)}: asks for more rows of queue {queue} than there are",
                    "run `curate shards verify`",
                )
            at = np.searchsorted(ends[queue], place, "right")
            shard[here] = numbers[queue][at]
            row[here] = place - np.where(at > 0, ends[queue][at - 1], 0)
            done[queue] += len(here)
        rows = np.empty((len(turns), length), files.TOKEN)
        for number in np.unique(shard):
            here = np.flatnonzero(shard == number)
            found = maps[number]
            assert found is not None
            rows[here] = found[row[here]]
        yield Block(rows, shard, row)


def served_before(directory: Path, manifest: Manifest, stage: int) -> NDArray[np.int64]:
    """Rows of each queue that the stages before `stage` take: int64[queues]."""
    done = np.zeros(len(manifest.queues), np.int64)
    for earlier in range(stage):
        done += np.bincount(files.map_order(directory, earlier), minlength=len(done))
    return done


def hidden_boundaries(directory: Path, manifest: Manifest) -> int:
    """Rows in which a fragment before the last one ends without EOS: who infers boundaries misses one."""
    hidden = 0
    for shard in manifest.shards:
        if shard.rows:
            table = pq.read_table(files.fragment_path(directory, shard.name), columns=["seq", "flags"])
            seq, flags = table["seq"].to_numpy(), table["flags"].to_numpy()
            missed = (seq[:-1] == seq[1:]) & (flags[:-1] & files.LAST == 0)
            hidden += len(np.unique(seq[:-1][missed]))
    return hidden


def scheduled_shares(directory: Path, manifest: Manifest, stages: list[int]) -> list[float]:
    """Share of each queue in the sequences of `stages`: all that a reader which shuffles keeps of the order."""
    counts = np.zeros(len(manifest.queues), np.int64)
    for stage in stages:
        counts += np.bincount(files.map_order(directory, stage), minlength=len(counts))
    return [float(share) for share in counts / max(1, int(counts.sum()))]


def used_tokens(directory: Path, shard: str, rows: int) -> NDArray[np.int64]:
    """Tokens before the padding of each row: int64[rows]."""
    starts, lengths = files.map_csr(directory, shard, rows)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    return np.diff(ends[starts.astype(np.int64)])
