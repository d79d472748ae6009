"""The segments of batches: fragments, and padding where they do not fill their row.

They are laid out for many batches at once: a batch has some fifty of them, and fifty calls of numpy for each batch
would take longer than writing its tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from packing.layout.manifest import LayoutError
from packing.loader.fragments import Fragments


class Segments(NamedTuple):
    """The s segments of one batch, in order; tokens are counted from the batch's begin."""

    sizes: NDArray[np.int64]  # [s] tokens
    starts: NDArray[np.int32]  # [s] first token
    last: NDArray[np.int64]  # [s] last token
    zeros: NDArray[np.int32]  # [s] token that would have position 0: the first, or one before it where positions go on
    source: NDArray[np.int32]  # [s] -1 for padding
    doc_key: NDArray[np.uint64]  # [s] 0 for padding
    n_bytes: NDArray[np.int64]  # [s] 0 for padding
    padding: list[int]  # which of them are padding
    longest: int


def lay_out(fragments: Fragments, rows: int, sequence_length: int, total: int) -> list[Segments]:
    """Segments of the batches of `rows` rows each, at least one, that the fragments belong to.

    A batch has T = `total` tokens; what its rows do not fill is a segment of padding at its end.
    Raises LayoutError when fragments are longer than their row.
    """
    batches = fragments.counts.size // rows
    counts = fragments.counts.reshape(batches, rows)
    capacity = np.full(counts.shape, sequence_length)
    if rest := total - rows * sequence_length:  # a row of its own, without fragments
        counts = np.concatenate([counts, np.zeros((batches, 1), np.int64)], axis=1)
        capacity = np.concatenate([capacity, np.full((batches, 1), rest)], axis=1)
    sizes, place = segment_sizes(counts.reshape(-1), fragments.lengths, capacity.reshape(-1))
    ends = np.cumsum(sizes)
    bounds = np.searchsorted(ends, np.arange(batches + 1) * total, "right")
    ends -= np.repeat(np.arange(batches) * total, np.diff(bounds))
    starts = (ends - sizes).astype(np.int32)
    zeros = starts
    if fragments.offsets is not None:
        zeros = starts.copy()
        zeros[place] = starts[place] - fragments.offsets
    source = np.full(sizes.size, -1, np.int32)
    doc_key, n_bytes = np.zeros(sizes.size, np.uint64), np.zeros(sizes.size, np.int64)
    source[place] = fragments.records["source"]
    doc_key[place] = fragments.records["doc_key"]
    n_bytes[place] = fragments.records["n_bytes"]
    last = ends - 1
    longest = np.maximum.reduceat(sizes, bounds[:-1]).tolist()
    padded = sizes.size > fragments.lengths.size
    made = []
    for batch, (first, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        one = slice(first, end)
        made.append(
            Segments(
                sizes[one],
                starts[one],
                last[one],
                zeros[one],
                source[one],
                doc_key[one],
                n_bytes[one],
                np.flatnonzero(source[one] < 0).tolist() if padded else [],
                longest[batch],
            )
        )
    return made


def segment_sizes(
    counts: NDArray[np.int64], lengths: NDArray[np.uint32], capacity: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Any]:
    """(length of each segment int64, index of the fragments among the segments).

    counts int64[R]: fragments of each row, lengths [F] in tokens, capacity int64[R]: tokens of each row.  A row that
    its fragments do not fill gets a segment of padding.  Raises LayoutError when fragments are longer than their row.
    """
    ends = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    last = np.cumsum(counts)  # fragments up to the end of each row
    padding = capacity - ends[last] + ends[last - counts]
    if padding.min(initial=0) < 0:
        row = int(padding.argmin())
        raise LayoutError(
            f"a row has fragments of {capacity[row] - padding[row]} tokens in {capacity[row]}: the fragment index is "
            "damaged; `curate shards verify` names the file"
        )
    if not padding.any():  # nearly every batch of a good packing
        return lengths.astype(np.int64), slice(None)
    padded = padding > 0
    before = np.cumsum(padded)
    place = np.arange(lengths.size) + np.repeat(before - padded, counts)
    sizes = np.empty(lengths.size + int(before[-1]), np.int64)
    sizes[place] = lengths
    sizes[(last + before - 1)[padded]] = padding[padded]
    return sizes, place
