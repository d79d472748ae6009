"""The columns that flow between steps: one place, every step imports its schema from here.

A read task writes one row per input record (kept or already removed) plus one
quarantine row per damaged record.  Later row-wise steps write *layers*: Parquet
files that are row-aligned with the read shard and hold only the new columns, so
that a changed threshold never touches the text again.

`records in = documents + removed + quarantine` holds per shard and per run.
"""

from __future__ import annotations

import pyarrow as pa

READ_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # <source>/<file>#<record>, or <source>/<user id>
        pa.field("doc_key", pa.uint64(), nullable=False),  # hash64(id)
        pa.field("text", pa.large_string()),  # UTF-8; null when removed before a text existed
        pa.field("source", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("date", pa.string()),  # as the source states it (WARC-Date: ISO 8601 UTC)
        pa.field("license", pa.string()),
        pa.field("extractor", pa.string()),  # which extractor the text comes from; null for plain text
        pa.field("offset", pa.int64()),  # byte offset of the record in its file as stored; null where unknown
        pa.field("metadata", pa.large_string()),  # the record's other fields, one JSON object; null when none
        pa.field("removed_by", pa.string()),  # set here only for records that are no page, e.g. `warc.record_type`
        pa.field("removed_detail", pa.string()),  # e.g. `request`
    ]
)

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),  # relative to the source's root
        pa.field("record", pa.int64()),  # index of the record in its file; null when it cannot be known
        pa.field("offset", pa.int64()),  # byte offset in the stored file; null when it cannot be known
        pa.field("reason", pa.string(), nullable=False),  # a QuarantineReason value
        pa.field("detail", pa.string(), nullable=False),  # one line for a person
        pa.field("sample", pa.binary()),  # at most 512 raw bytes
    ]
)

TEXT = "text"
STATS = "stats"
REMOVED_BY = "removed_by"
REMOVED_DETAIL = "removed_detail"
EDITS = "edits"  # every change that the row-wise steps made to the text so far (curation.text.edits)

# May hold personal data that cleaning took out.
PRIVATE_VIEWS = frozenset({"removed", "quarantine", "edits", "contamination"})
