"""Line dedup: a line (or paragraph) that stands in several documents stays where it came first and is cut elsewhere.

A row-wise step hashes lines (`line_hashes`), a barrier finds those of at least `min_count` documents, a second
row-wise step cuts them (`curation.text.cuts`).  First is first in config, file and record order.  Only documents
still kept count.  Rule and figures: docs/line-dedup.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from curation.dedup import cutting
from curation.dedup.line_hashes import LINE_HASHES, LINES, TOO_SHORT
from curation.pipeline.barrier import ROW_BITS, SliceWriter, spill_database, with_positions
from curation.pipeline.config import Frozen
from curation.pipeline.context import LAYER, TaskContext
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import EDITS, REMOVED_BY, TEXT
from curation.pipeline.shards import row_groups
from curation.pipeline.step import PlanBuilder, Step
from curation.pipeline.task import Input, Shard
from curation.text.cuts import CUTS_VERSION, Cuts
from curation.text.line_units import UNITS_VERSION, find_units

RULE = "dedup.line"
CUTS = "line_cuts"
VERDICTS_AT_ONCE = 65_536

SLICE_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        # 2 · index of a line's hash in the document, + 1 where its first occurrence stays; ascending
        pa.field(CUTS, pa.large_list(pa.int64()), nullable=False),
    ]
)


class LinesConfig(Frozen):
    """Cut lines that stand in several documents."""

    unit: Literal["line", "paragraph"] = Field("line", description="what is compared")
    min_count: int = Field(3, ge=2, description="a line is cut when it stands in this many documents")
    min_chars: int = Field(20, ge=1, description="shorter ones (normalised, in code points) always stay")
    scope: Literal["global", "source"] = Field("global", description="compare across sources, or within each")
    keep: Literal["first"] = Field("first", description="the occurrence that stays")


def find_repeated_lines(context: TaskContext) -> None:
    """Barrier: which lines of which document are cut."""
    with spill_database(context.directory) as database:
        database.execute(
            "create table lines (high ubigint, low ubigint, position bigint, ordinal bigint, again boolean)"
        )
        for number, name, source, batches in context.all_shards([REMOVED_BY]):
            salt = np.uint64(hash64(source) if context.config["scope"] == "source" else 0)
            groups = row_groups(context.path(Input(f"{LINE_HASHES.name}/{name}"), LINES), ["high", "low", "again"])
            for table, group in zip(with_positions(number, batches), groups, strict=True):
                rows = _flat(table, group, salt)
                database.register("batch", rows)
                database.execute("insert into lines select * from batch")
        found = database.sql(
            f"""with repeated as (
                    select high, low, min(position) as kept from lines
                    group by high, low having count(*) >= {int(context.config["min_count"])}
                )
                select position, 2 * ordinal + (position = kept)::bigint as cut
                from lines join repeated using (high, low) where position <> kept or again
                order by position, cut"""
        )
        _write(context, found)


def _flat(table: pa.Table, group: pa.RecordBatch, salt: np.uint64) -> pa.Table:
    """One row a distinct line of the documents that are still kept."""
    kept = pc.is_null(table[REMOVED_BY]).combine_chunks()
    group = group.filter(kept)
    lengths = np.asarray(group["high"].value_lengths())
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return pa.table(
        {
            "high": np.asarray(group["high"].flatten()) ^ salt,
            "low": group["low"].flatten(),
            "position": np.repeat(np.asarray(table["position"].filter(kept)), lengths),
            "ordinal": np.arange(len(starts), dtype=np.int64) - starts,
            "again": group["again"].flatten(),
        }
    )


def _write(context: TaskContext, found: duckdb.DuckDBPyRelation) -> None:
    """Stream (position, cut), sorted, into one row a document."""
    names = pa.array([name for name, *_ in context.config["shards"]], pa.string())
    slices = SliceWriter(context, SLICE_SCHEMA)
    for positions, values in _documents(found):
        first = np.flatnonzero(np.diff(positions, prepend=-1))
        rows = positions[first]
        lists = pa.LargeListArray.from_arrays(np.append(first, len(positions)), pa.array(values))
        columns = [names.take(pa.array(rows >> ROW_BITS)), pa.array(rows & ((1 << ROW_BITS) - 1)), lists]
        slices.write(pa.table(columns, schema=SLICE_SCHEMA))
        context.counts["documents"] += len(rows)
        context.counts["lines_cut"] += len(values)
    slices.close()


def _documents(found: duckdb.DuckDBPyRelation) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The rows in pieces that end where a document ends."""
    waiting = [np.empty(0, np.int64), np.empty(0, np.int64)]
    for batch in found.to_arrow_reader(VERDICTS_AT_ONCE):
        rows = [np.concatenate([old, np.asarray(batch[k])]) for k, old in enumerate(waiting)]
        cut = int(rows[0].searchsorted(rows[0][-1])) if len(rows[0]) else 0
        if cut:
            yield rows[0][:cut], rows[1][:cut]
        waiting = [column[cut:] for column in rows]
    if len(waiting[0]):
        yield waiting[0], waiting[1]


