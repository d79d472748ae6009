"""What is done about the runs that `match` found: cut spans, remove documents, or only report; and the ledger of it.

Reads measured columns only, so `curate whatif` may try other thresholds.  Documents that an earlier step removed
are left alone: they train nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.decontaminate.hits import REPORTED, Hit, hits, item_text
from curation.decontaminate.index import BenchmarkIndex, load_index
from curation.decontaminate.match import MATCHED_TEXT, RUNS
from curation.pipeline.context import LAYER, TaskContext
from curation.pipeline.schema import EDITS, REMOVED_BY, REMOVED_DETAIL, TEXT
from curation.text import edits
from curation.text.cuts import Cuts, cut
from curation.text.pii import LONGEST

RULE_CUT, RULE_ITEM, RULE_SHARE = "decontaminate.cut", "decontaminate.item", "decontaminate.mostly_items"
SHOWN = 1_500  # characters of each text in the ledger; LONGEST more, so that what is shown can be masked

LEDGER = "contamination"
LEDGER_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # of the document
        pa.field("source", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # a `Kind`
        pa.field("containment", pa.float64(), nullable=False),  # share of the question (answer_only: of the answer)
        pa.field("start", pa.int64(), nullable=False),  # UTF-8 bytes in the text before anything was cut
        pa.field("length", pa.int64(), nullable=False),
        pa.field("action", pa.string(), nullable=False),  # cut | removed | reported
        pa.field("document_text", pa.large_string(), nullable=False),  # of the span; at most SHOWN + LONGEST characters
        pa.field("item_text", pa.large_string(), nullable=False),
    ]
)
LAYER_SCHEMA = pa.schema(
    [
        pa.field(TEXT, pa.large_string()),  # null where the text stays as it is
        pa.field(EDITS, edits.EDITS),
        pa.field(REMOVED_BY, pa.string()),
        pa.field(REMOVED_DETAIL, pa.string()),
    ]
)


@dataclass(frozen=True)
class Decision:
    """What becomes of one document."""

    cuts: list[tuple[int, int]] = field(default_factory=list)
    removed_by: str | None = None
    detail: str | None = None


def decide_documents(context: TaskContext) -> None:
    """Layer: new texts with their edits, verdicts; and the ledger."""
    index = load_index(context, context.task.inputs["also"][0])
    writer = context.writer(LAYER, LAYER_SCHEMA, align=True)
    ledger = context.writer(LEDGER, LEDGER_SCHEMA)
    for batch in context.batches(["id", "source", REMOVED_BY, EDITS, RUNS, MATCHED_TEXT]):
        found = np.flatnonzero(np.asarray(pc.and_(pc.is_valid(batch[MATCHED_TEXT]), pc.is_null(batch[REMOVED_BY]))))
        rows = batch.take(pa.array(found, pa.int64()))
        decisions, entries = [], []
        for row in rows.to_pylist():
            text = row[MATCHED_TEXT].encode()
            some = hits(text, row[RUNS], index)
            decision = decide(some, len(text), context.config, index)
            decisions.append(decision)
            entries += [_entry(row, text, hit, decision, context.config, index) for hit in some]
        ledger.write(pa.RecordBatch.from_pylist(entries, LEDGER_SCHEMA))
        writer.write(_layer(rows, decisions, found, batch.num_rows))
        for entry in entries:
            context.counts[f"{entry['kind']}.{entry['action']}"] += 1


def decide(found: list[Hit], size: int, config: Any, index: BenchmarkIndex) -> Decision:
    """Cut, remove or leave a document of `size` bytes, from its hits and the thresholds alone."""
    acted = [hit for hit in found if acts(hit, config)]
    if not acted:
        return Decision()
    cuts = union(acted)
    share = sum(stop - start for start, stop in cuts) / size
    row = index.items[max(acted, key=lambda hit: hit.containment).item]
    detail = f"{row['benchmark']} {row['item']}"
    if config["action"] == "remove":
        return Decision([], RULE_ITEM, detail)
    if share > config["remove_above"]:
        return Decision([], RULE_SHARE, f"{detail}: {share:.3f} of the text")
    return Decision(cuts)


def acts(hit: Hit, config: Any) -> bool:
    """Whether a hit is acted upon: an answer alone, or a few words that are all of a question, never are."""
    return hit.kind not in REPORTED and hit.containment >= config["containment"]


def union(found: list[Hit]) -> list[tuple[int, int]]:
    """The spans of the hits in order, those that overlap or touch joined."""
    spans: list[tuple[int, int]] = []
    for start, stop in sorted((hit.start, hit.stop) for hit in found):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(stop, spans[-1][1])
        else:
            spans.append((start, stop))
    return spans


def _layer(rows: pa.RecordBatch, decisions: list[Decision], found: np.ndarray, size: int) -> pa.RecordBatch:
    """The decisions as rows of the layer, one for each of the batch's `size` rows."""
    spans = [span for decision in decisions for span in decision.cuts]
    ends = np.cumsum([len(decision.cuts) for decision in decisions], dtype=np.int64)
    starts, stops = (np.array([span[i] for span in spans], np.int64) for i in (0, 1))
    edited, blank = cut(rows[MATCHED_TEXT], Cuts(starts, stops, ends), RULE_CUT, at_words=False)
    changed = np.asarray(pc.fill_null(pc.list_value_length(edited.edits), 0)) > 0
    stays = pa.array(~changed | blank)
    logs = [rows[EDITS]] if EDITS in rows.schema.names else []
    removed = [
        (RULE_SHARE, "all of the text") if empty and cuts else (decision.removed_by, decision.detail)
        for decision, empty, cuts in zip(decisions, blank.tolist(), changed.tolist(), strict=True)
    ]
    columns = [
        pc.if_else(stays, pa.scalar(None, pa.large_string()), edited.text),
        edits.joined([*logs, edited.edits], stays),
        *(pa.array([one[i] for one in removed], pa.string()) for i in (0, 1)),
    ]
    places = np.full(size, -1, np.int64)
    places[found] = np.arange(len(found))
    spread = pa.array(places, mask=places < 0)
    return pa.RecordBatch.from_arrays([column.take(spread) for column in columns], schema=LAYER_SCHEMA)


def _entry(
    row: dict[str, Any], text: bytes, hit: Hit, decision: Decision, config: Any, index: BenchmarkIndex
) -> dict[str, Any]:
    item = index.items[hit.item]
    action = "reported" if not acts(hit, config) else "removed" if decision.removed_by else "cut"
    shown = SHOWN + LONGEST
    stretch = text[hit.start : min(hit.stop, hit.start + 4 * shown)]
    return {
        "id": row["id"], "source": row["source"], "benchmark": item["benchmark"], "item": item["item"],
        "kind": hit.kind, "containment": hit.containment, "start": hit.start, "length": hit.stop - hit.start,
        "action": action, "document_text": stretch.decode("utf-8", "ignore")[:shown],
        "item_text": item_text(item, hit.kind)[:shown],
    }  # fmt: skip
