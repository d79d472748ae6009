"""What the barriers of near-duplicates read: the run's own documents, then those of indices given in `against`.

Everything goes by position (shard number · 2^40 + row).  The documents of an index follow as if each of
its parts were a shard more, so positions also say which documents are old.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.dedup.signatures import BANDS, COUNT, SHINGLES, SIGNATURES, band_names
from curation.pipeline.barrier import ROW_BITS, with_positions
from curation.pipeline.context import DOCUMENTS, TaskContext
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import REMOVED_BY
from curation.pipeline.shards import row_groups, temporary_name
from curation.pipeline.task import Input

ROW_MASK = (1 << ROW_BITS) - 1

Positions = NDArray[np.int64]


def old_parts(context: TaskContext) -> list[Path]:
    """Parts of the indices that the run is held against."""
    return [Path(file["path"]) for file in _part_files(context)]


def _part_files(context: TaskContext) -> list[Any]:
    return [file for file in context.task.files if file["kind"] == "part"]


def first_old(context: TaskContext) -> int:
    """Positions from here on belong to documents of an index."""
    return len(context.config["shards"]) << ROW_BITS


def row_counts(context: TaskContext) -> list[int]:
    """Rows of every shard and of every part of an index, taking part or not."""
    own = [context.path(Input(read), DOCUMENTS) for _, _, read, _ in context.config["shards"]]
    return [pq.read_metadata(path).num_rows for path in (*own, *old_parts(context))]


def salts(context: TaskContext) -> list[np.uint64]:
    """What the keys of each shard and each part of an index are combined with: sources apart, where asked for."""
    sources = [source for _, source, _, _ in context.config["shards"]]
    sources += [file["source"] for file in _part_files(context)]
    return [np.uint64(hash64(source) if context.config["scope"] == "source" else 0) for source in sources]


def read_keys(context: TaskContext, bands: range) -> Iterator[tuple[Positions, list[NDArray[np.uint64]]]]:
    """(positions, one array of keys a band) of the documents that take part, a row group at a time."""
    names, salt = band_names(bands), salts(context)
    for number, name, _, batches in context.all_shards([REMOVED_BY, COUNT]):
        keys = row_groups(signature_file(context, name, BANDS), names)
        for table, group in zip(with_positions(number, batches), keys, strict=True):
            here = taking_part(table)
            positions = np.asarray(table["position"])[here]
            yield positions, [_uint64(group[band], here) ^ salt[number] for band in names]
    for number, path in enumerate(old_parts(context), len(context.config["shards"])):
        for table in with_positions(number, row_groups(path, names)):
            yield np.asarray(table["position"]), [np.asarray(table[band]) ^ salt[number] for band in names]


def read_lengths(context: TaskContext) -> Iterator[tuple[Positions, NDArray[np.int64]]]:
    """(positions, distinct shingles) of the documents that take part."""
    for number, _, _, batches in context.all_shards([REMOVED_BY, COUNT]):
        for table in with_positions(number, batches):
            here = taking_part(table)
            yield np.asarray(table["position"])[here], np.asarray(table[COUNT].fill_null(0))[here]
    for number, path in enumerate(old_parts(context), len(context.config["shards"])):
        for table in with_positions(number, row_groups(path, [COUNT])):
            yield np.asarray(table["position"]), np.asarray(table[COUNT])


def read_shingles(context: TaskContext) -> Iterator[tuple[int, pa.LargeListArray]]:
    """(position of the first row, shingles) of every row group; null lists for what takes no part."""
    files = [signature_file(context, name, SHINGLES) for name, *_ in context.config["shards"]]
    for number, path in enumerate([*files, *old_parts(context)]):
        start = number << ROW_BITS
        for group in row_groups(path, [SHINGLES]):
            yield start, group[SHINGLES]
            start += group.num_rows


def signature_file(context: TaskContext, shard: str, output: str) -> Path:
    """Path of a private output of the shard's signatures."""
    return context.path(Input(f"{SIGNATURES.name}/{shard}"), output)


def taking_part(table: pa.Table) -> NDArray[np.bool_]:
    """Which rows are still kept and have a signature."""
    here = pc.is_valid(table[COUNT])
    return np.asarray(pc.and_(pc.is_null(table[REMOVED_BY]), here) if REMOVED_BY in table.column_names else here)


def _uint64(column: pa.Array, here: NDArray[np.bool_]) -> NDArray[np.uint64]:
    return np.asarray(column.fill_null(pa.scalar(0, pa.uint64())))[here]


@contextmanager
def scratch_folder(context: TaskContext) -> Iterator[Path]:
    """A folder beside the task's output that is removed at the end."""
    folder = temporary_name(context.directory / "scratch")  # swept like any temporary file when its process is gone
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
