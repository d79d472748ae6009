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
from packing.loader.segments import Segments

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


def empty_batch(total: int, max_segments: int, next_sequence: int) -> Batch:
    """A batch of T tokens: all that `fill` and the tokens overwrite is uninitialised.

    The large arrays lie in one block, because the C library gives the top of its heap back whenever several large
    pieces are freed, and page faults of the next batch cost more than filling it (two arrays of 256 KiB: 180 µs
    against 1 µs).
    """
    block = np.empty((), _fields(total, max_segments))
    return Batch(
        tokens=block["tokens"],
        labels=block["labels"],
        position_ids=_counting(0),
        cu_seqlens=block["cu_seqlens"],
        max_seqlen=0,
        loss_mask=block["loss_mask"],
        segment_ids=_counting(0),
        segments=0,
        source=block["source"],
        doc_key=block["doc_key"],
        n_bytes=block["n_bytes"],
        next_sequence=next_sequence,
    )


def fill(batch: Batch, segments: Segments) -> None:
    """Write all that follows from the tokens, which are in place (rows of L, then padding up to T), and the segments.

    Raises LayoutError when there are more segments than the batch has room for.
    """
    tokens, labels, mask = batch["tokens"], batch["labels"], batch["loss_mask"]
    total, count, most = tokens.size, segments.sizes.size, batch["source"].size
    if count > most:
        raise LayoutError(f"a batch has {count} segments, max_segments is {most}; give a larger one")
    columns: tuple[tuple[NDArray[Any], NDArray[Any], int], ...] = (
        (batch["cu_seqlens"], segments.starts, total),
        (batch["source"], segments.source, -1),
        (batch["doc_key"], segments.doc_key, 0),
        (batch["n_bytes"], segments.n_bytes, 0),
    )
    for column, begin, rest in columns:
        column[:count] = begin
        column[count:] = rest
    labels[:-1] = tokens[1:]
    labels[segments.last] = IGNORE
    mask.fill(True)
    mask[segments.last] = False
    for segment in segments.padding:
        first, last = segments.starts[segment], segments.last[segment]
        labels[first:last] = IGNORE
        mask[first:last] = False
    positions = np.repeat(segments.zeros, segments.sizes)
    batch["position_ids"] = np.subtract(_counting(total), positions, out=positions)
    batch["segment_ids"] = np.repeat(_counting(count), segments.sizes)
    batch["segments"] = count
    batch["max_seqlen"] = bucket(segments.longest)


def bucket(longest: int) -> int:
    """The next power of two, at least SHORTEST."""
    return max(SHORTEST, 1 << (longest - 1).bit_length())


@lru_cache(maxsize=8)
def _fields(total: int, max_segments: int) -> np.dtype[np.void]:
    """How the arrays of a batch lie in its block; T is a multiple of 64, and by falling size all are aligned."""
    return np.dtype(
        [
            ("tokens", np.int64, (total,)),
            ("labels", np.int64, (total,)),
            ("doc_key", np.uint64, (max_segments,)),
            ("n_bytes", np.int64, (max_segments,)),
            ("source", np.int32, (max_segments,)),
            ("cu_seqlens", np.int32, (max_segments + 1,)),
            ("loss_mask", np.bool_, (total,)),
        ]
    )


@lru_cache(maxsize=8)
def _counting(size: int) -> NDArray[np.int32]:
    """0 … size - 1, read-only: shared by all batches of this size."""
    values = np.arange(size, dtype=np.int32)
    values.flags.writeable = False
    return values
