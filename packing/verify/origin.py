"""`who`: from a token of training back to the document that it comes from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError
from packing.layout.manifest import LayoutError
from packing.loader.origin import who as origin_of
from packing.verify.documents import DOCS
from packing.verify.faults import open_manifest


def who(
    directory: Path,
    token: int,
    *,
    stage: int = 0,
    sequence: int | None = None,
    step: int | None = None,
    row: int | None = None,
    global_batch: int | None = None,
) -> dict[str, Any]:
    """The document, copy and token offset behind token `token` of a sequence of a stage, and where it is stored.

    The sequence is given by its number, or as row `row` of step `step` with `global_batch` sequences a step.
    Raises UsageError: a place that does not exist, padding, or neither way of naming a sequence.
    """
    open_manifest(directory)
    number = _sequence(sequence, step, row, global_batch)
    try:
        found = origin_of(directory, stage, number, token)
    except (IndexError, LookupError, LayoutError) as error:
        raise UsageError(str(error)) from None
    docs = pq.read_table(directory / DOCS, filters=pc.field("doc_key") == pa.scalar(found.doc_key, pa.uint64()))
    if docs.num_rows != 1:
        raise UsageError(f"{directory / DOCS} lists document {found.doc_key} {docs.num_rows} times", "run verify")
    listed = docs.to_pylist()[0]
    return {"stage": stage, "sequence": number, "token": token, **listed, **asdict(found)}


def _sequence(sequence: int | None, step: int | None, row: int | None, global_batch: int | None) -> int:
    if sequence is not None and step is None and row is None:
        return sequence
    if sequence is None and step is not None and row is not None and global_batch is not None:
        if not (0 <= row < global_batch and step >= 0):
            raise UsageError(f"row {row} of step {step}: a step has the rows 0 to {global_batch - 1}")
        return step * global_batch + row
    raise UsageError("which sequence?", "give --sequence, or --step, --row and --global-batch")
