"""The manifest in itself, and the schedules: what the counts of shards, queues and stages must have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from packing.layout import files
from packing.layout.manifest import Manifest
from packing.verify.faults import Fault


def manifest_faults(manifest: Manifest) -> Iterator[Fault]:
    """Counts and ids that contradict each other."""
    ids = {"eos_id": manifest.eos_id, "pad_id": manifest.pad_id, "bos_id": manifest.bos_id}
    for name, value in ids.items():
        if value is not None and not 0 <= value < manifest.vocab_rows:
            yield Fault(files.MANIFEST, f"{name} {value} is not below {manifest.vocab_rows} rows of vocabulary")
    known = [value for value in ids.values() if value is not None]
    if len(set(known)) != len(known):
        yield Fault(files.MANIFEST, f"ids must differ: {ids}")
    names = [shard.name for shard in manifest.shards]
    if names != [files.shard_name(i) for i in range(len(names))]:
        yield Fault(files.MANIFEST, "shards are not numbered from s00000 on")
    for number, queue in enumerate(manifest.queues):
        shards = [shard for shard in manifest.shards if shard.queue == number]
        rows, tokens = sum(shard.rows for shard in shards), sum(shard.tokens for shard in shards)
        if (rows, tokens) != (queue.rows, queue.tokens):
            yield Fault(
                files.MANIFEST,
                f"queue {queue.name!r} has {queue.rows} rows and {queue.tokens} tokens, its shards {rows} and {tokens}",
            )
    if wrong := [shard.name for shard in manifest.shards if not 0 <= shard.queue < len(manifest.queues)]:
        yield Fault(files.MANIFEST, f"{wrong[0]} is of no queue")
    for shard in manifest.shards:
        expected = [f"data/{shard.name}.bin", *(f"index/{shard.name}.{kind}" for kind in ("csr", "seg", "parquet"))]
        if sorted(one.name for one in shard.files) != sorted(expected):
            yield Fault(files.MANIFEST, f"{shard.name} does not list its four files")


def order_faults(directory: Path, manifest: Manifest, notes: list[str]) -> Iterator[Fault]:
    """Schedules name queues that exist and take each queue's rows once; rows left over are a note."""
    taken = np.zeros(len(manifest.queues), np.int64)
    for stage, info in enumerate(manifest.stages):
        name = f"order/stage{stage}.u16"
        try:
            order = files.map_order(directory, stage)
        except (OSError, ValueError) as error:
            yield Fault(name, f"cannot be read: {error}")
            return
        if len(order) != info.sequences:
            yield Fault(name, f"{len(order):,} sequences, the manifest says {info.sequences:,}")
        counts = np.bincount(order, minlength=len(taken))
        if len(counts) > len(taken):
            yield Fault(name, f"queue {len(counts) - 1}, the manifest names {len(taken)} queues")
            return
        taken += counts
    for queue, count in zip(manifest.queues, taken.tolist(), strict=True):
        if count > queue.rows:
            yield Fault("order", f"{count} sequences of queue {queue.name!r}, which has {queue.rows} rows")
        elif count < queue.rows:
            notes.append(f"{queue.rows - count} of {queue.rows} rows of queue {queue.name!r} are in no stage")
