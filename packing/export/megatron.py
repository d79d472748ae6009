"""Megatron: `<prefix>.bin` (our rows: int32 and uint32 agree below 2^31) and `<prefix>.idx`, one entry a row.

    9 B "MMIDIDX\\0\\0" · u64 version 1 · u8 type code · u64 rows · u64 rows + 1
    i32 lengths[rows] · i64 byte offsets[rows] · i64 documents[rows + 1] (0, 1, …, rows)

Little-endian.  A row is a "document", so Megatron never joins the end of one row to the next.  Megatron shuffles
rows itself: of our order only the shares remain, as weights.  Source: reference, packing §2.
"""

from __future__ import annotations

import struct

import numpy as np

from packing.export.job import Job, Written, copy_rows, queue_folder, shards_by_queue, write_bytes
from packing.export.rows import scheduled_shares
from packing.layout.manifest import ShardInfo

MAGIC = b"MMIDIDX\x00\x00"
INT32, UINT16 = 4, 8  # type codes; there is none for uint32


def write(job: Job) -> Written:
    """A prefix for each queue (for each shard with --link), data_args.txt with weights."""
    manifest, groups = job.manifest, []
    for queue, shards in enumerate(shards_by_queue(manifest)):
        name = queue_folder(manifest, queue)
        if job.link and len(shards) > 1:
            groups += [(queue, f"{name}-{shard.name}", [shard]) for shard in shards]
        elif shards:
            groups.append((queue, name, shards))
    for _, name, shards in groups:
        copy_rows(job, shards, job.out / f"{name}.bin")
        _write_index(job, name, _rows(shards))
    everything = list(range(len(manifest.stages)))
    _write_weights(job, groups, everything, "data_args.txt")
    if len(everything) > 1:
        for stage in everything:
            _write_weights(job, groups, [stage], f"data_args.stage{stage}.txt")
    return Written(
        sum(_rows(shards) for _, _, shards in groups),
        [
            f"`--data-path $(sed 's# # OUT/#' OUT/data_args.txt) --seq-length {manifest.sequence_length}`, OUT being a"
            " path without spaces; each of several stages has its own file. The prefixes in it are relative to OUT,"
            " and Megatron opens prefixes from its working directory: `--data-args-path data_args.txt` is for a"
            " trainer that is started inside OUT.",
            "Set `add_extra_token_to_sequence=False` in GPTDatasetConfig: rows are whole training sequences. With the"
            " default True, a row's last label comes from another row and the last row is lost.",
            "Set `reset_position_ids`, `reset_attention_mask` and `eod_mask_loss` to keep documents apart; the"
            f" tokenizer's `eod` must be {manifest.eos_id} and its `pad` {manifest.pad_id}.",
        ],
    )  # fmt: skip


def _rows(shards: list[ShardInfo]) -> int:
    return sum(shard.rows for shard in shards)


def _write_index(job: Job, name: str, rows: int) -> None:
    length, code = job.manifest.sequence_length, UINT16 if job.dtype.itemsize == 2 else INT32
    write_bytes(
        job.out / f"{name}.idx",
        MAGIC + struct.pack("<QBQQ", 1, code, rows, rows + 1),
        np.full(rows, length, "<i4").tobytes(),
        (np.arange(rows, dtype="<i8") * job.row_bytes).tobytes(),
        np.arange(rows + 1, dtype="<i8").tobytes(),
    )


def _write_weights(job: Job, groups: list[tuple[int, str, list[ShardInfo]]], stages: list[int], name: str) -> None:
    """`weight prefix` lines: a queue's share of the schedule, divided between its prefixes by rows.

    Megatron splits the file at white space and opens each prefix as it stands (megatron/training/utils.py,
    get_blend_and_blend_per_split): an absolute one would be wrong as soon as the folder moves.
    """
    shares = scheduled_shares(job.source, job.manifest, stages)
    lines = []
    for queue, prefix, shards in groups:
        whole = sum(_rows(others) for number, _, others in groups if number == queue)
        if weight := shares[queue] * _rows(shards) / whole:
            lines.append(f"{weight!r} {prefix}")
    write_bytes(job.out / name, ("\n".join(lines) + "\n").encode())
