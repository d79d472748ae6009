"""The files of a shard directory, and how they lie in memory.

    data/s00000.bin        [n, L] little-endian u32 rows: also a Megatron .bin, datatrove .ds, OLMo .npy
    index/s00000.csr       [n + 1] u64 first fragment of each row, then [f] u32 fragment lengths: what a loader needs
    index/s00000.seg       [f] SEGMENT: whose fragment it is
    index/s00000.parquet   the fragment table with offsets, for people and SQL
    order/stage0.u16       queue of every global sequence of a stage, in training order
    docs.parquet           packed documents: doc_key, id, source, language, category, bucket, tokens
    dropped.parquet        documents that are not packed, with the reason
    manifest.json          written last: a directory without one is unfinished

A shard belongs to one queue; a queue's rows are those of its shards, in the manifest's order.
Everything is memory-mapped: opening costs the same for any size.  Layouts: reference, packing §7.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOKEN = np.dtype("<u4")
ROW_START = np.dtype("<u8")
LENGTH = np.dtype("<u4")
QUEUE = np.dtype("<u2")
SEGMENT = np.dtype([("doc_key", "<u8"), ("n_bytes", "<u4"), ("copy", "<u2"), ("source", "<u2")])

FIRST, LAST, TRUNCATED = 1, 2, 4  # flags of a fragment: starts its document, ends it (with EOS), its rest is dropped
MANIFEST = "manifest.json"


def shard_name(number: int) -> str:
    """`s00000`, in the order of the manifest."""
    return f"s{number:05}"


def data_path(directory: Path, shard: str) -> Path:
    """Token rows of a shard."""
    return directory / "data" / f"{shard}.bin"


def csr_path(directory: Path, shard: str) -> Path:
    """Row starts and fragment lengths."""
    return directory / "index" / f"{shard}.csr"


def segment_path(directory: Path, shard: str) -> Path:
    """Provenance of fragments, SEGMENT records."""
    return directory / "index" / f"{shard}.seg"


def fragment_path(directory: Path, shard: str) -> Path:
    """The fragment table (Parquet)."""
    return directory / "index" / f"{shard}.parquet"


def order_path(directory: Path, stage: int) -> Path:
    """Queue numbers of a stage's sequences."""
    return directory / "order" / f"stage{stage}.u16"


def map_rows(directory: Path, shard: str, sequence_length: int) -> NDArray[np.uint32]:
    """Read-only map of a shard's tokens, uint32[n, L]; an empty shard is an empty array."""
    return _map(data_path(directory, shard), TOKEN).reshape(-1, sequence_length)


def map_csr(directory: Path, shard: str, rows: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """(row starts uint64[rows + 1], lengths uint32[fragments]); row r has lengths[starts[r]:starts[r + 1]]."""
    path = csr_path(directory, shard)
    head = (rows + 1) * ROW_START.itemsize
    starts = np.memmap(path, ROW_START, mode="r", shape=(rows + 1,))
    fragments = (path.stat().st_size - head) // LENGTH.itemsize
    lengths = np.memmap(path, LENGTH, mode="r", offset=head, shape=(fragments,)) if fragments else np.empty(0, LENGTH)
    return starts, lengths


def map_segments(directory: Path, shard: str) -> NDArray[np.void]:
    """Read-only map of SEGMENT records, one per fragment."""
    return _map(segment_path(directory, shard), SEGMENT)


def map_order(directory: Path, stage: int) -> NDArray[np.uint16]:
    """Read-only map of a stage's schedule: the queue of each global sequence."""
    return _map(order_path(directory, stage), QUEUE)


def _map(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")
