"""Exact-substring dedup: a passage that occurred before, in another document or earlier in its own, is cut.

A row-wise step samples windows of every text (`curation.text.passages`), a barrier finds those that are equal to
an earlier one (`repeats`), a second row-wise step cuts what they cover (`curation.text.cuts`).  Earlier is earlier
in config, file, record and byte order.  Only documents still kept count.  Source of the idea: Lee et al. 2022
(arXiv:2107.06499), ExactSubstr; differences, figures and limits: docs/line-dedup.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.dedup import cutting
from curation.dedup.repeats import Passages, Repeats, Rows
from curation.pipeline.barrier import ROW_BITS, SliceWriter, with_positions
from curation.pipeline.config import Frozen
from curation.pipeline.context import LAYER, TaskContext
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import EDITS, REMOVED_BY, TEXT
from curation.pipeline.shards import row_groups, temporary_name
from curation.pipeline.step import PlanBuilder, Step
from curation.pipeline.task import Input, Shard
from curation.text.cuts import CUTS_VERSION, Cuts
from curation.text.passages import PASSAGES_VERSION, Windows, anchors, sampled

RULE = "dedup.substring"
ANCHORS = "anchors"  # private output beside the layer
CUTS = "substring_cuts"
DOCUMENTS_AT_ONCE = 16_384

LAYER_SCHEMA = pa.schema([pa.field("windows", pa.int64(), nullable=False)])
ANCHORS_SCHEMA = pa.schema(
    [pa.field("values", pa.large_list(pa.uint64())), pa.field("widths", pa.large_list(pa.uint32()))]
)
SLICE_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field(CUTS, pa.large_list(pa.int64()), nullable=False),  # first byte, byte after, first byte, …
    ]
)


class SubstringConfig(Frozen):
    """Cut passages that occurred before."""

    min_bytes: int | None = Field(None, ge=20, le=1 << 16, description="of a passage, in UTF-8; 100 if none is given")
    min_tokens: int | None = Field(None, ge=5, le=1 << 16, description="of a passage, in words, instead of bytes")
    scope: Literal["global", "source"] = Field("global", description="compare across sources, or within each")
    action: Literal["cut"] = Field("cut", description="what is done with a repeated passage")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.min_bytes is not None and self.min_tokens is not None:
            raise ValueError("give either `min_bytes` or `min_tokens`")
        return self

    @property
    def units(self) -> tuple[int, bool]:
        """(length of a window, whether in words)."""
        return (self.min_tokens, True) if self.min_tokens is not None else (self.min_bytes or 100, False)


def write_anchors(context: TaskContext) -> None:
    """Layer: how many windows each document has; `anchors`: their samples."""
    windows = _windows(context.config)
    layer = context.writer(LAYER, LAYER_SCHEMA, align=True)
    writer = context.writer(ANCHORS, ANCHORS_SCHEMA, align=True)
    for batch in context.batches([TEXT]):
        found = anchors(batch[TEXT], windows)
        offsets = pa.array(np.concatenate([[0], found.ends]))
        lists = [pa.LargeListArray.from_arrays(offsets, pa.array(column)) for column in (found.values, found.widths)]
        writer.write(pa.RecordBatch.from_arrays(lists, schema=ANCHORS_SCHEMA))
        total = np.concatenate([[0], np.cumsum(found.widths, dtype=np.int64)])
        counts = np.diff(total[np.concatenate([[0], found.ends])])
        layer.write(pa.RecordBatch.from_arrays([pa.array(counts)], schema=LAYER_SCHEMA))


def find_passages(context: TaskContext) -> None:
    """Barrier: what of which document is cut."""
    names = pa.array([name for name, *_ in context.config["shards"]], pa.string())
    slices = SliceWriter(context, SLICE_SCHEMA)
    scratch = temporary_name(context.directory / "passages")  # swept like any temporary file when its process is gone
    scratch.mkdir(mode=0o700)
    try:
        waiting: list[Passages] = []
        search = Repeats(lambda text: _rows(context, text), _windows(context.config), scratch, context.counts)
        for passages in search.find():
            waiting.append(passages)
            if len(waiting) == DOCUMENTS_AT_ONCE:
                slices.write(_slice(waiting, names))
                waiting = []
            context.counts["documents"] += 1
            context.counts["passages"] += len(passages.ranges)
        if waiting:
            slices.write(_slice(waiting, names))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    slices.close()


def _rows(context: TaskContext, with_text: bool) -> Iterator[Rows]:
    """The documents that are still kept, with their anchors."""
    columns = [REMOVED_BY, TEXT] if with_text else [REMOVED_BY]
    for number, name, source, batches in context.all_shards(columns):
        salt = np.uint64(hash64(source) if context.config["scope"] == "source" else 0)
        groups = row_groups(context.path(Input(f"{SUBSTRING_ANCHORS.name}/{name}"), ANCHORS))
        for table, group in zip(with_positions(number, batches), groups, strict=True):
            kept = pc.is_null(table[REMOVED_BY]).combine_chunks()
            group = group.filter(kept)
            ends = np.cumsum(np.asarray(group["values"].value_lengths()), dtype=np.int64)
            values, widths = (np.asarray(group[column].flatten()) for column in ("values", "widths"))
            text = table[TEXT].filter(kept).combine_chunks() if with_text else None
            positions = np.asarray(table["position"].filter(kept))
            if len(positions):
                yield Rows(positions, salt, values, widths, ends, text)


def _slice(documents: list[Passages], names: pa.StringArray) -> pa.Table:
    positions = np.array([one.position for one in documents], np.int64)
    ends = np.cumsum([0, *(one.ranges.size for one in documents)])
    values = np.concatenate([one.ranges.ravel() for one in documents])
    lists = pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values))
    columns = [names.take(pa.array(positions >> ROW_BITS)), pa.array(positions & ((1 << ROW_BITS) - 1)), lists]
    return pa.table(columns, schema=SLICE_SCHEMA)


def cut_passages(context: TaskContext) -> None:
    """Layer: the texts without the passages."""
    writer = context.writer(LAYER, cutting.LAYER_SCHEMA, align=True)
    for batch in context.batches([TEXT, EDITS, CUTS]):
        lists = batch[CUTS] if CUTS in batch.schema.names else pa.nulls(batch.num_rows, SLICE_SCHEMA.field(CUTS).type)
        rows = np.flatnonzero(np.asarray(lists.is_valid()))
        picked = lists.take(pa.array(rows))
        ranges = np.asarray(picked.flatten()).reshape(-1, 2)
        ends = np.cumsum(np.asarray(picked.value_lengths()), dtype=np.int64) // 2
        cuts = Cuts(np.ascontiguousarray(ranges[:, 0]), np.ascontiguousarray(ranges[:, 1]), ends)
        writer.write(cutting.cut_rows(context, batch, rows, cuts, RULE, at_words=True))


def _windows(config: Any) -> Windows:
    return sampled(config["units"], words=config["words"])


def _versions(config: Any) -> Mapping[str, str]:
    return {"passages": str(PASSAGES_VERSION)}


def _cut_versions(config: Any) -> Mapping[str, str]:
    return {"cuts": str(CUTS_VERSION)}


SUBSTRING_ANCHORS = Step("substring_anchors", 1, write_anchors, _versions)
REPEATED_PASSAGES = Step("repeated_passages", 1, find_passages, _versions)
SUBSTRING_CUTS = Step("substring_cuts", 1, cut_passages, _cut_versions)


def plan_substring(config: SubstringConfig, builder: PlanBuilder) -> None:
    """Sample each shard's windows, one barrier, cut."""
    units, words = config.units
    windows = {"units": units, "words": words}

    def sampled_windows(shard: Shard) -> dict[str, Any]:
        return windows

    def no_settings(shard: Shard) -> dict[str, Any]:
        return {}

    builder.add_layer(SUBSTRING_ANCHORS, sampled_windows)
    if builder.shards:
        barrier = builder.add_global(REPEATED_PASSAGES, {**windows, "scope": config.scope})
        builder.add_layer(SUBSTRING_CUTS, no_settings, overlays=[barrier], edits=True)
