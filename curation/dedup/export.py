"""Write the index of a finished run: what it kept, ready for `dedup.minhash.against`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from curation.dedup.index import HEADER, INDEX_FORMAT, KIND, file_digest, settings
from curation.dedup.inputs import taking_part
from curation.dedup.presets import Banding
from curation.dedup.signatures import BANDS, COUNT, SHINGLES, SIGNATURES, bands_schema
from curation.pipeline.context import DOCUMENTS, LAYER, SLICES, overlay_slice, shard_batches
from curation.pipeline.errors import UsageError
from curation.pipeline.plan import Plan, State
from curation.pipeline.schema import REMOVED_BY
from curation.pipeline.shards import ShardWriter, row_groups, temporary_name, write_atomic
from curation.pipeline.task import Shard

NEXT = "run `curate run` to the end first"


def index_schema(bands: int) -> pa.Schema:
    """Columns of a part: one row for each kept document that has a word."""
    fields = [
        ("id", pa.string()),
        ("doc_key", pa.uint64()),
        (COUNT, pa.int64()),
        (SHINGLES, pa.large_list(pa.uint32())),
    ]
    return pa.schema([*(pa.field(*one) for one in fields), *bands_schema(bands)])


def export_index(plan: Plan, target: Path) -> dict[str, Any]:
    """Write the index of a finished run to the folder `target`, which must not exist; returns its header.

    Raises UsageError where the run has no signatures or is not finished.
    """
    if target.exists():
        raise UsageError(f"{target} exists already", "choose another path; indices are never overwritten")
    tasks = [task for task in plan.tasks if task.step == SIGNATURES.name]
    if not tasks:
        raise UsageError(f"the run {plan.run} has no dedup.minhash, so there is nothing to index")
    state = State(plan)
    unfinished = [task.name for task in plan.tasks if not state.finished(task.name)]
    if unfinished:
        raise UsageError(f"the run {plan.run} is not finished: {', '.join(unfinished[:3])}", NEXT)
    banding = Banding(tasks[0].config["bands"], tasks[0].config["rows"], "")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = temporary_name(target)
    folder.mkdir()
    try:
        parts = [_write_part(state, shard, folder, number, banding) for number, shard in enumerate(plan.shards)]
        header = {"kind": KIND, "format": INDEX_FORMAT, "settings": settings(banding), "parts": parts}
        write_atomic(folder / HEADER, orjson.dumps(header, option=orjson.OPT_INDENT_2))
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return header


def _write_part(state: State, shard: Shard, folder: Path, number: int, banding: Banding) -> dict[str, Any]:
    path = folder / f"part-{number:05}.parquet"
    schema = index_schema(banding.bands)
    writer = ShardWriter(path, schema)
    layers = [
        state.output(one.task, LAYER) if one.slice is None else overlay_slice(state.output(one.task, SLICES), one.slice)
        for one in shard.parts
    ]
    columns = ["id", "doc_key", REMOVED_BY, COUNT]
    signatures = f"{SIGNATURES.name}/{shard.name}"
    rows = shard_batches(state.output(shard.read, DOCUMENTS), layers, columns)
    lists, keys = (row_groups(state.output(signatures, name)) for name in (SHINGLES, BANDS))
    for batch, shingles, bands in zip(rows, lists, keys, strict=True):
        table = pa.Table.from_batches([batch])
        kept = pa.array(np.flatnonzero(taking_part(table)))
        part = [table[name].combine_chunks() for name in ("id", "doc_key", COUNT)] + [
            shingles[SHINGLES],
            *bands.columns,
        ]
        writer.write(pa.record_batch([column.take(kept) for column in part], schema=schema))
    output = writer.close()
    about = {"file": path.name, "source": shard.source, "documents": output.rows, "bytes": output.bytes}
    return {**about, "digest": file_digest(path)}
