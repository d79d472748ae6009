"""The fragments of some sequences, as the index of their shards has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Fragments:
    """Of some sequences: fragments of each int64[n], and in order their lengths uint32[f] and SEGMENT records [f].

    `offsets` int64[f]: the position of each fragment's first id in its document; None unless it was asked for.
    """

    counts: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    records: NDArray[np.void]
    offsets: NDArray[np.int64] | None = None

    def take(self, order: NDArray[np.int64]) -> Fragments:
        """The same sequences, with these of the fragments in this order."""
        offsets = None if self.offsets is None else self.offsets[order]
        return Fragments(self.counts, self.lengths[order], self.records[order], offsets)
