"""Which buckets a text's features fall into, and which of them a model keeps as rows.

Words and pairs of neighbouring words share 2^word_bits buckets; character 4-grams have 2^char_bits
after them.  A model keeps the buckets that its training saw: `kept`, ascending, one row each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEATURE_VERSION = 1  # raised whenever any text would get another bucket, count or statistic


@dataclass(frozen=True)
class FeatureSpace:
    """The size of the hash space and the version of the features; stored with every model."""

    word_bits: int = 20
    char_bits: int = 18
    version: int = FEATURE_VERSION

    def __post_init__(self) -> None:
        for name, bits in (("word_bits", self.word_bits), ("char_bits", self.char_bits)):
            if not 6 <= bits <= 24:
                raise ValueError(f"{name} must be between 6 and 24, not {bits}")
        if self.version != FEATURE_VERSION:
            raise ValueError(f"features of version {self.version}; this program computes version {FEATURE_VERSION}")

    @property
    def word_buckets(self) -> int:
        return 1 << self.word_bits

    @property
    def char_buckets(self) -> int:
        return 1 << self.char_bits

    @property
    def buckets(self) -> int:
        """All of them: words first, 4-grams after."""
        return self.word_buckets + self.char_buckets


class RowIndex(NamedTuple):
    """Row of a bucket: a bit per bucket and the rows before each 64 buckets (240 KB at the default sizes).

    A table of int32 by bucket would be 5 MB, more than the second-level cache holds.
    """

    bits: NDArray[np.uint64]  # [buckets / 64]
    before: NDArray[np.int32]  # [buckets / 64]
    rows: int

    @classmethod
    def of(cls, space: FeatureSpace, kept: NDArray[np.int32] | None = None) -> RowIndex:
        """Rows for the buckets in `kept` (ascending, distinct), or for all; raises ValueError for another order."""
        if kept is None:
            kept = np.arange(space.buckets, dtype=np.int32)
        if len(kept) and (kept[0] < 0 or kept[-1] >= space.buckets or np.any(np.diff(kept) <= 0)):
            raise ValueError(f"kept buckets must be ascending, distinct and below {space.buckets}")
        bits = np.zeros(space.buckets // 64, np.uint64)
        np.bitwise_or.at(bits, kept >> 6, np.uint64(1) << (kept & 63).astype(np.uint64))
        counts = np.bitwise_count(bits).astype(np.int32)
        before = np.cumsum(counts, dtype=np.int32) - counts
        return cls(bits, before, len(kept))
