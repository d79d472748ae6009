"""MinHash signatures: from a document's distinct shingle hashes to one key a band.

Permutation k maps a 32-bit shingle hash x to a_k·x + b_k mod 2^32 with odd a_k; the minimum over the
document is one row of its signature (Broder 1997), and a band's key is a 64-bit hash of its rows and
its number.  Keys are an on-disk format (SKETCH_VERSION), pinned by golden vectors.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.dedup.presets import Banding
from curation.pipeline.hashing import hash64
from curation.text import hashing
from curation.text.hashing import SEED, absorb, absorb_reference, finish, finish_reference
from curation.text.kernel import cached_kernel, source_digest
from curation.text.shingles import Shingles

SKETCH_VERSION = 1
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)
LARGEST = np.uint32(0xFFFF_FFFF)


FIRST, SECOND = "curate minhash permutation", "curate minhash second permutation"  # the seeds


@cache
def permutations(count: int, seed: str = FIRST) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(a, b) of the first `count` permutations, uint32 each; the k-th is the same whatever the count."""
    bits = [hash64(f"{seed} {k}") for k in range(count)]
    a = np.array([value >> 32 | 1 for value in bits], np.uint32)
    return a, np.array([value & 0xFFFF_FFFF for value in bits], np.uint32)


def band_keys(shingles: Shingles, banding: Banding, seed: str = FIRST) -> NDArray[np.uint64]:
    """uint64[documents, bands]; the keys of a document without shingles mean nothing."""
    values, ends = shingles
    a, b = permutations(banding.permutations, seed)
    minima = np.empty(banding.permutations, np.uint32)
    keys = np.empty((len(ends), banding.bands), np.uint64)
    _sketch(values, ends, a, b, banding.rows, minima, keys)
    return keys


def band_keys_reference(values: list[int], banding: Banding) -> list[int]:
    """The keys of one document, in plain Python."""
    a, b = (array.tolist() for array in permutations(banding.permutations))
    minima = [min((p * x + q) % (1 << 32) for x in values) for p, q in zip(a, b, strict=True)]
    keys = []
    for band in range(banding.bands):
        state = absorb_reference(int(SEED), band)
        for row in range(banding.rows):
            state = absorb_reference(state, minima[band * banding.rows + row])
        keys.append(finish_reference(state))
    return keys


def _build_sketch(sources: int) -> Any:
    """The kernel; closing over `sources` makes the digest part of the machine code's cache key."""

    def sketch_documents(values, ends, a, b, rows, minima, keys):  # type: ignore[no-untyped-def]
        """Fill keys; `minima` is scratch of one signature."""
        start = 0 if sources >= 0 else -1
        for d in range(len(ends)):
            for k in range(len(minima)):
                minima[k] = LARGEST
            part = values[start : ends[d]]
            whole = np.uint64(len(part)) & ~np.uint64(3)
            for i in range(np.uint64(0), whole, np.uint64(4)):
                x0, x1, x2, x3 = part[i], part[i + ONE], part[i + TWO], part[i + THREE]
                for k in range(len(minima)):  # the loop that must vectorise: over permutations, four shingles a round
                    p, q = a[k], b[k]
                    least = min(np.uint32(p * x0 + q), np.uint32(p * x1 + q))
                    other = min(np.uint32(p * x2 + q), np.uint32(p * x3 + q))
                    minima[k] = min(minima[k], min(least, other))
            for i in range(whole, np.uint64(len(part))):
                x = part[i]
                for k in range(len(minima)):
                    minima[k] = min(minima[k], np.uint32(a[k] * x + b[k]))
            for band in range(keys.shape[1]):
                state = absorb(SEED, np.uint64(band))
                for k in range(band * rows, (band + 1) * rows):
                    state = absorb(state, np.uint64(minima[k]))
                keys[d, band] = finish(state)
            start = ends[d]

    return cached_kernel(sketch_documents)


_sketch = _build_sketch(source_digest(hashing))
