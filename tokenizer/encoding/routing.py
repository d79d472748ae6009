"""An engine with its guard: rows on which it may differ from Hugging Face's `tokenizers` go there instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenizer.encoding.engines import Encode, Engine, Ids
from tokenizer.encoding.risk import RiskyRows


@dataclass(frozen=True)
class Routed:
    """`risky`: rows with a code point that the engine knows otherwise than the reference does."""

    engine: Engine
    risky: RiskyRows
    reference: Encode

    def rows_for_reference(self, texts: pa.LargeStringArray) -> NDArray[np.bool_]:
        """bool per row."""
        rows = self.risky(texts)
        return rows if self.engine.refuses is None else rows | self.engine.refuses(texts)

    def encode(self, texts: pa.LargeStringArray, rows: NDArray[np.bool_] | None = None) -> Ids:
        """All rows, in order.  `texts`: valid UTF-8 without nulls; `rows`: their `rows_for_reference`, if known."""
        rows = self.rows_for_reference(texts) if rows is None else rows
        if not rows.any():
            return self.engine.encode(texts)
        if rows.all():
            return self.reference(texts)
        mask = pa.array(rows)
        return interleave(rows, self.engine.encode(texts.filter(pa.array(~rows))), self.reference(texts.filter(mask)))


def interleave(rows: NDArray[np.bool_], others: Ids, these: Ids) -> Ids:
    """The ids of all rows in order, from those of the rows that are set (`these`) and those that are not."""
    lengths = np.empty(len(rows), np.int64)
    lengths[~rows], lengths[rows] = np.diff(others[1]), np.diff(these[1])
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    ids = np.empty(int(offsets[-1]), np.uint32)
    of_these = np.repeat(rows, lengths)
    ids[of_these], ids[~of_these] = these[0], others[0]
    return ids, offsets
