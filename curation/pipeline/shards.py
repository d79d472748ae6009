"""Shards: Parquet files written atomically.

Content digests are computed from the Arrow values (not from file bytes, times or hosts), so two runs
agree whatever wrote the file; null slots are hashed as nulls, never as stale memory.
"""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

ROW_GROUP_BYTES = 16 << 20  # of Arrow data; bounds a reader's memory
ROW_GROUP_ROWS = 16_384  # rows without text are small: bound the row count too
COMPRESSION_LEVEL = 3
# few values, many rows: worth a Parquet dictionary (trying one on texts costs memory and time)
REPETITIVE = frozenset(
    ["source", "license", "extractor", "language", "removed_by", "removed_detail", "reason", "file", "rule", "shard"]
)


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a task: a Parquet file with its rows, or a folder with the number of its files."""

    file: str
    rows: int
    bytes: int
    digest: str


def write_atomic(path: Path, data: bytes) -> None:
    """Write to a temporary name beside `path`, fsync, rename, fsync the directory."""
    temporary = temporary_name(path)
    try:
        with open(temporary, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other process uses; it tells whose it is (see `sweep_stale`)."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}.tmp")


def sweep_stale(directory: Path) -> None:
    """Remove temporary files whose process on this machine is gone (it was killed)."""
    for path in directory.glob(".*.tmp"):
        host, pid = path.name.rsplit(".", 4)[1:3] if path.name.count(".") >= 5 else ("", "")
        if host == socket.gethostname().rsplit(".", 1)[-1] and pid.isdigit() and not _alive(int(pid)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    """Whether a process of this machine still runs; a killed one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return False
    try:  # no /proc here
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sync_directory(directory: Path) -> None:
    """Make a rename durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class ShardWriter:
    """Writes batches to one Parquet file in row groups of bounded size.

    With `align=True` every call of `write` becomes exactly one row group: that is
    how a layer stays row-group-aligned with the read shard it was computed from.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, align: bool = False, private: bool = True) -> None:
        self.path, self.schema, self.align, self.private = path, schema, align, private
        self.rows = 0
        self._temporary = temporary_name(path)
        self._writer = pq.ParquetWriter(
            self._temporary,
            schema,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=[name for name in schema.names if name in REPETITIVE],
        )
        self._digest = xxhash.xxh3_128(schema.to_string(show_field_metadata=False).encode())
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = self._pending_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch (its schema must equal the writer's)."""
        if self._pending_bytes + batch.nbytes > ROW_GROUP_BYTES:
            self._flush()
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        self._pending_rows += batch.num_rows
        if self.align or self._pending_bytes >= ROW_GROUP_BYTES or self._pending_rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        table = pa.Table.from_batches(self._pending, self.schema)
        if len(self._pending) > 1:
            table = table.combine_chunks()
        self._pending, self._pending_bytes, self._pending_rows = [], 0, 0
        if table.num_rows or self.align:
            self._writer.write_table(table, row_group_size=max(table.num_rows, 1))
            update_digest(self._digest, table)
            self.rows += table.num_rows
            del table
            pa.default_memory_pool().release_unused()  # a row group is much of what a worker holds

    def close(self) -> Output:
        """Flush, fsync and rename into place."""
        self._flush()
        self._writer.close()
        with open(self._temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        if self.private:  # may hold personal data that cleaning takes out
            self._temporary.chmod(0o600)
        size = self._temporary.stat().st_size
        os.replace(self._temporary, self.path)
        return Output(self.path.name, self.rows, size, self._digest.hexdigest())

    def discard(self) -> None:
        """Drop what was written (the task failed)."""
        try:
            self._writer.close()
        finally:
            self._temporary.unlink(missing_ok=True)


def update_digest(digest: Any, table: pa.Table) -> None:
    """Feed a table's values to a hash, independent of chunking and of memory under nulls."""
    digest.update(table.num_rows.to_bytes(8, "little"))
    for column in table.columns:
        _digest_column(digest, pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks())


def _digest_column(digest: Any, array: pa.Array) -> None:
    if len(array) == 0:
        return
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    digest.update(np.packbits(np.asarray(array.is_valid())).tobytes())
    if pa.types.is_struct(kind):
        for child in array.flatten():
            _digest_column(digest, child)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        digest.update(np.asarray(pc.list_value_length(array).fill_null(0)).astype("<i8").tobytes())
        _digest_column(digest, array.flatten())
    elif _is_bytes(kind):
        lengths = np.asarray(pc.binary_length(array).fill_null(0)).astype("<i8")
        digest.update(lengths.tobytes())
        large = array.cast(pa.large_binary())
        offsets = _offsets(large)
        if offsets[-1] - offsets[0] != lengths.sum():  # there are bytes under a null
            large = large.fill_null(b"")
            offsets = _offsets(large)
        if large.buffers()[2] is not None:
            digest.update(memoryview(large.buffers()[2])[offsets[0] : offsets[-1]])
    else:
        digest.update(np.ascontiguousarray(np.asarray(array.fill_null(pa.scalar(0).cast(kind)))).tobytes())


def _offsets(array: pa.LargeBinaryArray) -> np.ndarray:
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
    )


def row_groups(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The row groups of a Parquet file as single batches, one in memory at a time."""
    with pq.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
        for i in range(file.num_row_groups):
            table = file.read_row_group(i, columns=columns, use_threads=False).combine_chunks()
            batches = table.to_batches()
            yield batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
