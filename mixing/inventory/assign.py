"""Which cell each document of a batch belongs to: the rules of `columns`, over Arrow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from mixing.inventory.cells import ANY, KEYS, NO_BUCKET, UNTAGGED
from mixing.inventory.columns import HOLDOUT, LENGTHS, UNKNOWN_LANGUAGE
from mixing.inventory.inventory import Inventory

NOWHERE = -1  # hold-out, or no token: no cell

MISSING = {"category": UNTAGGED, "language": UNKNOWN_LANGUAGE, "source": ""}


def cell_numbers(batch: pa.RecordBatch | pa.Table, inventory: Inventory) -> NDArray[np.int64]:
    """int64[n]: the cell of each document, NOWHERE for hold-out documents and for those without a token.

    batch: the columns that the inventory was read from.  Raises UsageError for a document whose cell the
    inventory does not have: it was read from other documents.
    """
    n = len(batch) if isinstance(batch, pa.Table) else batch.num_rows
    codes: NDArray[np.int64] = np.zeros(n, np.int64)
    place: NDArray[np.int64] = np.zeros(len(inventory.cells), np.int64)
    for key in KEYS:
        names = sorted(set(inventory.cells.column(key)))
        numbers = {name: i for i, name in enumerate(names)}
        place = place * len(names) + np.array([numbers[name] for name in inventory.cells.column(key)], np.int64)
        found = pc.index_in(_values(batch, key, n, inventory), value_set=pa.array(names, pa.string()))
        number = found.fill_null(NOWHERE).to_numpy(zero_copy_only=False).astype(np.int64)
        codes = np.where((codes < 0) | (number < 0), NOWHERE, codes * len(names) + number)
    order = np.argsort(place)
    at = np.minimum(np.searchsorted(place[order], codes), max(len(place) - 1, 0))
    cells = np.where(place[order][at] == codes, order[at], NOWHERE) if len(place) else np.full(n, NOWHERE)
    held = np.zeros(n, bool)
    if "split" in batch.schema.names:
        split = _column(batch, "split").cast(pa.string()).fill_null("train")
        held = pc.equal(split, HOLDOUT).to_numpy(zero_copy_only=False)
    held = held | (_column(batch, "token_count").to_numpy(zero_copy_only=False) == 0)
    if strangers := int((~held & (cells == NOWHERE)).sum()):
        raise UsageError(f"{strangers:,} documents belong to no cell of the plan", "plan again over these documents")
    return np.where(held, NOWHERE, cells).astype(np.int64)


def _values(batch: pa.RecordBatch | pa.Table, key: str, n: int, inventory: Inventory) -> pa.Array:
    """The key of each document as text."""
    if key not in inventory.split.keys:
        return pa.array([str(NO_BUCKET) if key == "bucket" else ANY], pa.string()).take(pa.array(np.zeros(n, np.int64)))
    if key == "length":
        counts = _column(batch, "token_count").to_numpy(zero_copy_only=False)
        part = np.searchsorted(np.array(inventory.split.length_edges), counts, side="right")
        return pa.array(LENGTHS, pa.string()).take(pa.array(part))
    missing = MISSING.get(key, str(NO_BUCKET))
    if key not in batch.schema.names:
        return pa.array([missing], pa.string()).take(pa.array(np.zeros(n, np.int64)))
    return _column(batch, key).cast(pa.string()).fill_null(missing)


def _column(batch: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    column = batch.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
