"""How much two mixes share: arms drawn with one seed take the same documents first in every cell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mixing.sample.table import parts


@dataclass(frozen=True)
class Overlap:
    """documents: in both, in the first, in the second; occurrences alike, an occurrence being (document, how often).

    nested: no document stands more often in the first than in the second.
    """

    shared_documents: int
    documents: tuple[int, int]
    shared_occurrences: int
    occurrences: tuple[int, int]
    nested: bool

    @property
    def share(self) -> float:
        """Shared occurrences of the smaller mix."""
        return self.shared_occurrences / max(1, min(self.occurrences))


def overlap(
    first: tuple[NDArray[np.uint64], NDArray[np.int64]], second: tuple[NDArray[np.uint64], NDArray[np.int64]]
) -> Overlap:
    """first, second: (doc_key sorted, copies of each)."""
    (keys, copies), (others, more) = first, second
    at = np.minimum(np.searchsorted(others, keys), max(len(others) - 1, 0))
    there = others[at] == keys if len(others) else np.zeros(len(keys), bool)
    twin = np.where(there, more[at], 0) if len(others) else np.zeros(len(keys), np.int64)
    both = np.minimum(copies, twin)
    return Overlap(
        int(there.sum()), (len(keys), len(others)), int(both.sum()), (int(copies.sum()), int(more.sum())),
        bool((copies <= twin).all()),
    )  # fmt: skip


def copies_in(folder: Path) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(doc_key sorted, copies) of a mix table."""
    keys = [pq.read_table(path, columns=["doc_key"])["doc_key"].to_numpy() for path in parts(folder)]
    found, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *keys]), return_counts=True)
    return found, counts.astype(np.int64)


def as_json(one: Overlap) -> dict[str, Any]:
    """Numbers for people and scripts."""
    return {
        "documents": {"shared": one.shared_documents, "first": one.documents[0], "second": one.documents[1]},
        "occurrences": {"shared": one.shared_occurrences, "first": one.occurrences[0], "second": one.occurrences[1]},
        "share_of_smaller": one.share,
        "nested": one.nested,
    }
