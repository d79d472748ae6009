"""Nats, labels and bytes of the training text by source, language and bucket since the last look.

Bytes are those of whole fragments: their first token's are in, its nats are not, and the end-of-document id's nats
are.  So training figures compare with each other; against baselines held-out text counts (`held_out.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from packing.layout.manifest import Manifest
from packing.loader.batch import Batch
from proxy_model.train.held_out import Score

DOCS = "docs.parquet"


@dataclass(frozen=True, eq=False)
class Groups:
    """Language and bucket of documents by key (sorted); "" where not known."""

    keys: NDArray[np.uint64]
    language: list[str]
    bucket: list[str]

    def of(self, keys: NDArray[np.uint64]) -> list[tuple[str, str]]:
        """(language, bucket) of each document."""
        if not len(self.keys):
            return [("", "")] * len(keys)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.keys[at] == keys
        return [
            (self.language[i], self.bucket[i]) if there else ("", "")
            for i, there in zip(at.tolist(), found.tolist(), strict=True)
        ]


def read_groups(directory: Path) -> Groups:
    """From the shards' docs.parquet; empty where there is none."""
    path = directory / DOCS
    if not path.exists():
        return Groups(np.empty(0, np.uint64), [], [])
    names = set(pq.read_schema(path).names)
    table = pq.read_table(path, columns=[n for n in ("doc_key", "language", "bucket") if n in names])
    table = table.sort_by("doc_key")

    def column(name: str) -> list[str]:
        if name not in names:
            return [""] * table.num_rows
        return ["" if one is None else str(one) for one in table[name].to_pylist()]

    return Groups(np.asarray(table["doc_key"], np.uint64), column("language"), column("bucket"))


@dataclass
class Tally:
    """Sums by (kind, name)."""

    manifest: Manifest
    groups: Groups
    sums: dict[tuple[str, str], list[float]] = field(default_factory=dict)  # nats, labels, bytes

    def add(self, batch: Batch, nats: NDArray[np.float64]) -> None:
        """`nats` float64[T], 0 without a label."""
        count = batch["segments"]
        starts = batch["cu_seqlens"][:count].astype(np.int64)
        by_segment = np.add.reduceat(nats, starts)
        labels = np.add.reduceat(batch["loss_mask"].astype(np.int64), starts)
        real = np.flatnonzero(batch["source"][:count] >= 0)
        known = self.groups.of(batch["doc_key"][real])
        for segment, (language, bucket) in zip(real.tolist(), known, strict=True):
            source = self.manifest.sources[int(batch["source"][segment])]
            for kind, name in (("all", ""), ("source", source), ("language", language), ("bucket", bucket)):
                if name or kind == "all":
                    sums = self.sums.setdefault((kind, name), [0.0, 0.0, 0.0])
                    sums[0] += float(by_segment[segment])
                    sums[1] += int(labels[segment])
                    sums[2] += int(batch["n_bytes"][segment])

    def take(self) -> list[Score]:
        """The scores so far; begins anew."""
        made = [Score(*key, sums[0], int(sums[1]), int(sums[2])) for key, sums in sorted(self.sums.items())]
        self.sums = {}
        return made

    def state(self) -> list[list[Any]]:
        """JSON types."""
        return [[*key, *sums] for key, sums in self.sums.items()]

    def load_state(self, state: list[list[Any]]) -> None:
        """Back to `state()`."""
        self.sums = {(str(kind), str(name)): list(sums) for kind, name, *sums in state}
