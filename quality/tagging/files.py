"""Files of documents with a text field, read in batches and written again with columns added, in their own format.

Parquet, and JSON lines plain or compressed (.gz, .zst).  A bad record stops the command with its place: a tag for
the rest only would leave files that no longer stand beside each other.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import temporary_name
from curation.sources.jsonl import BYTE_ORDER_MARK

BATCH_BYTES, BATCH_ROWS = 8 << 20, 4_096
REPAIR = "repair or remove it; as a source of `curate run` such records are set aside and counted"
ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst")


@dataclass(frozen=True)
class Fields:
    """Names of the text and of the id; a file without ids counts its records."""

    text: str = "text"
    id: str = "id"


@dataclass(frozen=True)
class Rows:
    """Some records as they were read, and what tagging needs of them (texts may be null)."""

    raw: pa.RecordBatch | list[dict[str, Any]]
    texts: pa.LargeStringArray
    ids: pa.StringArray
    sources: pa.StringArray

    @property
    def names(self) -> set[str]:
        """Fields that some record has."""
        if isinstance(self.raw, pa.RecordBatch):
            return set(self.raw.schema.names)
        return {name for row in self.raw for name in row}


def check_files(paths: list[Path]) -> None:
    """UsageError for no file, a folder, another format, two files of one name."""
    if not paths:
        raise UsageError("no documents are given", f"give files: {', '.join(ENDINGS)}")
    for path in paths:
        if not path.is_file():
            what = "is a folder: name its files" if path.is_dir() else "does not exist"
            raise UsageError(f"{path} {what}", f"give files: {', '.join(ENDINGS)}")
        if not path.name.endswith(ENDINGS):
            raise UsageError(f"{path}: not one of {', '.join(ENDINGS)}", "rename or convert it")
    names = [path.name for path in paths]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"two files are called {sorted(twice)[0]}", "tag them into different folders")


def read(path: Path, fields: Fields) -> Iterator[Rows]:
    """The file's records in batches of bounded size; UsageError with file and record for a bad one."""
    return _parquet(path, fields) if path.suffix == ".parquet" else _json_lines(path, fields)


def _parquet(path: Path, fields: Fields) -> Iterator[Rows]:
    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if fields.text not in file.schema_arrow.names:
                raise UsageError(
                    f"{path}: no column {fields.text!r}",
                    f"--text-field names it; there are: {', '.join(file.schema_arrow.names)}",
                )
            for batch in file.iter_batches(_rows_at_once(file.metadata)):
                yield _of_batch(batch, path, number, fields)
                number += batch.num_rows
    except pa.ArrowException as error:
        raise UsageError(f"{path}: cannot be read ({' '.join(str(error).split())})", "copy it again") from None


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return int(min(max(BATCH_BYTES * metadata.num_rows // max(size, 1), 1), BATCH_ROWS))


def _of_batch(batch: pa.RecordBatch, path: Path, number: int, fields: Fields) -> Rows:
    column = batch[fields.text]
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise UsageError(f"{path}: the column {fields.text!r} holds {column.type}, not strings")
    texts = column.cast(pa.large_string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path}: among records {number:,} … {number + batch.num_rows:,}: {error}", REPAIR) from None
    names = batch.schema.names
    counted = pa.array([f"{path.name}#{number + i}" for i in range(batch.num_rows)], pa.string())
    ids = pc.coalesce(batch[fields.id].cast(pa.string()), counted) if fields.id in names else counted
    sources = batch["source"].cast(pa.string()) if "source" in names else pa.nulls(batch.num_rows, pa.string())
    return Rows(batch, texts, ids, sources.fill_null(path.name))


def _json_lines(path: Path, fields: Fields) -> Iterator[Rows]:
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    size = 0
    for number, row in _records(path):
        text = row.get(fields.text)
        if fields.text not in row or not isinstance(text, str | None):
            raise UsageError(f"{path}:{number}: no {fields.text!r} that is a string", f"fields: {', '.join(row)}"[:300])
        rows.append(row)
        numbers.append(number)
        size += len(text or "")
        if size >= BATCH_BYTES or len(rows) >= BATCH_ROWS:
            yield _of_rows(rows, numbers, path, fields)
            rows, numbers, size = [], [], 0
    if rows:
        yield _of_rows(rows, numbers, path, fields)


def _of_rows(rows: list[dict[str, Any]], numbers: list[int], path: Path, fields: Fields) -> Rows:
    ids = [row.get(fields.id) for row in rows]
    return Rows(
        rows,
        pa.array([row[fields.text] for row in rows], pa.large_string()),
        pa.array(
            [f"{path.name}#{n - 1}" if i is None else str(i) for i, n in zip(ids, numbers, strict=True)], pa.string()
        ),
        pa.array([str(row.get("source") or path.name) for row in rows], pa.string()),
    )


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with pa.input_stream(str(path), compression="detect") as stream:
        lines = io.BufferedReader(stream, 1 << 20)
        try:
            for number, line in enumerate(lines, 1):
                data = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                if not data.strip():
                    continue
                try:
                    row = orjson.loads(data)
                except orjson.JSONDecodeError as error:
                    raise UsageError(f"{path}:{number}: no JSON ({error})", REPAIR) from None
                if not isinstance(row, dict):
                    raise UsageError(f"{path}:{number}: not an object", "one document a line is expected")
                yield number, row
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error})", "copy it again") from None


class Writer(Protocol):
    """Takes records as read, with the columns to add to them."""

    def write(self, raw: Any, added: pa.RecordBatch) -> None: ...


def writing(path: Path) -> AbstractContextManager[Writer]:
    """A writer of `path` in the format of its name; the file appears when the block ends without an error."""
    return _whole(path, _Parquet if path.suffix == ".parquet" else _Lines)


@contextmanager
def _whole(path: Path, kind: type[_Parquet] | type[_Lines]) -> Iterator[Writer]:
    temporary = temporary_name(path)
    try:
        writer = kind(temporary, path.name)
        try:
            yield writer
        finally:
            writer.close()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class _Parquet:
    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def write(self, raw: pa.RecordBatch, added: pa.RecordBatch) -> None:
        columns = dict(zip(raw.schema.names, raw.columns, strict=True))
        columns |= dict(zip(added.schema.names, added.columns, strict=True))
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Lines:
    def __init__(self, path: Path, name: str) -> None:
        raw = open(path, "wb")  # noqa: SIM115  # closed by `close`
        if name.endswith(".zst"):
            self._file: Any = zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=True)
        elif name.endswith(".gz"):
            self._file = gzip.GzipFile("", "wb", 6, raw, mtime=0)
        else:
            self._file = raw
        self._raw = raw

    def write(self, raw: list[dict[str, Any]], added: pa.RecordBatch) -> None:
        columns = {name: _values(column) for name, column in zip(added.schema.names, added.columns, strict=True)}
        option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
        for i, row in enumerate(raw):
            self._file.write(orjson.dumps(row | {name: values[i] for name, values in columns.items()}, option=option))

    def close(self) -> None:
        self._file.close()
        self._raw.close()


def _values(column: pa.Array) -> list[Any]:
    """float32 stays float32, so that JSON gets its shortest digits."""
    if pa.types.is_floating(column.type) and not column.null_count:
        return list(column.to_numpy(zero_copy_only=False))
    if pa.types.is_float32(column.type):
        return [None if value is None else np.float32(value) for value in column.to_pylist()]
    return list(column.to_pylist())
