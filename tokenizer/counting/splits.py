"""Which documents are held out: decided by a hash of the page (or cluster), never of the line or the record.

Translations and versions of one page share wording; put on both sides they make every figure look better than it
is (reference, text set).  So the key is the page where there is one.  Source: CONTRACTS, Identity, hashing, seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, hash64

TRAIN, DEV, HOLDOUT = "train", "dev", "holdout"


def split_of(key: str, seed: int, *, holdout: float = 0.02, dev: float = 0.0) -> str:
    """`holdout`, `dev` or `train` for a page key (or an id): a pure function of key, seed and the two shares.

    The held-out side does not change with `dev`.  Raises UsageError for shares outside 0 … 1.
    """
    if not (holdout >= 0 and dev >= 0 and holdout + dev <= 1):
        raise UsageError(f"shares of a split must be at least 0 and at most 1 in all: holdout {holdout}, dev {dev}")
    place = hash64(key, derive_seed(seed, Purpose.SPLIT)) / 2.0**64
    return HOLDOUT if place < holdout else DEV if place < holdout + dev else TRAIN


def only(
    batches: Iterable[pa.RecordBatch], split: str, seed: int, *, holdout: float = 0.02, dev: float = 0.0
) -> Iterator[pa.RecordBatch]:
    """The rows of one side."""
    for _, rows in divide(batches, (split,), seed, holdout=holdout, dev=dev):
        yield rows


def divide(
    batches: Iterable[pa.RecordBatch], wanted: Sequence[str], seed: int, *, holdout: float = 0.02, dev: float = 0.0
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(side, its rows) of every batch for the sides in `wanted`, in one pass; none where it has no such row.

    The key of a document is the column `page` where it is there and not null, else `id`.
    """
    for batch in batches:
        sides = np.array([split_of(key, seed, holdout=holdout, dev=dev) for key in page_keys(batch)], "U7")
        for side in wanted:
            if (keep := sides == side).any():
                yield side, batch.filter(pa.array(keep))


def page_keys(batch: pa.RecordBatch) -> list[str]:
    """`page`, or `id` where a row has no page.  Raises UsageError where both are missing."""
    names = batch.schema.names
    ids = batch.column("id").to_pylist() if "id" in names else [None] * batch.num_rows
    pages = batch.column("page").to_pylist() if "page" in names else [None] * batch.num_rows
    keys = [page if page is not None else id_ for page, id_ in zip(pages, ids, strict=True)]
    if any(key is None for key in keys):
        raise UsageError("a document has neither an `id` nor a `page`", "give every document an id")
    return [str(key) for key in keys]
