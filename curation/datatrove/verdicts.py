"""Every document's verdict by key, as sorted arrays on disk: 17 bytes a document, shared by all who map them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.schema import REMOVED_BY
from curation.pipeline.shards import write_atomic

COUNT = "duplicate_count"
RULES = "rules.json"  # names of the rules, written last
KEPT = 255  # code of no rule


@dataclass(frozen=True)
class Verdicts:
    """n documents in the order of their keys."""

    keys: NDArray[np.uint64]
    codes: NDArray[np.uint8]  # index into `rules`, KEPT where it stays
    counts: NDArray[np.int64]  # documents that it stands for
    rules: list[str]

    @staticmethod
    def open(folder: Path) -> Verdicts:
        """Map what `write` wrote; raises UsageError where it did not finish."""
        try:
            rules = orjson.loads((folder / RULES).read_bytes())
            arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("keys", "codes", "counts")]
        except FileNotFoundError:
            raise UsageError(f"{folder.parent}: no verdicts", "run DedupClusters first") from None
        keys, codes, counts = arrays
        return Verdicts(keys, codes, counts, rules)

    def rows_of(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(row, whether it is there) of each key."""
        rows = np.searchsorted(self.keys, keys)
        rows = np.minimum(rows, max(len(self.keys) - 1, 0))
        return rows, self.keys[rows] == keys if len(self.keys) else np.zeros(len(keys), np.bool_)

    def rule(self, row: int) -> str | None:
        """The rule that removes a document."""
        code = int(self.codes[row])
        return None if code == KEPT else self.rules[code]


def write(folder: Path, batches: Callable[[], Iterable[pa.RecordBatch]]) -> dict[str, int]:
    """Write the verdicts in `batches` (doc_key, id, removed_by, duplicate_count); returns documents per rule.

    Raises UsageError naming an id that two documents have.
    """
    folder.mkdir(exist_ok=True)
    rules: list[str] = []
    parts = [_arrays(batch, rules) for batch in batches()]
    empty = (np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.int64))
    keys, codes, counts = (np.concatenate(some) for some in zip(empty, *parts, strict=True))
    del parts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    twice = keys[1:][keys[1:] == keys[:-1]]
    if len(twice):
        raise UsageError(f"two documents have the id {_id_of(twice[0], batches())!r}", "give every document its own id")
    np.save(folder / "keys.npy", keys)
    np.save(folder / "codes.npy", codes[order])
    np.save(folder / "counts.npy", counts[order])
    write_atomic(folder / RULES, orjson.dumps(rules))
    found = Counter({rules[code]: int(n) for code, n in enumerate(np.bincount(codes[codes != KEPT]))})
    return {"documents": len(keys), **found}


def _arrays(batch: pa.RecordBatch, rules: list[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.int64]]:
    removed_by = batch[REMOVED_BY].to_pylist()
    rules += [name for name in dict.fromkeys(removed_by) if name is not None and name not in rules]
    code = {name: i for i, name in enumerate(rules)}
    codes = np.array([code.get(name, KEPT) for name in removed_by], np.uint8)
    return np.asarray(batch["doc_key"]), codes, np.asarray(batch[COUNT])


def _id_of(key: np.uint64, batches: Iterable[pa.RecordBatch]) -> str:
    return str(next(_ids_of(key, batches)))


def _ids_of(key: np.uint64, batches: Iterable[pa.RecordBatch]) -> Iterator[str]:
    for batch in batches:
        yield from batch["id"].filter(pa.array(np.asarray(batch["doc_key"]) == key)).to_pylist()
