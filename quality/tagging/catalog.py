"""The view `tags`: a row a kept document with all that a mix is planned from, and no text.

A section of its own after `_documents`, since token counts are written after the tags.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.context import TaskContext
from curation.pipeline.shards import row_groups
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.pipeline.task import Input
from quality.tagging.rank import RANK_SCHEMA
from quality.tagging.tag import DRAW_SCHEMA, TAG_SCHEMA

TAGS = "tags"
COLUMNS = [
    "id", "doc_key", "source", "language", "license", "duplicate_count", "cluster", "token_count",
    *TAG_SCHEMA.names, *RANK_SCHEMA.names, *DRAW_SCHEMA.names,
]  # fmt: skip


def write_tags(context: TaskContext) -> None:
    """`tags.parquet` of a shard: those of COLUMNS that its documents have."""
    path = context.path(context.task.inputs["documents"][0], "documents")
    there = pq.read_schema(path)
    schema = pa.schema([there.field(name) for name in context.config["columns"] if name in there.names])
    writer = context.writer(TAGS, schema)
    for batch in row_groups(path, schema.names):
        writer.write(batch.select(schema.names).cast(schema))


def plan(config: None, builder: PlanBuilder) -> None:
    """A task a shard, in a run that tags its documents."""
    if "mix_score" not in builder.columns:
        return
    for shard in builder.shards:
        if shard.final:
            inputs = {"documents": (Input(shard.final),)}
            builder.add(WRITE, f"{TAGS}/{shard.name}", {"columns": COLUMNS}, inputs=inputs)


def views(run: Path) -> dict[str, list[Path]]:
    """`tags` for `curate sql`."""
    found = sorted((run / TAGS).glob("*.parquet"))
    return {TAGS: found} if found else {}


WRITE = Step(TAGS, 1, write_tags, reads_text=False, views=(TAGS,))
SECTION = Section("_tags", "_documents", plan, (WRITE,))
