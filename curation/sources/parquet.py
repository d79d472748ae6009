"""Parquet files, row group by row group: texts stay Arrow buffers from the file to the chunk.

Only ids and metadata pass through Python.  A damaged row group is one quarantine row that
names its rows; the other groups are still read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from curation.pipeline.registry import suggest
from curation.pipeline.schema import READ_SCHEMA
from curation.sources.chunks import (
    CHUNK_BYTES,
    CHUNK_DOCUMENTS,
    SAMPLE_BYTES,
    Chunk,
    Damaged,
    document_id,
    encode_metadata,
    quarantine_batch,
)
from curation.sources.config import ParquetSource
from curation.sources.inputs import InputFile, open_stored
from curation.sources.jsonl import take_id, take_text
from curation.sources.reasons import QuarantineReason


def read_parquet(file: InputFile, config: ParquetSource) -> Iterator[Chunk]:
    """Chunks of one file's rows in order.

    Raises UsageError where the text column is missing or no text, OSError for an unreadable file.
    """
    with open_stored(file) as stored:
        try:
            parquet = pq.ParquetFile(stored)
        except (pa.ArrowException, OSError) as error:
            _raise_infrastructure(error)
            yield _damaged_chunk(file, QuarantineReason.NOT_PARQUET, str(error), _sample(stored), file.size)
            return
        _check_text_column(parquet.schema_arrow, file, config)
        first = 0
        groups = parquet.metadata.num_row_groups
        for number in range(groups):
            rows = parquet.metadata.row_group(number).num_rows
            stored_bytes = file.size * (number + 1) // groups - file.size * number // groups
            done = 0
            for batch in _batches(parquet, number):
                if isinstance(batch, str):
                    lost = f"rows {first + done:,} to {first + rows - 1:,} (row group {number}): {batch}"
                    yield _damaged_chunk(file, QuarantineReason.DAMAGED_PARQUET, lost, None, stored_bytes)
                else:
                    yield _chunk(batch, file, first + done, config, stored_bytes)
                    done += batch.num_rows
                stored_bytes = 0
            first += rows


def _batches(parquet: pq.ParquetFile, number: int) -> Iterator[pa.RecordBatch | str]:
    """Batches of one row group; where the rest of it cannot be read, at last the reason."""
    rows = _batch_rows(parquet.metadata.row_group(number))
    batches = parquet.iter_batches(rows, row_groups=[number], use_threads=False)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            _raise_infrastructure(error)
            yield str(error)
            return
        yield batch


def _raise_infrastructure(error: Exception) -> None:
    """Arrow says bare OSError for damaged data; the system's errors have a number or are of a subclass."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and not _is_arrow_io(error)):
        raise error


def _is_arrow_io(error: OSError) -> bool:
    return type(error) is OSError and error.errno is None


def _sample(stored: BinaryIO) -> bytes:
    stored.seek(0)
    return stored.read(SAMPLE_BYTES)


def _damaged_chunk(
    file: InputFile, reason: QuarantineReason, detail: str, sample: bytes | None, stored_bytes: int
) -> Chunk:
    quarantine = quarantine_batch([Damaged(file, None, None, reason, detail, sample)])
    return Chunk(_documents({}, 0), quarantine, 1, stored_bytes)