def cut_lines(context: TaskContext) -> None:
    """Layer: the texts without their repeated lines."""
    writer = context.writer(LAYER, cutting.LAYER_SCHEMA, align=True)
    hashes = row_groups(context.path(Input(context.config["hashes"]), LINES), ["units"])
    paragraphs = context.config["unit"] == "paragraph"
    for batch, group in zip(context.batches([TEXT, EDITS, CUTS]), hashes, strict=True):
        lists = batch[CUTS] if CUTS in batch.schema.names else pa.nulls(batch.num_rows, SLICE_SCHEMA.field(CUTS).type)
        rows = np.flatnonzero(np.asarray(lists.is_valid()))
        picked = pa.array(rows)
        units = find_units(batch[TEXT].take(picked), paragraphs=paragraphs)
        of_units, wanted = group["units"].take(picked), lists.take(picked)
        cut = [np.zeros(0, np.bool_)]
        for i in range(len(rows)):
            cut.append(repeated(np.asarray(of_units[i].values), np.asarray(wanted[i].values)))
        mask = np.concatenate(cut)
        ends = np.concatenate([[0], np.cumsum(mask)])[units.document_ends]
        cuts = Cuts(units.first[mask], units.last[mask], ends)
        writer.write(cutting.cut_rows(context, batch, rows, cuts, RULE, at_words=False))


def repeated(units: NDArray[np.uint32], cuts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which lines of a document go: by line the index of its hash, and the document's row of the slice."""
    gone: NDArray[np.bool_] = np.isin(units, (cuts >> 1).astype(np.uint32)) & (units != TOO_SHORT)
    staying = (cuts[cuts & 1 == 1] >> 1).astype(np.uint32)
    if len(staying):
        values, first = np.unique(units, return_index=True)
        gone[first[np.isin(values, staying)]] = False
    return gone


def _versions(config: Any) -> Mapping[str, str]:
    return {"line_units": str(UNITS_VERSION), "cuts": str(CUTS_VERSION)}


REPEATED_LINES = Step("repeated_lines", 1, find_repeated_lines, reads_text=False)
LINE_CUTS = Step("line_cuts", 1, cut_lines, _versions)


def plan_lines(config: LinesConfig, builder: PlanBuilder) -> None:
    """Hash each shard's lines, one barrier, cut."""
    hashing = {"unit": config.unit, "min_chars": config.min_chars}

    def hashed(shard: Shard) -> dict[str, Any]:
        return hashing

    hashes = builder.add_layer(LINE_HASHES, hashed)
    if builder.shards:
        barrier = builder.add_global(REPEATED_LINES, config.model_dump(mode="json", include={"min_count", "scope"}))
        builder.add_layer(
            LINE_CUTS,
            lambda shard: {"unit": config.unit, "hashes": hashes[shard.name]},
            also={name: [task] for name, task in hashes.items()},
            overlays=[barrier],
            edits=True,
        )
