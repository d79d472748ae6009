"""One shard: rows gathered from the units as planned, with index and digests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import ConservationError
from curation.pipeline.shards import temporary_name
from packing.layout import files
from packing.layout.digests import digest_file
from packing.layout.manifest import ShardInfo
from packing.write.ledger import DEFECT
from packing.write.rows import PLANNED
from packing.write.token_ids import TokenIds

BUFFER = 4 << 20  # bytes of rows that are filled at once
ROW_GROUP = 1 << 17  # fragments
FRAGMENT_SCHEMA = pa.schema(
    {
        "seq": pa.uint32(),  # row in the shard
        "len": pa.uint32(),  # in the row, a begin-of-document id included
        "doc_key": pa.uint64(),
        "copy": pa.uint16(),
        "doc_offset": pa.uint64(),  # its first token among the document's ids and end
        "n_bytes": pa.uint32(),
        "source": pa.uint16(),
        "flags": pa.uint8(),
    }
)


def write_shard(
    plan: Path,
    directory: Path,
    name: str,
    queue: int,
    sequence_length: int,
    units: Sequence[NDArray[np.uint32]],
    tokens: TokenIds,
) -> ShardInfo:
    """Write the four files of shard `name`; `plan` holds its PLANNED records in row order, `units` their tokens.

    Raises ConservationError where a row is too full, or ends are not where fragments end.
    """
    planned = np.fromfile(plan, PLANNED)
    lengths = planned["tokens"] + planned["bos"]
    rows = int(planned["row"][-1]) + 1
    row_start = np.searchsorted(planned["row"], np.arange(rows + 1)).astype(files.ROW_START)
    n_bytes = np.zeros(len(planned), np.uint32)
    at_once = max(1, BUFFER // (4 * sequence_length))
    with _written(files.data_path(directory, name)) as file:
        for first in range(0, rows, at_once):
            last = min(rows, first + at_once)
            these = slice(int(row_start[first]), int(row_start[last]))
            block, byte_counts = _rows(planned[these], first, last - first, sequence_length, units, tokens)
            n_bytes[these] = byte_counts
            file.write(block.data)
    with _written(files.csr_path(directory, name)) as file:
        file.write(row_start.tobytes() + lengths.astype(files.LENGTH).tobytes())
    segments = np.zeros(len(planned), files.SEGMENT)
    for column in ("doc_key", "copy", "source"):
        segments[column] = planned[column]
    segments["n_bytes"] = n_bytes
    with _written(files.segment_path(directory, name)) as file:
        file.write(segments.tobytes())
    columns = {"seq": "row", "doc_key": "doc_key", "copy": "copy", "doc_offset": "offset", "source": "source"}
    arrays = {column: planned[field] for column, field in columns.items()}
    arrays |= {"flags": planned["flags"], "len": lengths, "n_bytes": n_bytes}
    table = pa.Table.from_arrays(
        [pa.array(np.ascontiguousarray(arrays[one.name]), one.type) for one in FRAGMENT_SCHEMA], schema=FRAGMENT_SCHEMA
    )
    with _written(files.fragment_path(directory, name)) as file:
        pq.write_table(table, file, row_group_size=ROW_GROUP, compression="zstd")
    digests = [digest_file(directory, f"data/{name}.bin", blocks=True)]
    digests += [digest_file(directory, f"index/{name}.{kind}", blocks=False) for kind in ("csr", "seg", "parquet")]
    return ShardInfo(
        name, queue, rows, len(planned), int(lengths.sum(dtype=np.int64)), digests, int(np.diff(row_start).max())
    )


def _rows(
    planned: NDArray[np.void],
    first: int,
    rows: int,
    sequence_length: int,
    units: Sequence[NDArray[np.uint32]],
    tokens: TokenIds,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Rows first … first + rows as uint32[rows · L], and the UTF-8 bytes of each fragment."""
    lengths = planned["tokens"].astype(np.int64) + planned["bos"]
    before = np.cumsum(lengths) - lengths
    row = planned["row"].astype(np.int64) - first
    row_begins = before[np.searchsorted(row, np.arange(rows))]
    at = before - row_begins[row]
    if (at + lengths > sequence_length).any():
        raise ConservationError("a row holds more tokens than a sequence", DEFECT)
    block = np.full(rows * sequence_length, tokens.pad, files.TOKEN)
    begins = row * sequence_length + at
    bos = planned["bos"].astype(bool)
    if tokens.bos is not None:
        block[begins[bos]] = tokens.bos
    targets = (begins + planned["bos"]).tolist()
    counts, starts, numbers = planned["tokens"].tolist(), planned["start"].tolist(), planned["unit"].tolist()
    for target, count, start, number in zip(targets, counts, starts, numbers, strict=True):
        block[target : target + count] = units[number][start : start + count]
    ends = np.flatnonzero(block == tokens.eos)
    last = (planned["flags"] & files.LAST).astype(bool)
    if not np.array_equal(ends, (begins + lengths - 1)[last]):
        raise ConservationError("ends of documents are not where fragments end", DEFECT)
    return block, np.add.reduceat(tokens.byte_lengths[block], begins).astype(np.uint32)


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """A file under a temporary name, renamed when it is whole: a killed writer's child cannot cut a finished one."""
    temporary = temporary_name(path)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
