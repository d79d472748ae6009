"""One batch in the form that variable-length attention wants: rows laid end to end, boundaries beside them.

Fragments never see each other: `cu_seqlens` for softmax kernels, the same boundaries for linear-attention state
resets, `position_ids` that begin anew, labels that never cross.  Padding is a segment of its own, so that
`cu_seqlens` covers the buffer.  Reference, packing §5; CONTRACTS "Batch".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from packing.layout.manifest import LayoutError

ALIGN = 64  # T is a multiple: what matrix kernels and chunked linear attention divide by
IGNORE = -100  # label without a loss, as torch.nn.functional.cross_entropy has it
SHORTEST = 64  # smallest max_seqlen: below, kernels use one block anyhow


class Batch(TypedDict):
    """T tokens in at most N segments (fragments, and the padding at the end of a row)."""

    tokens: NDArray[np.int64]  # [T]
    labels: NDArray[np.int64]  # [T] the next token, IGNORE at the last token of a fragment and on padding
    position_ids: NDArray[np.int32]  # [T] from 0 in every segment, or the offset within the document
    cu_seqlens: NDArray[np.int32]  # [N + 1] segment i is cu_seqlens[i] … cu_seqlens[i + 1]; filled up with T
    max_seqlen: int  # at least the longest segment: a power of two, so that few kernels are compiled
    loss_mask: NDArray[np.bool_]  # [T] labels != IGNORE
    segment_ids: NDArray[np.int32]  # [T] number of the segment
    segments: int  # of the N, the others are empty
    source: NDArray[np.int32]  # [N] number in manifest.sources; -1 for padding
    doc_key: NDArray[np.uint64]  # [N] 0 for padding
    n_bytes: NDArray[np.int64]  # [N] UTF-8 bytes of the fragment; 0 for padding
    next_sequence: int  # the loader's position after this batch: see PackedLoader.state_after


def padded_tokens(rows: int, sequence_length: int) -> int:
    """T of a batch of so many rows: the next multiple of ALIGN."""
    return -(-rows * sequence_length // ALIGN) * ALIGN


def allocate(total: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_]]:
    """(tokens, labels, position_ids, loss_mask) of T in one block of memory.

    One block, because the C library gives the top of its heap back whenever several large pieces are freed, and
    page faults of the next batch cost more than filling it (two arrays of 256 KiB: 180 µs against 1 µs).
    """
    block = np.empty(total * 21, np.uint8)  # 8 + 8 + 4 + 1 bytes; T is a multiple of 64, so all parts are aligned
    tokens = block[: 8 * total].view(np.int64)
    labels = block[8 * total : 16 * total].view(np.int64)
    positions = block[16 * total : 20 * total].view(np.int32)
    return tokens, labels, positions, block[20 * total :].view(np.bool_)


def build_batch(
    arrays: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_]],
    counts: NDArray[np.int64],
    lengths: NDArray[np.uint32],
    records: NDArray[np.void],
    sequence_length: int,
    max_segments: int,
    offsets: NDArray[np.int64] | None,
    next_sequence: int,
) -> Batch:
    """Fill the batch whose tokens are already in place (rows of L, then padding up to T).

    arrays: of `allocate`, all overwritten but tokens.  counts int64[R]: fragments of each row; lengths [F] in tokens
    and records [F] (SEGMENT) of all rows' fragments.  offsets int64[F]: where each fragment begins in its document,
    for positions that go on there; None: positions restart.  Raises LayoutError when a row's fragments are longer
    than L, or when there are more than max_segments segments.
    """
    tokens, labels, positions, mask = arrays
    total = tokens.size
    sizes, place = segment_sizes(counts, lengths, sequence_length, total)
    segments = sizes.size
    if segments > max_segments:
        raise LayoutError(f"a batch has {segments} segments, max_segments is {max_segments}; give a larger one")
    cu_seqlens = np.full(max_segments + 1, total, np.int32)
    cu_seqlens[0] = 0
    np.cumsum(sizes, out=cu_seqlens[1 : segments + 1])
    ends = cu_seqlens[1 : segments + 1]
    starts = cu_seqlens[:segments]
    source, doc_key, n_bytes = _columns(records, place, max_segments)

    labels[:-1] = tokens[1:]
    labels[ends - 1] = IGNORE
    mask.fill(True)
    mask[ends - 1] = False
    if segments > lengths.size:
        for segment in np.flatnonzero(source[:segments] < 0).tolist():
            labels[starts[segment] : ends[segment]] = IGNORE
            mask[starts[segment] : ends[segment]] = False
    shift = starts
    if offsets is not None:
        shift = starts.astype(np.int64)
        shift[place] -= offsets
    np.subtract(_counting(total), np.repeat(shift, sizes), out=positions, casting="unsafe")
    return Batch(
        tokens=tokens,
        labels=labels,
        position_ids=positions,
        cu_seqlens=cu_seqlens,
        max_seqlen=bucket(int(sizes.max(initial=1))),
        loss_mask=mask,
        segment_ids=np.repeat(_counting(segments), sizes),
        segments=segments,
        source=source,
        doc_key=doc_key,
        n_bytes=n_bytes,
        next_sequence=next_sequence,
    )


def segment_sizes(
    counts: NDArray[np.int64], lengths: NDArray[np.uint32], sequence_length: int, total: int
) -> tuple[NDArray[np.int64], Any]:
    """(length of each segment int64, index of the fragments among the segments).

    A row that its fragments do not fill, and the end of the batch beyond the last row, get a segment of padding.
    Raises LayoutError when fragments are longer than their row.
    """
    rows = counts.size
    ends = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    last = np.cumsum(counts)  # fragments up to the end of each row
    rest = total - rows * sequence_length
    if not rest and (ends[last] == np.arange(1, rows + 1) * sequence_length).all():
        return lengths.astype(np.int64), slice(None)  # no padding at all: nearly every batch of a good packing
    padding = sequence_length - ends[last] + ends[last - counts]
    if padding.min(initial=0) < 0:
        row = int(padding.argmin())
        raise LayoutError(
            f"row {row} of a batch has fragments of {sequence_length - padding[row]} tokens in {sequence_length}: the "
            "fragment index is damaged; `curate shards verify` names the file"
        )
    padded = padding > 0
    before = np.cumsum(padded)
    place = np.arange(lengths.size) + np.repeat(before - padded, counts)
    sizes = np.empty(lengths.size + int(before[-1] if before.size else 0) + (rest > 0), np.int64)
    sizes[place] = lengths
    sizes[(last + before - 1)[padded]] = padding[padded]
    if rest:
        sizes[-1] = rest
    return sizes, place


def bucket(longest: int) -> int:
    """The next power of two, at least SHORTEST."""
    return max(SHORTEST, 1 << (longest - 1).bit_length())


def _columns(
    records: NDArray[np.void], place: Any, size: int
) -> tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.int64]]:
    """(source, doc_key, n_bytes) of `size` segments, with the records at `place`."""
    source = np.full(size, -1, np.int32)
    doc_key = np.zeros(size, np.uint64)
    n_bytes = np.zeros(size, np.int64)
    at = slice(0, records.size) if isinstance(place, slice) else place
    source[at] = records["source"]
    doc_key[at] = records["doc_key"]
    n_bytes[at] = records["n_bytes"]
    return source, doc_key, n_bytes


@lru_cache(maxsize=8)
def _counting(size: int) -> NDArray[np.int32]:
    """0 … size - 1, read-only: shared by all batches of this size."""
    values = np.arange(size, dtype=np.int32)
    values.flags.writeable = False
    return values
