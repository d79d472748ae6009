"""What stands in one shard: index, provenance, fragment table and rows must tell the same story.

These checks find what digests cannot: files that were written wrong.  A shard is read in pieces of a few MiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from packing.layout import files
from packing.layout.manifest import Manifest, ShardInfo
from packing.verify.faults import Fault

BLOCK_TOKENS = 1 << 20
COLUMNS = ("seq", "len", "doc_key", "copy", "doc_offset", "n_bytes", "source", "flags")
SHARED = ("doc_key", "n_bytes", "copy", "source")  # columns that SEGMENT holds too
KNOWN_FLAGS = files.FIRST | files.LAST | files.TRUNCATED


@dataclass(frozen=True)
class Opened:
    """A shard's files with sizes that fit the manifest."""

    rows: NDArray[np.uint32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    segments: NDArray[np.void]
    table: dict[str, NDArray[Any]]


def shard_faults(directory: Path, manifest: Manifest, shard: ShardInfo) -> list[Fault]:
    """All faults of a shard's contents; the later checks need what the earlier ones promise."""
    try:
        sizes = list(_sizes(directory, manifest, shard))
        if sizes:
            return sizes
        opened = _open(directory, manifest, shard)
        index = [*_index(manifest, shard, opened), *_table(manifest, shard, opened)]
        return index or list(_rows(manifest, shard, opened))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        return [Fault(f"{shard.name}.*", f"cannot be read: {error}")]


def _sizes(directory: Path, manifest: Manifest, shard: ShardInfo) -> Iterator[Fault]:
    expected = {
        f"data/{shard.name}.bin": shard.rows * manifest.sequence_length * files.TOKEN.itemsize,
        f"index/{shard.name}.csr": (shard.rows + 1) * files.ROW_START.itemsize
        + shard.fragments * files.LENGTH.itemsize,
        f"index/{shard.name}.seg": shard.fragments * files.SEGMENT.itemsize,
    }
    for name, size in expected.items():
        if (found := (directory / name).stat().st_size) != size:
            yield Fault(name, f"{found:,} bytes, but {shard.rows} rows and {shard.fragments} fragments take {size:,}")
    path = files.fragment_path(directory, shard.name)
    if (found := pq.read_metadata(path).num_rows) != shard.fragments:
        yield Fault(f"index/{path.name}", f"{found} fragments, the manifest says {shard.fragments}")


def _open(directory: Path, manifest: Manifest, shard: ShardInfo) -> Opened:
    starts, lengths = files.map_csr(directory, shard.name, shard.rows)
    table = pq.read_table(files.fragment_path(directory, shard.name), columns=list(COLUMNS), use_threads=False)
    return Opened(
        files.map_rows(directory, shard.name, manifest.sequence_length),
        starts.astype(np.int64),
        lengths.astype(np.int64),
        files.map_segments(directory, shard.name),
        {name: table[name].to_numpy() for name in COLUMNS},
    )


def _index(manifest: Manifest, shard: ShardInfo, opened: Opened) -> Iterator[Fault]:
    """Row starts and lengths."""
    name = f"index/{shard.name}.csr"
    starts, lengths = opened.starts, opened.lengths
    if starts[0] != 0 or starts[-1] != shard.fragments or (np.diff(starts) < 0).any():
        yield Fault(name, "row starts do not run from 0 to the number of fragments")
        return
    if len(empty := np.flatnonzero(np.diff(starts) == 0)):
        yield Fault(name, f"{len(empty)} rows without a fragment, first row {empty[0]}")
    if len(zero := np.flatnonzero(lengths == 0)):
        yield Fault(name, f"{len(zero)} fragments without a token, first fragment {zero[0]}")
    if len(long := np.flatnonzero(used_of(starts, lengths) > manifest.sequence_length)):
        yield Fault(name, f"{len(long)} rows are longer than {manifest.sequence_length} tokens, first row {long[0]}")
    if (total := int(lengths.sum())) != shard.tokens:
        yield Fault(name, f"{total:,} tokens, the manifest says {shard.tokens:,}")


def used_of(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens before the padding of each row: int64[rows]."""
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return np.diff(ends[starts])


def _table(manifest: Manifest, shard: ShardInfo, opened: Opened) -> Iterator[Fault]:
    """The Parquet table against the index and the provenance records."""
    name, table = f"index/{shard.name}.parquet", opened.table
    rows = np.repeat(np.arange(shard.rows), np.diff(opened.starts)) if (np.diff(opened.starts) >= 0).all() else None
    pairs = {"len": opened.lengths, **{column: opened.segments[column] for column in SHARED}}
    if rows is not None and len(rows) == shard.fragments:
        pairs["seq"] = rows
    for column, expected in pairs.items():
        if len(wrong := np.flatnonzero(table[column] != expected)):
            other = f"{shard.name}.seg" if column in SHARED else f"{shard.name}.csr"
            yield Fault(name, f"{column} of {len(wrong)} fragments differs from {other}, first fragment {wrong[0]}")
    flags, first = table["flags"], table["flags"] & files.FIRST > 0
    if len(wrong := np.flatnonzero(first != (table["doc_offset"] == 0))):
        yield Fault(name, f"{len(wrong)} fragments are flagged as begin of a document elsewhere than at its token 0")
    both = (flags & files.LAST > 0) & (flags & files.TRUNCATED > 0)
    if len(wrong := np.flatnonzero((flags > KNOWN_FLAGS) | both)):
        yield Fault(name, f"flags {flags[wrong[0]]} of fragment {wrong[0]} mean nothing")
    if len(wrong := np.flatnonzero(table["source"] >= len(manifest.sources))):
        yield Fault(name, f"source {table['source'][wrong[0]]}, the manifest names {len(manifest.sources)} sources")
    if len(wrong := np.flatnonzero(table["copy"] == 0)):
        yield Fault(name, f"{len(wrong)} fragments of a copy 0; copies count from 1")


def begins_with_bos(manifest: Manifest, flags: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which fragments begin with the begin-of-document id: bool[f]."""
    policy = manifest.policy.get("bos", "none")
    if policy == "fragment":
        return np.ones(len(flags), np.bool_)
    first: NDArray[np.bool_] = flags & files.FIRST > 0
    return first if policy == "doc" else np.zeros(len(flags), np.bool_)


def _rows(manifest: Manifest, shard: ShardInfo, opened: Opened) -> Iterator[Fault]:
    """Ids in range; EOS, BOS and padding where fragments say, and nowhere else.  At most one fault of a kind."""
    name, length = f"data/{shard.name}.bin", manifest.sequence_length
    flags, used = opened.table["flags"], used_of(opened.starts, opened.lengths)
    row = np.repeat(np.arange(shard.rows), np.diff(opened.starts))
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(opened.lengths)])
    begins = before[:-1] - before[opened.starts[row]] + row * length
    ends = begins + opened.lengths - 1
    places = {"EOS": (manifest.eos_id, ends[flags & files.LAST > 0])}
    if manifest.bos_id is not None:
        places["BOS"] = (manifest.bos_id, begins[begins_with_bos(manifest, flags)])
    seen: set[str] = set()
    step = max(1, BLOCK_TOKENS // length)
    for start in range(0, shard.rows, step):
        block = np.asarray(opened.rows[start : start + step])
        found: dict[str, str] = {}
        if (highest := int(block.max())) >= manifest.vocab_rows:
            where = int(np.flatnonzero((block >= manifest.vocab_rows).any(axis=1))[0]) + start
            found["id"] = f"id {highest} in row {where}; the vocabulary has {manifest.vocab_rows} rows"
        padding = np.arange(length) >= used[start : start + step, None]
        if (wrong := ((block == manifest.pad_id) != padding).any(axis=1)).any():
            where = int(np.flatnonzero(wrong)[0]) + start
            found["padding"] = f"row {where}: padding (id {manifest.pad_id}) inside fragments, or ids after them"
        first, last = start * length, (start + len(block)) * length
        for kind, (token, expected) in places.items():
            due = expected[np.searchsorted(expected, first) : np.searchsorted(expected, last)]
            there = np.flatnonzero(block.reshape(-1) == token) + first
            if not np.array_equal(there, due):
                where = int(np.setxor1d(there, due)[0]) if len(there) + len(due) else first
                found[kind] = (
                    f"row {where // length}, token {where % length}: {kind} is there or missing against the table"
                )
        for kind, what in found.items():
            if kind not in seen:
                seen.add(kind)
                yield Fault(name, what)
