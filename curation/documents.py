"""The last row-wise step: each shard's kept and removed documents with every column.

Layers and overlays come together here: this is the only step after reading that
writes text.  Removed documents keep their text, so that every rule can be inspected.
"""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.pipeline.context import TaskContext
from curation.pipeline.schema import EDITS, READ_SCHEMA, REMOVED_BY, REMOVED_DETAIL, TEXT
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.text.edits import EDIT

DICTIONARY = pa.dictionary(pa.int32(), pa.string())
DICTIONARY_COLUMNS = ("source", "license", "extractor", "language", REMOVED_BY, REMOVED_DETAIL)


EDITS_SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("source", pa.string()), *EDIT])


def write_documents(context: TaskContext) -> None:
    """Split the shard into `documents` and `removed`, in record order; log the edits of both in `edits`."""
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(context.config["schema"])))
    kept_names = [name for name in schema.names if name not in (REMOVED_BY, REMOVED_DETAIL)]
    kept_writer = context.writer("documents", pa.schema([schema.field(name) for name in kept_names]))
    removed_writer = context.writer("removed", schema)
    edits_writer = context.writer("edits", EDITS_SCHEMA)
    for batch in context.batches():
        columns = _with_defaults(dict(zip(batch.schema.names, batch.columns, strict=True)))
        columns["byte_count"] = pc.binary_length(columns[TEXT]).cast(pa.int64())
        arrays = [
            columns[field.name].cast(field.type) if field.name in columns else _nulls(batch.num_rows, field.type)
            for field in schema
        ]
        whole = pa.RecordBatch.from_arrays(arrays, schema=schema)
        removed = pc.is_valid(columns[REMOVED_BY])
        kept_writer.write(whole.filter(pc.invert(removed)).select(kept_names))
        removed_writer.write(whole.filter(removed))
        log = edit_log(columns)
        edits_writer.write(log)
        _count(context, columns, np.asarray(removed), log)


def _nulls(rows: int, kind: pa.DataType) -> pa.Array:
    """Null rows; a struct's children hold zeros, since they may be declared non-nullable."""
    if not pa.types.is_struct(kind):
        return pa.nulls(rows, kind)
    children = [pa.repeat(pa.scalar(0).cast(field.type), rows) for field in kind]
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=pa.repeat(True, rows))


def _with_defaults(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """After dedup every kept document stands at least for itself."""
    if "duplicate_count" in columns:
        removed = pc.is_valid(columns[REMOVED_BY])
        alone = pc.if_else(removed, pa.scalar(None, pa.int64()), pa.scalar(1, pa.int64()))
        columns["duplicate_count"] = pc.coalesce(columns["duplicate_count"], alone)
        own = pc.if_else(removed, pa.scalar(None, pa.uint64()), columns["doc_key"])
        columns["cluster"] = pc.coalesce(columns["cluster"], own)
    return columns


def edit_log(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """One row an edit, in the order in which the edits were made to each document."""
    if EDITS not in columns:
        return pa.RecordBatch.from_pylist([], EDITS_SCHEMA)
    rows = pc.list_parent_indices(columns[EDITS])
    entries = columns[EDITS].flatten()
    arrays = [columns["id"].take(rows), columns["source"].take(rows), *entries.flatten()]
    return pa.RecordBatch.from_arrays(arrays, schema=EDITS_SCHEMA)


def _count(context: TaskContext, columns: dict[str, pa.Array], removed: np.ndarray, log: pa.RecordBatch) -> None:
    sizes = np.asarray(columns["byte_count"].fill_null(0))
    context.counts["documents"] += int((~removed).sum())
    context.counts["removed"] += int(removed.sum())
    context.counts["text_bytes_in"] += int(sizes.sum())
    context.counts["text_bytes_kept"] += int(sizes[~removed].sum())
    for one in pc.value_counts(columns[REMOVED_BY].drop_null()):
        context.counts[f"removed_by.{one['values']}"] += one["counts"].as_py()
    for one in pc.value_counts(log["rule"]):
        context.counts[f"edits.{one['values']}"] += one["counts"].as_py()
    context.counts["edited_documents"] += pc.count_distinct(log["id"]).as_py()


DOCUMENTS = Step("documents", 2, write_documents, views=("documents", "removed", "edits"))


def plan(config: None, builder: PlanBuilder) -> None:
    """One task per shard, after everything that decides about documents; one schema for all of them."""
    fields = {field.name: field.type for field in READ_SCHEMA} | builder.columns | {"byte_count": pa.int64()}
    schema = pa.schema([(name, DICTIONARY if name in DICTIONARY_COLUMNS else kind) for name, kind in fields.items()])
    encoded = base64.b64encode(schema.serialize().to_pybytes()).decode()
    for i, shard in enumerate(builder.shards):
        name = builder.add(DOCUMENTS, f"documents/{shard.name}", {"schema": encoded}, inputs=shard.inputs())
        builder.shards[i] = replace(shard, final=name)


SECTION = Section("_documents", "tokenizer", plan, (DOCUMENTS,))
