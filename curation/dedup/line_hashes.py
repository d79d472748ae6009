"""The row-wise half of line dedup: a hash of every distinct line (or paragraph) of every document.

Beside the layer two private columns a document: `lines`, the distinct hashes in order of first occurrence, and
`units`, which of them each line is.  So a line repeated a million times in one document is one row for the
barrier, and the cut finds the lines again without hashing them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curation.pipeline.context import LAYER, TaskContext
from curation.pipeline.schema import TEXT
from curation.pipeline.step import Step
from curation.text.character_classes import unicode_version
from curation.text.line_units import UNITS_VERSION, Units, find_units

LINES = "lines"
TOO_SHORT = 0xFFFF_FFFF  # in `units`: a line that takes no part
AT_ONCE = 65_536  # lines whose hashes are Python objects at the same time

LAYER_SCHEMA = pa.schema([pa.field("distinct_lines", pa.int64(), nullable=False)])
LINES_SCHEMA = pa.schema(
    [
        pa.field("high", pa.large_list(pa.uint64())),  # xxh3-128 (seed 0) of the normalised line, upper half
        pa.field("low", pa.large_list(pa.uint64())),
        pa.field("again", pa.large_list(pa.bool_())),  # whether it occurs in this document more than once
        pa.field("units", pa.large_list(pa.uint32())),  # by line: index of its hash, or TOO_SHORT
    ]
)


def hash_lines(context: TaskContext) -> None:
    """Layer: how many distinct lines take part; `lines`: their hashes."""
    layer = context.writer(LAYER, LAYER_SCHEMA, align=True)
    writer = context.writer(LINES, LINES_SCHEMA, align=True)
    for batch in context.batches([TEXT]):
        units = find_units(batch[TEXT], paragraphs=context.config["unit"] == "paragraph")
        rows = line_rows(units, context.config["min_chars"])
        writer.write(rows)
        lengths = rows["high"].value_lengths().cast(pa.int64())
        layer.write(pa.RecordBatch.from_arrays([lengths], schema=LAYER_SCHEMA))
        context.counts["lines"] += len(units.first)


def line_rows(units: Units, min_chars: int) -> pa.RecordBatch:
    """A batch of LINES_SCHEMA, one row a document."""
    view = units.bytes.data
    chosen = np.flatnonzero(units.chars >= max(min_chars, 1))
    stops = units.ends[chosen]
    starts = np.where(chosen > 0, units.ends[chosen - 1], 0)
    indices = np.full(len(units.ends), TOO_SHORT, np.uint32)
    digests: list[bytes] = []
    counts = [0]
    again = [np.zeros(0, np.bool_)]
    first = 0
    for last in chosen.searchsorted(units.document_ends).tolist():
        seen: dict[bytes, int] = {}
        for i in range(first, last, AT_ONCE):
            part = slice(i, min(i + AT_ONCE, last))
            hashes = (
                xxhash.xxh3_128_digest(view[a:b])
                for a, b in zip(starts[part].tolist(), stops[part].tolist(), strict=True)
            )
            indices[chosen[part]] = [seen.setdefault(digest, len(seen)) for digest in hashes]
        again.append(np.bincount(indices[chosen[first:last]], minlength=len(seen)) > 1)
        digests += seen
        counts.append(len(digests))
        first = last
    halves = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64).reshape(-1, 2)
    offsets = pa.array(counts, pa.int64())
    unit_offsets = pa.array(np.concatenate([[0], units.document_ends]).astype(np.int64))
    flags = np.concatenate(again)
    return pa.RecordBatch.from_arrays(
        [
            *(pa.LargeListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(half))) for half in halves.T),
            pa.LargeListArray.from_arrays(offsets, pa.array(flags)),
            pa.LargeListArray.from_arrays(unit_offsets, pa.array(indices)),
        ],
        schema=LINES_SCHEMA,
    )


def _versions(config: Any) -> Mapping[str, str]:
    return {"line_units": str(UNITS_VERSION), "unicode": unicode_version()}


LINE_HASHES = Step("line_hashes", 1, hash_lines, _versions)
