"""A corpus small enough to calculate by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixing.inventory.cells import Cells

Row = tuple[str, str, int, int, float]  # source, category, bucket, tokens, score


def cells_of(rows: Sequence[Row], documents: int = 100) -> Cells:
    rows = sorted(rows)
    source, category, bucket, tokens, score = zip(*rows, strict=True)
    counts = np.array(tokens, np.int64)
    return Cells(
        source, category, np.array(bucket, np.int8), counts, np.where(counts, np.minimum(documents, counts), 0),
        np.array(score, np.float64), counts // documents + 1,
    )  # fmt: skip


def corpus() -> Cells:
    """web: science 600k, sport 300k; books: science 100k; each half low (bucket 0) and half high (4)."""
    whole = {("web", "science"): 600_000, ("web", "sport"): 300_000, ("books", "science"): 100_000}
    return cells_of(
        [(s, c, b, tokens // 2, score) for (s, c), tokens in whole.items() for b, score in ((0, -1.0), (4, 1.0))]
    )
