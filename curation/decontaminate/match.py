"""The row-wise step that reads texts: every run of letters that a document shares with a benchmark item's text.

Nothing is decided here.  Beside the runs the layer keeps the text of each document that has one, so that deciding
(`decide`), also with other thresholds, reads columns only.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from curation.decontaminate.index import load_needles
from curation.pipeline.context import LAYER, TaskContext
from curation.pipeline.schema import TEXT
from curation.text.common_runs import Runs, common_runs
from curation.text.letters import letters

RUNS, MATCHED_TEXT = "contamination", "contaminated_text"
RUN = pa.struct(
    [
        pa.field("text", pa.int32(), nullable=False),  # of the index
        pa.field("start", pa.int64(), nullable=False),  # in the document, UTF-8 bytes
        pa.field("stop", pa.int64(), nullable=False),
        pa.field("from", pa.int32(), nullable=False),  # in the letters of the item's text, bytes
        pa.field("length", pa.int32(), nullable=False),
    ]
)
LAYER_SCHEMA = pa.schema([pa.field(RUNS, pa.list_(RUN)), pa.field(MATCHED_TEXT, pa.large_string())])


def match_documents(context: TaskContext) -> None:
    """Layer: the runs of each document and, where there are any, its text."""
    needles = load_needles(context, context.task.inputs["also"][0])
    writer = context.writer(LAYER, LAYER_SCHEMA, align=True)
    for batch in context.batches([TEXT]):
        text = batch[TEXT]
        runs = common_runs(text, needles, context.config["ngram"], context.config["bytes"])
        writer.write(pa.RecordBatch.from_arrays(runs_column(text, runs), schema=LAYER_SCHEMA))
        context.counts["runs"] += len(runs.text)


def runs_column(text: pa.LargeStringArray, runs: Runs) -> list[pa.Array]:
    """The two columns of the layer."""
    rows, counts = np.unique(runs.text, return_counts=True)
    picked = text.take(pa.array(rows))
    of = letters(picked)
    first = np.concatenate([[0], of.ends[:-1]]) if len(rows) else of.ends
    start = np.repeat(first, counts) + runs.start
    entries = pa.StructArray.from_arrays(
        [
            pa.array(runs.needle.astype(np.int32)),
            pa.array(of.start[start].astype(np.int64)),
            pa.array(of.stop[start + runs.length - 1].astype(np.int64)),
            pa.array(runs.needle_start.astype(np.int32)),
            pa.array(runs.length.astype(np.int32)),
        ],
        fields=list(RUN),
    )
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), entries, type=pa.list_(RUN))
    places = np.full(len(text), -1, np.int64)
    places[rows] = np.arange(len(rows))
    spread = pa.array(places, mask=places < 0)
    return [lists.take(spread), picked.take(spread)]
