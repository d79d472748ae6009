"""A stage's rows in training order as Arrow record batches: the ids, and the fragments that each row is made of.

    input_ids fixed_size_list<uint32>[L] · seq_lengths list<uint32> · doc_key list<uint64> · copy list<uint16>
    source list<uint16> · queue string

`seq_lengths` are the fragments' lengths; what remains of L is padding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from packing.export.job import Job, narrowed
from packing.export.rows import Block, in_training_order
from packing.layout import files

FILE_TOKENS = 64 << 20  # tokens of a file: 256 MiB of ids


def schema(job: Job) -> pa.Schema:
    """Columns of the batches; metadata says what a reader of the file alone must know."""
    ids = pa.list_(pa.field("item", pa.from_numpy_dtype(job.dtype), nullable=False), job.manifest.sequence_length)
    known = {
        "curate.root": job.manifest.root, "curate.eos_id": str(job.manifest.eos_id),
        "curate.pad_id": str(job.manifest.pad_id), "curate.vocab_rows": str(job.manifest.vocab_rows),
        "curate.sources": "\n".join(job.manifest.sources),
    }  # fmt: skip
    columns = {
        "input_ids": ids, "seq_lengths": pa.list_(pa.uint32()), "doc_key": pa.list_(pa.uint64()),
        "copy": pa.list_(pa.uint16()), "source": pa.list_(pa.uint16()), "queue": pa.string(),
    }  # fmt: skip
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()], known)


def batches(job: Job, stage: int) -> Iterator[pa.RecordBatch]:
    """Record batches of about a million tokens."""
    made = schema(job)
    queues = [queue.name for queue in job.manifest.queues]
    indexes = [files.map_csr(job.source, shard.name, shard.rows) for shard in job.manifest.shards]
    segments = [files.map_segments(job.source, shard.name) for shard in job.manifest.shards]
    for block in in_training_order(job.source, job.manifest, stage):
        offsets, lengths, owners = _fragments(block, indexes, segments)
        ids = pa.FixedSizeListArray.from_arrays(
            pa.array(narrowed(job, block.rows).reshape(-1)), type=made.field("input_ids").type
        )
        lists = [
            pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=made.field(name).type)
            for name, values in (
                ("seq_lengths", lengths),
                *((name, np.ascontiguousarray(owners[name])) for name in ("doc_key", "copy", "source")),
            )
        ]
        names = pa.array([queues[job.manifest.shards[number].queue] for number in block.shard])
        yield pa.RecordBatch.from_arrays([ids, *lists, names], schema=made)


def rows_per_file(job: Job) -> int:
    """Rows of every file but the last."""
    return max(1, FILE_TOKENS // job.manifest.sequence_length)


def whole_files(job: Job, source: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """The batches of each file: FILE_TOKENS tokens, the last one less; at least one file."""
    most = rows_per_file(job)
    content: list[pa.RecordBatch] = []
    rows = files_made = 0
    for batch in source:
        while batch.num_rows:
            part = batch.slice(0, most - rows)
            content.append(part)
            rows, batch = rows + part.num_rows, batch.slice(part.num_rows)
            if rows == most:
                yield content
                content, rows, files_made = [], 0, files_made + 1
    if content or not files_made:
        yield content


def _fragments(
    block: Block,
    indexes: list[tuple[NDArray[np.uint64], NDArray[np.uint32]]],
    segments: list[NDArray[np.void]],
) -> tuple[NDArray[np.int32], NDArray[np.uint32], NDArray[np.void]]:
    """Row offsets int32[k + 1], lengths and SEGMENT records of the block's fragments, row by row."""
    first, counts = np.empty(len(block.row), np.int64), np.empty(len(block.row), np.int64)
    for number in np.unique(block.shard):
        here = np.flatnonzero(block.shard == number)
        starts = indexes[number][0]
        first[here] = starts[block.row[here]]
        counts[here] = starts[block.row[here] + 1].astype(np.int64) - first[here]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    fragment = np.repeat(first - offsets[:-1], counts) + np.arange(offsets[-1])
    of_shard = np.repeat(block.shard, counts)
    lengths, owners = np.empty(len(fragment), files.LENGTH), np.empty(len(fragment), files.SEGMENT)
    for number in np.unique(block.shard):
        here = np.flatnonzero(of_shard == number)
        lengths[here] = indexes[number][1][fragment[here]]
        owners[here] = segments[number][fragment[here]]
    return offsets.astype(np.int32), lengths, owners
