"""Long documents in pieces of about 2,000 characters, cut between paragraphs where that is possible.

Scored as a whole, a long document is judged by a bag of everything; scored by its beginning, by 4 KB of a book.
The length-weighted mean over pieces was best (reference §3.4: topic macro-F1 0.752, whole 0.744, lead 0.647).
Documents of more than MOST pieces are sampled: see `chosen`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curation.text.arrow import text_buffers
from curation.text.kernel import cached_kernel

CHARACTERS = 2_000  # of a piece; a document of up to 1.5 times as many stays whole
MOST = 64  # pieces that are scored of one document
VERSION = 1

_LINE, _SPACE = 0x0A, 0x20


@dataclass(frozen=True)
class Chunks:
    """Pieces of n documents, in their order.

    texts: m pieces; document: int64[m], which of the n each belongs to (never falling); weight: float64[m],
    bytes of the document that the piece stands for; first: int64[n], a document's first piece.
    Every document has a piece, an empty one an empty piece.
    """

    texts: pa.LargeStringArray
    document: NDArray[np.int64]
    weight: NDArray[np.float64]
    first: NDArray[np.int64]


def chunk(texts: pa.LargeStringArray, characters: int = CHARACTERS, most: int = MOST) -> Chunks:
    """The pieces of every text; a null counts as empty."""
    offsets, data = text_buffers(texts.fill_null("") if texts.null_count else texts)
    if not len(texts):
        empty = np.zeros(0, np.int64)
        return Chunks(pa.array([], pa.large_string()), empty, empty.astype(np.float64), empty)
    room = 2 * int(offsets[-1] - offsets[0]) // characters + len(texts)  # a cut piece has half the characters at least
    starts, counts = np.empty(room, np.int64), np.empty(len(texts), np.int64)
    starts = starts[: cut(offsets, data, characters, starts, counts)]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    ends = np.append(starts[1:], offsets[-1])
    document = np.repeat(np.arange(len(texts)), counts)
    weight = (ends - starts).astype(np.float64)
    if not (counts > most).any():
        whole = pa.LargeStringArray.from_buffers(
            len(starts), pa.py_buffer(np.append(starts, offsets[-1])), pa.py_buffer(data)
        )
        return Chunks(whole, document, weight, first)
    parts, shares = [], []
    for one, number in zip(first.tolist(), counts.tolist(), strict=True):
        pieces = slice(one, one + number)
        if number <= most:
            parts.append(np.arange(one, one + number))
            shares.append(weight[pieces])
        else:
            picked, share = chosen(data, starts[pieces], int(ends[one + number - 1]), most)
            parts.append(one + picked)
            shares.append(share)
    kept = np.concatenate(parts)
    picked_counts = np.array([len(part) for part in parts])
    return Chunks(
        _gathered(data, starts[kept], ends[kept]),
        np.repeat(np.arange(len(texts)), picked_counts),
        np.concatenate(shares),
        np.concatenate([[0], np.cumsum(picked_counts)[:-1]]),
    )


def chosen(
    data: NDArray[np.uint8], starts: NDArray[np.int64], end: int, most: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(pieces, the bytes each stands for) of one document: a random byte in each of `most` equal parts of it.

    A piece is thus chosen with a probability in proportion to its length and stands for a part's length, so the
    weighted mean is unbiased for the mean over all pieces.  The random bytes are a function of the text's length
    and of its first and last 4,096 bytes only: the same text gives the same pieces everywhere.
    """
    begin = int(starts[0])
    length = end - begin
    state = xxhash.xxh3_64(data[begin : min(begin + 4096, end)].tobytes())
    state.update(data[max(begin, end - 4096) : end].tobytes())
    state.update(length.to_bytes(8, "little"))
    seed = state.intdigest()
    uniform = np.array([xxhash.xxh3_64_intdigest(k.to_bytes(4, "little"), seed) for k in range(most)]) / 2.0**64
    at = begin + np.floor((np.arange(most) + uniform) * (length / most)).astype(np.int64)
    found = np.searchsorted(starts, np.minimum(at, end - 1), side="right") - 1
    pieces, times = np.unique(found, return_counts=True)
    return pieces.astype(np.int64), (times * (length / most)).astype(np.float64)


def _gathered(data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> pa.LargeStringArray:
    view = memoryview(data.data)
    joined = b"".join([view[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)])
    offsets = np.concatenate([[0], np.cumsum(ends - starts)])
    return pa.LargeStringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(joined))


def _cut(offsets, data, characters, starts, counts):  # type: ignore[no-untyped-def]
    """Fill `starts` with the first byte of every piece and `counts` with the pieces of each text; their number.

    A piece ends at the last break of the best kind among its characters `characters`/2 … `characters`: after an
    empty line, else after a line, else after a space, else anywhere between two characters.  What remains stays
    whole once it has at most 1.5 times as many.
    """
    found = 0
    for text in range(len(counts)):
        begin, end = offsets[text], offsets[text + 1]
        before = found
        starts[found] = begin
        found += 1
        while 2 * (end - begin) > 3 * characters:
            seen = 0
            at = begin
            best = begin
            kind = 0
            while at < end and seen <= 3 * characters // 2:
                byte = data[at]
                if byte & 0xC0 != 0x80:  # a character begins here, so a piece may end here
                    if characters // 2 <= seen <= characters and at > begin:
                        last = data[at - 1]
                        rank = 1
                        if last == _LINE:
                            rank = 4 if at - begin > 1 and data[at - 2] == _LINE else 3
                        elif last == _SPACE:
                            rank = 2
                        if rank >= kind:
                            kind = rank
                            best = at
                    seen += 1
                at += 1
            if seen <= 3 * characters // 2 or best == begin:
                break
            begin = best
            starts[found] = begin
            found += 1
        counts[text] = found - before
    return found


cut = cached_kernel(_cut)


def cut_reference(text: str, characters: int = CHARACTERS) -> list[str]:
    """What `chunk` makes of one text of which no piece is left out."""
    pieces = []
    while len(text) > 3 * characters // 2:
        places = range(max(characters // 2, 1), characters + 1)

        def rank(at: int, text: str = text) -> int:
            last = text[:at]
            return 4 if last.endswith("\n\n") else 3 if last.endswith("\n") else 2 if last.endswith(" ") else 1

        best = max(places, key=lambda at: (rank(at), at))
        pieces.append(text[:best])
        text = text[best:]
    return [*pieces, text]
