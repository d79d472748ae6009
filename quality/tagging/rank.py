"""The barrier: where every kept document stands among all of them.

Passes over the stored scores: (1) tables by category and level, bytes of the largest documents, spread of every
source; (2–5) the cut points of the buckets; (6) the columns.  Memory does not grow with the corpus, and sums are
integers, so neither order, shards nor workers change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from quality.rubric.rubric import DIMENSIONS
from quality.tagging.quantiles import LargestWeights, cut_points, mixed, part_of, sort_keys
from quality.tagging.spread import Spread
from quality.tagging.standing import Counts, Standing, mix_score

BUCKETS = 5
READS = ["doc_key", "source", *DIMENSIONS, "category", "byte_count", "low_confidence"]
MANY_UNSURE = 0.25  # share of documents of low confidence above which a run warns
RANK_SCHEMA = pa.schema(
    [
        *(pa.field(f"{name}{ending}", pa.float32()) for name in DIMENSIONS for ending in ("_pct", "_pct_category")),
        pa.field("mix_score", pa.float32()),
        pa.field("bucket", pa.int8()),
    ]
)


@dataclass(frozen=True)
class Scored:
    """Some tagged documents: uint64 keys, two scores, category numbers, bytes, sources, low confidence."""

    doc_key: NDArray[np.uint64]
    scores: tuple[NDArray[np.float32], ...]
    category: NDArray[np.int64]
    bytes: NDArray[np.int64]
    source: pa.Array
    unsure: NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """What the ranks of any document follow from."""

    standings: tuple[Standing, ...]
    r: float
    seed: int
    cap: int  # bytes that one document counts for at most
    cuts: NDArray[np.uint64]
    spread: Spread
    documents: int
    bytes: int
    unsure: int  # documents of low confidence

    def warnings(self) -> list[str]:
        """What to look at before the tags are trusted."""
        lines = self.spread.warnings()
        if self.unsure > MANY_UNSURE * self.documents:
            lines.append(
                f"{self.unsure / self.documents:.0%} of the documents have low confidence: the tagger was not trained "
                "on such texts; label some of your own (curate quality label) and train on them (curate quality train)"
            )
        return lines

    def columns(self, some: Scored) -> pa.RecordBatch:
        """Rows of RANK_SCHEMA."""
        columns: dict[str, pa.Array] = {}
        for name, standing, values in zip(DIMENSIONS, self.standings, some.scores, strict=True):
            globally, within = standing.percentiles(values, some.category)
            columns |= {f"{name}_pct": pa.array(globally), f"{name}_pct_category": pa.array(within)}
        mix = mix_score(self.standings, some.scores, some.category, self.r)
        columns["mix_score"] = pa.array(mix)
        columns["bucket"] = pa.array(part_of(sort_keys(mix, mixed(some.doc_key, self.seed)), self.cuts))
        return pa.RecordBatch.from_arrays([columns[name] for name in RANK_SCHEMA.names], schema=RANK_SCHEMA)


def scored(batch: pa.RecordBatch, categories: pa.Array) -> Scored:
    """A batch with the columns READS, none of them null."""
    return Scored(
        batch["doc_key"].to_numpy(zero_copy_only=False),
        tuple(batch[name].to_numpy(zero_copy_only=False) for name in DIMENSIONS),
        pc.index_in(batch["category"], categories).to_numpy(zero_copy_only=False).astype(np.int64),
        batch["byte_count"].to_numpy(zero_copy_only=False),
        batch["source"],
        batch["low_confidence"].to_numpy(zero_copy_only=False),
    )


def ranking(passes: Callable[[], Iterable[Scored]], categories: int, *, r: float, seed: int) -> Ranking:
    """`passes()` gives every tagged document once, in batches, each time it is called.

    seed: splits documents of equal score (Purpose.BUCKET).
    """
    counts = tuple(Counts(categories) for _ in DIMENSIONS)
    largest, spread = LargestWeights(BUCKETS), Spread()
    documents = size = unsure = 0
    for some in passes():
        for one, values in zip(counts, some.scores, strict=True):
            one.add(values, some.category, some.bytes)
        largest.add(np.maximum(some.bytes, 1))
        spread.add(some.source, some.scores)
        documents, size = documents + len(some.bytes), size + int(some.bytes.sum())
        unsure += int(some.unsure.sum())
    standings = tuple(one.standing() for one in counts)
    cap = largest.cap()

    def keyed() -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
        for some in passes():
            mix = mix_score(standings, some.scores, some.category, r)
            yield sort_keys(mix, mixed(some.doc_key, seed)), np.clip(some.bytes, 1, cap)

    return Ranking(standings, r, seed, cap, cut_points(keyed, BUCKETS), spread, documents, size, unsure)


def summary(made: Ranking, labeler: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a ranking beside the columns: JSON."""
    return {
        "labeler": labeler,
        "r": made.r,
        "documents": made.documents,
        "bytes": made.bytes,
        "bytes_counted_at_most": made.cap,
        "low_confidence": made.unsure,
        "scores": {
            name: {"mean": float(one.mean[0]), "sd": float(one.sd[0])}
            for name, one in zip(DIMENSIONS, made.standings, strict=True)
        },
        "between_sources": made.spread.between(),
        "sources": made.spread.sources(),
        "warnings": made.warnings(),
    }
