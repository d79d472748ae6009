"""The documents of a mix, cell after cell, as columns on disk: what is worked on is one cell at a time.

A pass over the shards puts every document at the next place of its cell (the inventory has counted them), so
memory does not grow with the corpus; the order within a cell does not matter to anything that reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, hash64
from mixing.inventory.assign import cell_numbers
from mixing.inventory.inventory import Inventory
from mixing.inventory.natural import natural_weights

COLUMNS = (
    "id", "doc_key", "source", "language", "category", "bucket", "mix_score", "split", "token_count",
    "duplicate_count", "prio_sample", "prio_ablate",
)  # fmt: skip
DRAWS = {"prio_sample": Purpose.SAMPLE, "prio_ablate": Purpose.ABLATE}
ROWS = 1 << 17  # of a batch that is read at once


@dataclass(frozen=True, eq=False)
class Documents:
    """Columns of all documents; those of cell i are the rows starts[i] … starts[i + 1].

    starts: int64[cells + 1]; doc_key, sample, ablate (two independent draws): uint64[n]; tokens: int64[n], with
    the end-of-document token; weight: float64[n] of natural duplication, None: all 1.
    """

    starts: NDArray[np.int64]
    doc_key: NDArray[np.uint64]
    sample: NDArray[np.uint64]
    ablate: NDArray[np.uint64]
    tokens: NDArray[np.uint32]
    weight: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.starts) - 1

    def rows(self, cell: int) -> slice:
        """Where a cell's documents stand."""
        return slice(int(self.starts[cell]), int(self.starts[cell + 1]))

    def sizes(self, cell: int) -> NDArray[np.int64]:
        """int64: tokens of each document of a cell."""
        return self.tokens[self.rows(cell)].astype(np.int64)


def read_batches(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """The columns that a mix needs, of every shard; no text is read."""
    for path in sorted(files):
        with pq.ParquetFile(path) as file:
            names = [name for name in COLUMNS if name in file.schema_arrow.names]
            yield from file.iter_batches(ROWS, columns=names, use_threads=False)


def collect(batches: Iterable[pa.RecordBatch], inventory: Inventory, *, seed: int, scratch: Path) -> Documents:
    """The documents that stand in a cell, in files under `scratch` (an empty folder).

    Draws that the documents do not carry are made from their ids as the tags would: hash64(id, purpose's seed).
    Raises UsageError: a document is in no cell of the inventory, or there are more or fewer than it counted.
    """
    counted = np.asarray(inventory.cells.documents, np.int64)
    starts = np.concatenate([[0], np.cumsum(counted)])
    documents = _empty(starts, scratch, weighted=inventory.duplicates != "none")
    place = starts[:-1].copy()
    for batch in batches:
        numbers = cell_numbers(batch, inventory)
        rows = np.flatnonzero(numbers >= 0)
        rows = rows[np.argsort(numbers[rows], kind="stable")]
        mine = numbers[rows]
        here = np.bincount(mine, minlength=len(counted))
        if (place + here > starts[1:]).any():
            raise _other_documents(inventory, int(np.argmax(place + here - starts[1:])))
        into = place[mine] + np.arange(len(rows)) - np.repeat(np.cumsum(here) - here, here)
        place += here
        _fill(documents, batch.take(pa.array(rows)), into, inventory, seed)
    if (place != starts[1:]).any():
        raise _other_documents(inventory, int(np.argmax(starts[1:] - place)))
    return documents


def _empty(starts: NDArray[np.int64], scratch: Path, *, weighted: bool) -> Documents:
    def column(name: str, kind: type[np.generic]) -> NDArray[np.generic]:
        if not starts[-1]:
            return np.zeros(0, kind)
        return np.memmap(scratch / f"{name}.bin", kind, "w+", shape=(int(starts[-1]),))

    names: dict[str, type[np.generic]] = {
        "doc_key": np.uint64,
        "sample": np.uint64,
        "ablate": np.uint64,
        "tokens": np.uint32,
    }
    columns = {name: column(name, kind) for name, kind in names.items()}
    return Documents(starts, **columns, weight=column("weight", np.float32) if weighted else None)  # type: ignore[arg-type]


def _fill(
    documents: Documents, batch: pa.RecordBatch, into: NDArray[np.int64], inventory: Inventory, seed: int
) -> None:
    tokens = batch["token_count"].to_numpy(zero_copy_only=False) + inventory.end_tokens
    if len(tokens) and tokens.max() > np.iinfo(np.uint32).max:
        raise UsageError(f"a document has {tokens.max():,} tokens", "cut it: no document can have 2^32 tokens")
    documents.tokens[into] = tokens
    documents.doc_key[into] = _keys(batch)
    documents.sample[into], documents.ablate[into] = (draws(batch, name, seed) for name in DRAWS)
    if documents.weight is not None:
        counts = batch["duplicate_count"].fill_null(1).to_numpy(zero_copy_only=False)
        documents.weight[into] = natural_weights(counts, inventory.duplicates)


def _keys(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    if "doc_key" in batch.schema.names:
        return np.asarray(batch["doc_key"].to_numpy(zero_copy_only=False), np.uint64)
    if "id" not in batch.schema.names:
        raise UsageError("the documents have neither doc_key nor id", "a mix names documents by one of them")
    return np.array([hash64(one) for one in batch["id"].to_pylist()], np.uint64)


def draws(batch: pa.RecordBatch, name: str, seed: int) -> NDArray[np.uint64]:
    """uint64: `prio_sample` or `prio_ablate` of each document, as stored or else from its id."""
    if name in batch.schema.names and not batch[name].null_count:
        return np.asarray(batch[name].to_numpy(zero_copy_only=False), np.uint64)
    if "id" not in batch.schema.names:
        raise UsageError(f"the documents have neither {name} nor id", "add `quality:` to the run, which writes both")
    start = derive_seed(seed, DRAWS[name])
    made = np.array([hash64(one, start) for one in batch["id"].to_pylist()], np.uint64)
    if name not in batch.schema.names:
        return made
    stored = batch[name].fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint64)
    return np.where(pc.is_valid(batch[name]).to_numpy(zero_copy_only=False), stored, made)


def _other_documents(inventory: Inventory, cell: int) -> UsageError:
    name = inventory.cells.name(cell)
    return UsageError(f"cell {name}: not as many documents as the inventory counted", "plan again over these documents")
