"""How a tokenizer cuts the words of each document: one pass over text bytes and ids together.

Flow: `measure` encodes a batch, this module turns (text, ids) into ten integers a document, from which every
ratio of `metrics` is formed.  A *word* here is a letter with all letters and marks that follow it
(`curation.text.character_classes`, one Unicode version pinned).  Letters of scripts written without spaces
(UNSPACED: Han, kana, Thai, Khmer, …) belong to no word: there is no border to ask a tokenizer about, they are
only counted.  Digits, punctuation and white space are no words either.  Source: docs/tokenizer-evaluation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import hashing, seen, utf8
from curation.text.arrow import text_buffers
from curation.text.character_classes import CharacterClass, class_table
from curation.text.hashing import hash_bytes
from curation.text.kernel import cached_kernel, source_digest
from curation.text.seen import MAX_MEMBERS, new_seen, start_set
from curation.text.utf8 import decode

LETTER = np.uint32(CharacterClass.LETTER)
MARK = np.uint32(CharacterClass.MARK)
UNSPACED = np.uint32(CharacterClass.UNSPACED)

# bytes, chars: of the text.  tokens: ids.  words: occurrences.  pieces: tokens that the words are cut into.
# continued: words of two pieces or more.  distinct: different words of the document (the first MAX_MEMBERS
# occurrences are looked at).  whole: those of them that stand in one piece where they first occur.
# unspaced: letters of unspaced scripts.  letters: all other letters.  lossy: 1 where the ids do not spell the text.
FIELDS = (
    "bytes", "chars", "tokens", "words", "pieces", "continued", "distinct", "whole", "unspaced", "letters", "lossy",
)  # fmt: skip
BYTES, CHARS, TOKENS, WORDS, PIECES, CONTINUED, DISTINCT, WHOLE, UNSPACED_LETTERS, LETTERS, LOSSY = range(len(FIELDS))


@dataclass(frozen=True, eq=False)
class TokenBytes:
    """The bytes of ids 0 … n−1: `values[starts[i]:starts[i + 1]]`; uint8[…] and int64[n + 1]."""

    values: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1


def token_bytes(tokens: Sequence[bytes]) -> TokenBytes:
    """The table that the kernel reads."""
    starts = np.zeros(len(tokens) + 1, np.int64)
    np.cumsum([len(token) for token in tokens], out=starts[1:])
    return TokenBytes(np.frombuffer(b"".join(tokens) or b"\0", np.uint8), starts)


def word_pieces(
    texts: pa.LargeStringArray, ids: NDArray[np.uint32], offsets: NDArray[np.int64], tokens: TokenBytes
) -> NDArray[np.int64]:
    """int64[n, 11] in the order of FIELDS for n texts (a null counts as an empty one).

    `ids[offsets[i]:offsets[i + 1]]` are the ids of text i.  A document is lossy where its ids do not spell its
    bytes (a normaliser, a special token); no word of it is counted, since its words cannot be placed.
    """
    starts, buffer = text_buffers(texts)
    ends = starts.copy()
    if texts.null_count:  # slots under nulls may hold bytes
        valid = np.asarray(texts.is_valid())
        starts, ends = starts[:-1], np.where(valid, starts[1:], starts[:-1])
    else:
        starts, ends = starts[:-1], starts[1:]
    out = np.zeros((len(texts), len(FIELDS)), np.int64)
    table = new_seen(int((ends - starts).max(initial=0)) // 2 + 2)
    kernel()(
        buffer, np.ascontiguousarray(starts), np.ascontiguousarray(ends), np.ascontiguousarray(ids, np.uint32),
        np.ascontiguousarray(offsets, np.int64), tokens.values, tokens.starts, class_table(), table, out,
    )  # fmt: skip
    return out


@cache
def kernel() -> Any:
    modules = source_digest(hashing, seen, utf8)

    def pieces_of_documents(buffer, starts, ends, ids, offsets, values, value_starts, classes, table, out):  # type: ignore[no-untyped-def]
        _ = modules
        for document in range(len(starts)):
            counts = out[document]
            start, end = starts[document], ends[document]
            token, last = offsets[document], offsets[document + 1]
            counts[BYTES] = end - start
            counts[TOKENS] = last - token
            at = start
            for k in range(token, last):
                known = ids[k] < len(value_starts) - 1
                length = value_starts[ids[k] + 1] - value_starts[ids[k]] if known else end - start + 1
                if at + length > end:
                    counts[LOSSY] = 1
                    break
                for b in range(length):
                    if buffer[at + b] != values[value_starts[ids[k]] + b]:
                        counts[LOSSY] = 1
                at += length
            if at != end:
                counts[LOSSY] = 1

            start_set(table, min((end - start) // 2 + 1, MAX_MEMBERS))
            base, mask = np.uint64(table.bounds[0]), np.uint64(table.bounds[2])
            token_end = start  # byte after the token before `token`
            i = start
            while i < end:
                c, step = decode(buffer, i, end)
                f = classes[c]
                counts[CHARS] += 1
                j = i + step
                if f & UNSPACED:
                    counts[UNSPACED_LETTERS] += 1
                elif f & LETTER:
                    counts[LETTERS] += 1
                    while j < end:  # the whole word
                        c, step = decode(buffer, j, end)
                        f = classes[c]
                        if f & UNSPACED or not f & (LETTER | MARK):
                            break
                        counts[CHARS] += 1
                        if f & LETTER:
                            counts[LETTERS] += 1
                        j += step
                    if not counts[LOSSY]:
                        while token < last and token_end <= i:
                            token_end += value_starts[ids[token] + 1] - value_starts[ids[token]]
                            token += 1
                        pieces = 1
                        while token < last and token_end < j:
                            token_end += value_starts[ids[token] + 1] - value_starts[ids[token]]
                            token += 1
                            pieces += 1
                        counts[WORDS] += 1
                        counts[PIECES] += pieces
                        counts[CONTINUED] += pieces > 1
                        if counts[WORDS] <= MAX_MEMBERS:
                            value = hash_bytes(buffer, i, j)
                            n, _first = seen.add(table.slots, base, mask, value, counts[WORDS] - 1)
                            counts[DISTINCT] += n == 1
                            counts[WHOLE] += n == 1 and pieces == 1
                i = j

    return cached_kernel(pieces_of_documents)


def word_pieces_reference(text: str, pieces: Sequence[bytes]) -> list[int]:
    """The row of one text whose tokens are `pieces`, in plain Python."""
    table = class_table()
    data = text.encode()
    lossy = b"".join(pieces) != data
    borders: set[int] = set()
    at = 0
    for piece in pieces:
        at += len(piece)
        borders.add(at)
    flags = [int(table[ord(character)]) for character in text]
    counts = [len(data), len(text), len(pieces), 0, 0, 0, 0, 0, 0, 0, int(lossy)]
    counts[UNSPACED_LETTERS] = sum(1 for f in flags if f & int(UNSPACED))
    counts[LETTERS] = sum(1 for f in flags if f & int(LETTER) and not f & int(UNSPACED))
    first: dict[str, int] = {}
    i = 0
    while i < len(text) and not lossy:
        if not flags[i] & int(LETTER) or flags[i] & int(UNSPACED):
            i += 1
            continue
        j = i + 1
        while j < len(text) and flags[j] & int(LETTER | MARK) and not flags[j] & int(UNSPACED):
            j += 1
        low, high = len(text[:i].encode()), len(text[:j].encode())
        cut = 1 + sum(1 for border in borders if low < border < high)
        counts[WORDS] += 1
        counts[PIECES] += cut
        counts[CONTINUED] += cut > 1
        first.setdefault(text[i:j], cut)
        i = j
    counts[DISTINCT], counts[WHOLE] = len(first), sum(1 for cut in first.values() if cut == 1)
    return counts
