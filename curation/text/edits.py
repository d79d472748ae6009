"""What a text-editing rule gives back: the new texts, and every change it made as a row of a log.

An edit says what stood at which place and what stands there now, so that a report can show a
diff and a reader can undo it.  Personal data is the exception: its `before` is null.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EDIT = pa.struct(
    [
        pa.field("rule", pa.string(), nullable=False),  # e.g. `c4.no_terminal_punctuation`, `pii.email`
        pa.field("start", pa.int64(), nullable=False),  # UTF-8 byte offset in the text that the rule was given
        pa.field("length", pa.int64(), nullable=False),  # UTF-8 bytes replaced from there
        pa.field("before", pa.large_string()),  # what stood there; null where it must not be kept
        pa.field("after", pa.large_string(), nullable=False),  # what replaces it; empty for a removed line
    ]
)
EDITS = pa.list_(EDIT)


@dataclass(frozen=True)
class EditedText:
    """The outcome of one editing rule over n documents.

    text: large_string of n rows, null exactly where the given text was null.
    edits: EDITS of n rows in order of `start`, not overlapping; null or empty where nothing changed.
    columns: what the rule measured while it edited, n rows each.
    """

    text: pa.LargeStringArray
    edits: pa.ListArray
    columns: dict[str, pa.Array] = field(default_factory=dict)


def joined(logs: list[pa.ListArray], blank: pa.BooleanArray) -> pa.ListArray:
    """One log of all edits per document, in the order of the logs; null where `blank`."""
    rows = len(blank)
    parents = np.concatenate([np.asarray(pc.list_parent_indices(log)) for log in logs])
    entries = pa.concat_arrays([log.flatten() for log in logs])
    order = np.argsort(parents, kind="stable")
    counts = np.bincount(parents, minlength=rows)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    together = pa.ListArray.from_arrays(offsets, entries.take(pa.array(order)), type=EDITS)
    return pc.if_else(blank, pa.scalar(None, EDITS), together)
