"""The row-wise end of line and substring dedup: cuts some documents of a batch, logs it, removes what is left empty.

A removed document keeps the text that it had and gets no edits: everything in it was found elsewhere.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.context import TaskContext
from curation.pipeline.schema import EDITS, REMOVED_BY, REMOVED_DETAIL, TEXT
from curation.text import edits
from curation.text.cuts import Cuts, cut

LAYER_SCHEMA = pa.schema(
    [
        pa.field(TEXT, pa.large_string()),  # null where the text stays as it is
        pa.field(EDITS, edits.EDITS),
        pa.field(REMOVED_BY, pa.string()),
        pa.field(REMOVED_DETAIL, pa.string()),
    ]
)


def cut_rows(
    context: TaskContext, batch: pa.RecordBatch, rows: NDArray[np.int64], cuts: Cuts, rule: str, *, at_words: bool
) -> pa.RecordBatch:
    """The layer's part for a batch whose rows `rows` lose `cuts` (one entry a row); counts edits and bytes.

    The rule of a document that is left without a visible character is `<rule>s_all_removed`.
    """
    picked = pa.array(rows)
    given = batch[TEXT].take(picked)
    edited, blank = cut(given, cuts, rule, at_words=at_words)
    changed = np.asarray(pc.list_value_length(edited.edits)) > 0
    removed, stays = pa.array(changed & blank), pa.array(~(changed & ~blank))
    logs = [edited.edits]
    if EDITS in batch.schema.names:
        logs.insert(0, batch[EDITS].take(picked))
    nothing = pa.scalar(None, pa.string())
    detail = pa.array([f"cuts={n}" for n in pc.list_value_length(edited.edits).to_pylist()], pa.string())
    columns = [
        pc.if_else(stays, pa.scalar(None, pa.large_string()), edited.text),
        edits.joined(logs, stays),
        pc.if_else(removed, f"{rule}s_all_removed", nothing),
        pc.if_else(removed, detail, nothing),
    ]
    context.counts["edited"] += int((changed & ~blank).sum())
    context.counts["removed"] += int((changed & blank).sum())
    context.counts["bytes_cut"] += int(pc.sum(pc.binary_length(given)).as_py() or 0) - int(
        pc.sum(pc.binary_length(edited.text)).as_py() or 0
    )
    places = np.full(batch.num_rows, -1, np.int64)
    places[rows] = np.arange(len(rows))
    spread = pa.array(places, mask=places < 0)
    return pa.RecordBatch.from_arrays([column.take(spread) for column in columns], schema=LAYER_SCHEMA)
