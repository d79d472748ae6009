"""Documents as ids, checked before they are kept: what goes into a unit.

Ids are those of the tokenizer with special tokens disabled; end, begin and padding are written by packing alone, so
a document that holds one of them is refused, and so is an id that the embedding has no row for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from packing.write.token_ids import TokenIds
from tokenizer.encoding.corpus import token_arrays
from tokenizer.encoding.encode import Encoder

DOCUMENT_FIELDS = [
    pa.field("doc_key", pa.uint64(), nullable=False),
    pa.field("id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("language", pa.string()),
    pa.field("category", pa.string()),
    pa.field("bucket", pa.int8()),
]
DOCUMENT_SCHEMA = pa.schema(DOCUMENT_FIELDS)
NO_SOURCE = "corpus"  # where documents name none


@dataclass(frozen=True, eq=False)
class EncodedDocuments:
    """`documents`: rows of DOCUMENT_SCHEMA; ids of row i: `ids[ends[i]:ends[i + 1]]`, without special ids.

    ids uint32[t], ends int64[n + 1].
    """

    documents: pa.RecordBatch
    ids: NDArray[np.uint32]
    ends: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Tokens of each document, int64[n]."""
        return np.diff(self.ends)


def encoded(batches: Iterable[pa.RecordBatch], encoder: Encoder) -> Iterator[EncodedDocuments]:
    """Columns id and text; optional doc_key, source, language, category, bucket."""
    for batch in batches:
        if batch.num_rows:
            ids, ends = encoder.encode(batch.column("text"))
            yield EncodedDocuments(described(batch), ids, ends)


def of_token_batches(batches: Iterable[pa.RecordBatch], source: str = NO_SOURCE) -> Iterator[EncodedDocuments]:
    """Batches of tokens.parquet (`tokenizer.encoding.corpus.read_tokens`), which have no source of their own."""
    for batch in batches:
        if batch.num_rows:
            ids, ends = token_arrays(batch)
            yield EncodedDocuments(described(batch, source), ids[ends[0] : ends[-1]], ends - ends[0])


def described(batch: pa.RecordBatch, source: str = NO_SOURCE) -> pa.RecordBatch:
    """The columns of DOCUMENT_SCHEMA; doc_key is hash64(id) where it is missing, a null source is `source`.

    Raises UsageError for a document without an id, and for a column of another type.
    """
    names = batch.schema.names
    ids = _cast(batch.column("id"), DOCUMENT_SCHEMA.field("id"), source)
    columns = []
    for field in DOCUMENT_FIELDS:
        if field.name in names:
            columns.append(_cast(batch.column(field.name), field, source))
        elif field.name == "doc_key":
            columns.append(pa.array([hash64(one) for one in ids.to_pylist()], pa.uint64()))
        elif field.name == "source":
            columns.append(pa.repeat(pa.scalar(source), batch.num_rows))
        else:
            columns.append(pa.nulls(batch.num_rows, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=DOCUMENT_SCHEMA)


def _cast(column: pa.Array, field: pa.Field, source: str) -> pa.Array:
    try:
        made = column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(f"column {field.name} must be {field.type}, not {column.type}: {error}") from None
    if field.name == "source":
        return pc.fill_null(made, source)
    if not field.nullable and made.null_count:
        raise UsageError(f"{made.null_count:,} documents have no {field.name}", "give every document an id of its own")
    return made


def check(one: EncodedDocuments, tokens: TokenIds) -> None:
    """Refuse ids that packing writes itself, and ids without a row.  Raises UsageError naming the document."""
    if not len(one.ids):
        return
    if int(one.ids.max()) >= tokens.rows:
        at = int(np.argmax(one.ids >= tokens.rows))
        raise UsageError(
            f"{_place(one, at)} is {one.ids[at]}, but the tokenizer has {tokens.rows} rows",
            "encode the documents with the tokenizer that is given",
        )
    for number, name in tokens.reserved().items():
        found = one.ids == number
        if found.any():
            raise UsageError(
                f"{_place(one, int(np.argmax(found)))} is the {name} id {number}, which only packing writes",
                "encode with special tokens disabled and without an end-of-document id",
            )


def _place(one: EncodedDocuments, at: int) -> str:
    row = int(np.searchsorted(one.ends, at, "right")) - 1
    return f"document {one.documents.column('id')[row].as_py()!r}: token {at - int(one.ends[row])}"
