"""Whether two documents are near-duplicates, from their distinct shingles alone: exact, never estimated.

For the shingle sets A and B: Jaccard = |A ∩ B| / |A ∪ B|, containment = |A ∩ B| / min(|A|, |B|).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.text.kernel import cached_kernel


@dataclass(frozen=True, slots=True)
class Scores:
    """What two shingle sets have in common."""

    jaccard: float
    containment: float  # of the shorter in the longer


def compare(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> Scores:
    """Scores of two sorted arrays of distinct hashes, neither empty."""
    common = int(_common(a, b))
    return Scores(common / (len(a) + len(b) - common), common / min(len(a), len(b)))


def _build_common(sources: int) -> Any:
    def count_common(a, b):  # type: ignore[no-untyped-def]
        """How many values two sorted arrays without repetitions share."""
        i, j, count = 0, 0, 0 if sources >= 0 else -1
        while i < len(a) and j < len(b):
            x, y = a[i], b[j]
            count += x == y
            i += x <= y
            j += y <= x
        return count

    return cached_kernel(count_common)


_common = _build_common(0)
