"""Whether two documents are near-duplicates, from their distinct shingles alone: exact, never estimated.

For the shingle sets A and B: Jaccard = |A ∩ B| / |A ∪ B|, containment = |A ∩ B| / min(|A|, |B|).
"""

from __future__ import annotations

from curation.text.kernel import kernel_function


@kernel_function
def count_common(a, b):  # type: ignore[no-untyped-def]
    """How many values two sorted arrays without repetitions share."""
    i, j, count = 0, 0, 0
    while i < len(a) and j < len(b):
        x, y = a[i], b[j]
        count += x == y
        i += x <= y
        j += y <= x
    return count


def count_common_reference(a: list[int], b: list[int]) -> int:
    """The same in plain Python."""
    return len(set(a) & set(b))
