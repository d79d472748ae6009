"""Rows become chunks: every reader fills a `ChunkBuilder`, every chunk closes its books.

A chunk holds some 2,048 documents or 8 MiB of text, which bounds a reader's memory.
Each record that a reader meets is exactly one row, in `documents` (perhaps already
removed, with its reason) or in `quarantine`; `Chunk` refuses any other sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from curation.pipeline.errors import ConservationError
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import QUARANTINE_SCHEMA, READ_SCHEMA
from curation.sources.inputs import InputFile
from curation.sources.reasons import QuarantineReason

CHUNK_DOCUMENTS = 2_048
CHUNK_BYTES = 8 * 2**20  # text and metadata; one document more may exceed it
SAMPLE_BYTES = 512  # of a damaged record, for a person to look at
METADATA_BYTES = 2**20  # of one record; beyond it the largest fields are left out and named


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of some consecutive records, and how many stored bytes they took."""

    documents: pa.RecordBatch
    quarantine: pa.RecordBatch
    records: int
    input_bytes: int

    def __post_init__(self) -> None:
        rows = self.documents.num_rows + self.quarantine.num_rows
        if rows != self.records:
            raise ConservationError(f"{self.records} records were read, but {rows} rows written")


@dataclass(frozen=True, slots=True)
class Row:
    """One record that is whole: a document, or (with `removed_by`) no document."""

    file: InputFile
    record: int
    text: str | None = None
    user_id: str | None = None
    url: str | None = None
    date: str | None = None
    license: str | None = None
    extractor: str | None = None
    offset: int | None = None
    metadata: Mapping[str, Any] | None = None
    removed_by: str | None = None
    removed_detail: str | None = None


@dataclass(frozen=True, slots=True)
class Damaged:
    """One record that is quarantined; `record` is None where its index cannot be known."""

    file: InputFile
    record: int | None
    offset: int | None
    reason: str
    detail: str
    sample: bytes | None = None


def document_id(file: InputFile, record: int, user_id: str | None = None) -> str:
    """`<source>/<file>#<record>`, or `<source>/<user id>` where the user has one."""
    return f"{file.source}/{user_id}" if user_id is not None else f"{file.source}/{file.name}#{record}"


def encode_metadata(fields: Mapping[str, Any] | None) -> str | None:
    """One JSON object with sorted keys; null fields are left out, and the largest ones beyond the bound.

    Names of fields left out for their size stand under `_left_out`.
    """
    present = {key: value for key, value in (fields or {}).items() if value is not None}
    if not present:
        return None
    encoded = _dumps(present)
    if len(encoded) > METADATA_BYTES:
        sizes = {key: len(_dumps({key: value})) for key, value in present.items()}
        left_out: list[str] = []
        excess = len(encoded) - METADATA_BYTES // 2
        for key in sorted(sizes, key=lambda k: (-sizes[k], k)):
            if excess <= 0:
                break
            excess -= sizes[key]
            del present[key]
            left_out.append(key[:100])
        present["_left_out"] = left_out[:100]
        encoded = _dumps(present)
    return encoded.decode()


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> str:
    """Values that Parquet knows and JSON does not: bytes, decimals, durations."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class ChunkBuilder:
    """Collects rows in record order and gives a chunk whenever enough are there."""

    def __init__(self, text_limit: int) -> None:
        self._text_limit = text_limit
        self._clear()

    def _clear(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._damaged: list[Damaged] = []
        self._bytes = 0
        self._records = 0
        self._input_bytes = 0

    def consumed(self, stored_bytes: int) -> None:
        """Count bytes of the stored file towards the chunk's `input_bytes`."""
        self._input_bytes += stored_bytes

    def add(self, row: Row) -> None:
        """One whole record; a text over the limit or one that is no Unicode is quarantined instead."""
        size = 0
        if row.text is not None:
            try:
                size = len(row.text) if row.text.isascii() else len(row.text.encode())
            except UnicodeEncodeError as error:
                self._refuse(row, QuarantineReason.LONE_SURROGATE, f"text: {error.reason} at {error.start}")
                return
            if size > self._text_limit:
                detail = f"text of {size:,} bytes; the limit (text_bytes) is {self._text_limit:,}"
                self._refuse(row, QuarantineReason.TEXT_OVER_LIMIT, detail)
                return
        metadata = encode_metadata(row.metadata)
        id = document_id(row.file, row.record, row.user_id)
        self._rows.append(
            (
                id,
                hash64(id),
                row.text,
                row.file.source,
                row.url,
                row.date,
                row.license,
                row.extractor,
                row.offset,
                metadata,
                row.removed_by,
                row.removed_detail,
            )
        )
        self._bytes += size + len(metadata or "") + len(row.url or "")
        self._records += 1

    def _refuse(self, row: Row, reason: QuarantineReason, detail: str) -> None:
        sample = (row.text or "")[:SAMPLE_BYTES].encode("utf-8", "replace")
        self.quarantine(Damaged(row.file, row.record, row.offset, reason, detail, sample))

    def quarantine(self, damaged: Damaged) -> None:
        """One damaged record."""
        self._damaged.append(damaged)
        self._records += 1

    @property
    def full(self) -> bool:
        """Whether it is time to take a chunk."""
        return self._records >= CHUNK_DOCUMENTS or self._bytes >= CHUNK_BYTES

    def take(self) -> Chunk:
        """The rows so far, and start anew."""
        documents = _batch(self._rows, READ_SCHEMA)
        quarantine = quarantine_batch(self._damaged)
        chunk = Chunk(documents, quarantine, self._records, self._input_bytes)
        self._clear()
        return chunk

    def rest(self) -> Iterator[Chunk]:
        """The last chunk, where there is anything to say."""
        if self._records or self._input_bytes:
            yield self.take()


def quarantine_batch(damaged: Sequence[Damaged]) -> pa.RecordBatch:
    """Rows of QUARANTINE_SCHEMA, with details on one line and samples cut to 512 bytes."""
    return _batch([_quarantine_row(each) for each in damaged], QUARANTINE_SCHEMA)


def _quarantine_row(damaged: Damaged) -> tuple[Any, ...]:
    return (
        damaged.file.source,
        damaged.file.name,
        damaged.record,
        damaged.offset,
        str(damaged.reason),
        " ".join(damaged.detail.split()).encode("utf-8", "replace")[:SAMPLE_BYTES].decode("utf-8", "ignore"),
        None if damaged.sample is None else bytes(damaged.sample[:SAMPLE_BYTES]),
    )


def _batch(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