def _batch_rows(facts: pq.RowGroupMetaData) -> int:
    """Rows a chunk, from the mean size of a row in its group."""
    mean: int = max(1, facts.total_byte_size // max(1, facts.num_rows))
    return max(1, min(CHUNK_DOCUMENTS, CHUNK_BYTES // mean))


def _check_text_column(schema: pa.Schema, file: InputFile, config: ParquetSource) -> None:
    place = f"sources.{file.source}: {file.path}"
    count = schema.names.count(config.text)
    if count == 0:
        raise UsageError(f"{place} has no column {config.text!r}", suggest(config.text, schema.names))
    if count > 1:
        raise UsageError(f"{place} has {count} columns called {config.text!r}", "rename one of them")
    kind = schema.field(config.text).type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (_is_text(value) or _is_binary(value) or pa.types.is_null(value)):
        raise UsageError(f"{place}: column {config.text!r} holds {kind}, no text", "name another column in `text:`")


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in tests)


def _is_binary(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _chunk(batch: pa.RecordBatch, file: InputFile, first: int, config: ParquetSource, stored_bytes: int) -> Chunk:
    """One chunk of a batch whose first row has the record number `first`."""
    raw = _bytes_of(batch[config.text])
    reasons = _faults(raw, config.limits.text_bytes)
    keep = pa.array([reason is None for reason in reasons], pa.bool_()) if reasons else None
    fields = _python_rows(batch.drop_columns([config.text]), batch.num_rows)
    kept = [i for i in range(batch.num_rows) if not reasons or reasons[i] is None]
    ids = [document_id(file, first + i, take_id(fields[i], config.id)) for i in kept]
    columns: dict[str, Any] = {
        "id": ids,
        "doc_key": [hash64(id) for id in ids],
        "text": (raw if keep is None else raw.filter(keep)).cast(pa.large_string()),
        "source": [file.source] * len(kept),
    }
    for name, column in (("url", config.url), ("date", config.date), ("license", config.license)):
        is_text = column is not None and column in batch.schema.names
        columns[name] = [take_text(fields[i], column) for i in kept] if is_text else None
    columns["metadata"] = [encode_metadata(fields[i]) for i in kept]
    damaged = [
        Damaged(file, first + i, None, *reason, _cell_sample(raw, i)) for i, reason in enumerate(reasons) if reason
    ]
    return Chunk(_documents(columns, len(kept)), quarantine_batch(damaged), batch.num_rows, stored_bytes)


def _bytes_of(column: pa.Array) -> pa.Array:
    """The text column as large_binary: nothing copied for (large_)string, no UTF-8 assumed."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_text(column.type):
        column = column.cast(pa.large_string())
    return column.cast(pa.large_binary())


def _faults(raw: pa.Array, limit: int) -> list[tuple[QuarantineReason, str] | None]:
    """Why each row is no document; an empty list when all of them are (the usual case, found vectorised)."""
    longest = pc.max(pc.binary_length(raw)).as_py() or 0
    if raw.null_count == 0 and longest <= limit and _all_utf8(raw):
        return []
    return [_fault(cell, limit) for cell in raw]


def _fault(cell: pa.Scalar, limit: int) -> tuple[QuarantineReason, str] | None:
    if not cell.is_valid:
        return QuarantineReason.MISSING_TEXT, "the text is null"
    data: bytes = cell.as_buffer().to_pybytes()
    if len(data) > limit:
        detail = f"text of {len(data):,} bytes; the limit (text_bytes) is {limit:,}"
        return QuarantineReason.TEXT_OVER_LIMIT, detail
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return QuarantineReason.NOT_UTF8, f"byte {error.start} of the text: {error.reason}"
    return None


def _all_utf8(raw: pa.Array) -> bool:
    try:
        raw.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _cell_sample(raw: pa.Array, row: int) -> bytes | None:
    return raw[row].as_buffer().to_pybytes()[:SAMPLE_BYTES] if raw[row].is_valid else None


def _python_rows(batch: pa.RecordBatch, rows: int) -> list[dict[str, Any]]:
    """All columns but the text, a dict a row; times become ISO text, broken UTF-8 U+FFFD."""
    if batch.num_columns == 0:
        return [{} for _ in range(rows)]
    columns = [_readable(column) for column in batch.columns]
    readable: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()
    return readable


def _readable(column: pa.Array) -> pa.Array:
    if pa.types.is_temporal(column.type):
        return column.cast(pa.string())  # nanoseconds have no Python type
    if pa.types.is_dictionary(column.type):
        return _readable(column.cast(column.type.value_type))
    if _is_text(column.type) and not _all_utf8(_bytes_of(column)):
        cells = _bytes_of(column).to_pylist()
        return pa.array([None if cell is None else cell.decode("utf-8", "replace") for cell in cells])
    return column


def _documents(columns: dict[str, Any], rows: int) -> pa.RecordBatch:
    """A batch of READ_SCHEMA; columns that are not given are null."""
    arrays = []
    for field in READ_SCHEMA:
        values = columns.get(field.name)
        if isinstance(values, pa.Array):
            arrays.append(values)
        else:
            arrays.append(pa.nulls(rows, field.type) if values is None else pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=READ_SCHEMA)
