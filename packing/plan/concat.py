"""Concatenate and chop: all documents end to end, cut every L tokens.  For comparison: it cuts what would fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from packing.layout.files import FIRST, LAST
from packing.plan.cut import Fragments, checked_lengths


def concatenate(lengths: NDArray[np.int64], L: int, begin: int = 0) -> tuple[Fragments, NDArray[np.int64]]:
    """Fragments of the documents laid end to end from token `begin` of sequence 0 on, and the sequence of each."""
    sizes = checked_lengths(lengths, L)
    ends = begin + np.cumsum(sizes)
    starts = ends - sizes
    pieces = (ends - 1) // L - starts // L + 1
    doc = np.repeat(np.arange(sizes.size), pieces)
    number = np.arange(doc.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    bins = starts[doc] // L + number
    left = np.maximum(starts[doc], bins * L)
    right = np.minimum(ends[doc], (bins + 1) * L)
    flags = np.where(left == starts[doc], FIRST, 0) | np.where(right == ends[doc], LAST, 0)
    return Fragments(doc, left - starts[doc], right - left, flags.astype(np.uint8)), bins
