"""All heads of a model in one pass over the text, with the style statistics from the same pass.

The score is defined in `hashing.py`.  Each row of the model is read once per document that has it: the
rows touched are listed while the text is scanned, then weighted in the order of their first
occurrence, tokens before 4-grams; so a score depends on nothing but the text and the model.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import hashing, utf8
from curation.text.arrow import text_buffers
from curation.text.kernel import cached_kernel, kernel_function, source_digest
from quality.features import characters, counters, markers, occurrences, scan, tally
from quality.features.occurrences import HIGH, LOW, LOW_SIX, ONE, SIX, new_workspace
from quality.features.scan import new_tables, scan_document
from quality.features.space import FeatureSpace, RowIndex
from quality.features.style import STYLE_NAMES, Counters, style_of

BLOCK_DOCUMENTS = 1024  # counters of so many are held at a time
LOGARITHMS = 256  # counts whose logarithm is looked up


class Scores(NamedTuple):
    scores: NDArray[np.float32]  # [n, k]
    style: NDArray[np.float64]  # [n, len(STYLE_NAMES)]
    known: NDArray[np.float64]  # [n] share of the occurrences of features that have a row (hashing.known_share)


class Scorer:
    """A model's linear part, laid out for the kernel once; may be used by several threads at a time.

    kept: int32[rows], ascending buckets, None for all of them; weights: float32[rows, k]; idf: float32[rows], None
    for 1.  Raises ValueError when the lengths disagree.
    """

    def __init__(
        self,
        space: FeatureSpace,
        weights: NDArray[np.float32],
        idf: NDArray[np.float32] | None = None,
        kept: NDArray[np.int32] | None = None,
    ) -> None:
        index = RowIndex.of(space, kept)
        if weights.ndim != 2 or len(weights) != index.rows or (idf is not None and idf.shape != (index.rows,)):
            raise ValueError(f"weights and idf must have {index.rows} rows, one for each kept bucket")
        factors = np.ones(index.rows + 1, np.float32)  # one more: the kernel reads it for features without a row
        if idf is not None:
            factors[:-1] = idf
        logs = (1.0 + np.log(np.maximum(np.arange(LOGARITHMS), 1))).astype(np.float32)
        self.space, self.heads, self.tables = space, weights.shape[1], new_tables(space)
        self.model = Model(index.bits, index.before, factors, logs, np.ascontiguousarray(weights, np.float32))

    def run(
        self, texts: pa.LargeStringArray, scores: NDArray[np.float32], known: NDArray[np.float64], table: Counters
    ) -> None:
        """Add what `Scores` holds and the counters of n texts to arrays of zeros; table: int64[n, counters.WIDTH].

        A null counts as an empty text.  Memory beside the arguments: 16 bytes for each slot of the longest
        text's table, at most 34 MB at the default sizes.
        """
        offsets, buffer = text_buffers(texts)
        work = new_workspace(self.space, int(np.diff(offsets).max(initial=0)))
        values = np.empty(len(work.touched), np.float32)
        valid = np.asarray(texts.is_valid())
        _score(buffer, offsets, valid, self.tables, work, self.model, values, table, scores, known)

    def score_and_style(self, texts: pa.LargeStringArray) -> Scores:
        """Scores of every head and the style statistics of n texts; TypeError for any other array of texts."""
        scores = np.zeros((len(texts), self.heads), np.float32)
        style = np.empty((len(texts), len(STYLE_NAMES)), np.float64)
        known = np.zeros(len(texts), np.float64)
        for first in range(0, len(texts), BLOCK_DOCUMENTS):
            block = texts.slice(first, BLOCK_DOCUMENTS)
            rows = slice(first, first + len(block))
            table = np.zeros((len(block), counters.WIDTH), np.int64)
            self.run(block, scores[rows], known[rows], table)
            style[rows] = style_of(table)
        return Scores(scores, style, known)


def score_and_style(
    texts: pa.LargeStringArray,
    space: FeatureSpace,
    weights: NDArray[np.float32],
    idf: NDArray[np.float32] | None = None,
    kept: NDArray[np.int32] | None = None,
) -> Scores:
    """Both of n texts in one pass: see `Scorer`, which spares repeated calls the preparation."""
    return Scorer(space, weights, idf, kept).score_and_style(texts)


def score(
    texts: pa.LargeStringArray,
    space: FeatureSpace,
    weights: NDArray[np.float32],
    idf: NDArray[np.float32] | None = None,
    kept: NDArray[np.int32] | None = None,
) -> NDArray[np.float32]:
    """The scores alone, float32[n, k]: see `Scorer`."""
    return score_and_style(texts, space, weights, idf, kept).scores


def style_features(texts: pa.LargeStringArray) -> NDArray[np.float64]:
    """The style statistics alone, float64[n, len(STYLE_NAMES)]: the same pass with a model without rows."""
    return _without_rows().score_and_style(texts).style


def count(texts: pa.LargeStringArray) -> Counters:
    """The counters behind the style statistics, int64[n, counters.WIDTH]."""
    table = np.zeros((len(texts), counters.WIDTH), np.int64)
    _without_rows().run(texts, np.zeros((len(texts), 0), np.float32), np.zeros(len(texts)), table)
    return table


def _without_rows() -> Scorer:
    return Scorer(FeatureSpace(6, 6), np.zeros((0, 0), np.float32), kept=np.empty(0, np.int32))


class Model(NamedTuple):
    """What the kernel reads of a model of r rows and k heads."""

    bits: NDArray[np.uint64]  # space.RowIndex
    before: NDArray[np.int32]
    idf: NDArray[np.float32]  # [r + 1]
    logs: NDArray[np.float32]  # [LOGARITHMS] 1 + ln of a count
    weights: NDArray[np.float32]  # [r, k]


@kernel_function
def count_bits(x):  # type: ignore[no-untyped-def]
    """Bits set in a uint64 (LLVM knows the idiom as one instruction)."""
    x = x - ((x >> ONE) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


def _build_score(digest: int) -> Any:
    def score_batch(buffer, offsets, valid, tables, work, model, values, table, scores, shares):  # type: ignore[no-untyped-def]
        bits, before, idf, logs, weights = model
        touched = work.touched
        for d in range(len(valid)):
            if not valid[d]:
                continue
            found = scan_document(buffer, offsets[d], offsets[d + 1], tables, work, table[d])
            squares, known = 0.0, 0
            occurrences, with_row = np.uint64(0), np.uint64(0)
            for k in range(found):  # without branches: whether a feature is known cannot be foretold
                slot = np.uint64(touched[k])
                entry = work.table[slot]
                work.table[slot] = 0
                bucket, count = (entry >> HIGH) - ONE, entry & LOW
                block = bits[bucket >> SIX]
                place = bucket & LOW_SIX
                row = np.uint64(before[bucket >> SIX]) + count_bits(block & ((ONE << place) - ONE))
                bit = (block >> place) & ONE
                value = (logs[count] if count < len(logs) else np.float32(1.0 + math.log(count))) * idf[row]
                touched[known], values[known] = row, value
                known += bit
                squares += np.float64(value) * value * bit
                occurrences += count
                with_row += count * bit
            shares[d] = with_row / max(occurrences, ONE)
            out = scores[d]
            k = 0
            while k + 4 <= known:
                a, b = weights[np.uint64(touched[k])], weights[np.uint64(touched[k + 1])]
                c, e = weights[np.uint64(touched[k + 2])], weights[np.uint64(touched[k + 3])]
                va, vb, vc, ve = values[k], values[k + 1], values[k + 2], values[k + 3]
                for j in range(len(out)):
                    out[j] += (va * a[j] + vb * b[j]) + (vc * c[j] + ve * e[j])
                k += 4
            while k < known:
                a, va = weights[np.uint64(touched[k])], values[k]
                for j in range(len(out)):
                    out[j] += va * a[j]
                k += 1
            if squares > 0.0:
                norm = np.float32(1.0 / math.sqrt(squares))
                for j in range(len(out)):
                    out[j] *= norm
        return digest  # closed over, so that a changed helper changes the cache key

    return cached_kernel(score_batch)


_score = _build_score(source_digest(hashing, utf8, characters, counters, markers, occurrences, scan, tally))
