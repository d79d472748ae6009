"""Hashed features of texts, for training.

**The weighting that a model is trained on and `scoring.score` computes** (`weighted` is its definition).
Of one document, over the buckets that have a row (`kept`; all where None), words and 4-grams alike:

    value[row] = (1 + ln count[row]) · idf[row]          (idf: 1 where None)
    x[row]     = value[row] / sqrt(sum of value² over the document's rows)
    score      = sum over rows of x[row] · weights[row]

Features without a row count nowhere, not in the norm either: the score is a function of the text and the
model alone.  A document without any known feature has score 0.  Kernel and reference agree to float32 rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import hashing, utf8
from curation.text.arrow import text_buffers
from curation.text.kernel import cached_kernel, source_digest
from quality.features import characters, counters, markers, occurrences, scan, tally
from quality.features.occurrences import HIGH, LOW, ONE, new_workspace
from quality.features.scan import new_tables, scan_document
from quality.features.space import FeatureSpace

BLOCK_BYTES = 1 << 22  # of text between two enlargements of the result


class Csr(NamedTuple):
    """Rows of n documents: `indices` of document d are indptr[d]:indptr[d + 1], ascending and distinct."""

    indptr: NDArray[np.int64]  # [n + 1]
    indices: NDArray[np.int32]  # [nnz] buckets (or rows of a model): words first, 4-grams after
    counts: NDArray[np.float32]  # [nnz] (or weighted values)


def hashed_features(texts: pa.LargeStringArray, space: FeatureSpace) -> Csr:
    """The counts of every feature of every text, by bucket; a null text has none.

    texts: large_string array (may be a slice); TypeError for any other.  Memory: 8 bytes for each
    distinct feature of a document, some 2.5 a character in short texts.
    """
    offsets, buffer = text_buffers(texts)
    valid = np.asarray(texts.is_valid())
    lengths = np.diff(offsets) * valid
    tables, work = new_tables(space), new_workspace(space, int(lengths.max(initial=0)))
    indptr = np.zeros(len(texts) + 1, np.int64)
    parts: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = []
    row = np.zeros(counters.WIDTH, np.int64)
    first = 0
    while first < len(texts):
        ends = np.cumsum(lengths[first:])
        last = first + max(int(np.searchsorted(ends, BLOCK_BYTES, "right")), 1)
        room = int(np.minimum(3 * lengths[first:last] + 1, space.buckets).sum())  # a token, a pair, a 4-gram a byte
        indices, counts = np.empty(room, np.int32), np.empty(room, np.float32)
        n = int(_collect(buffer, offsets, valid, first, last, tables, work, row, indices, counts, indptr))
        document = np.repeat(np.arange(last - first), indptr[first + 1 : last + 1])
        order = np.argsort(document << 32 | indices[:n])
        parts.append((indices[order], counts[order]))
        first = last
    np.cumsum(indptr, out=indptr)
    return Csr(
        indptr,
        np.concatenate([p[0] for p in parts]) if parts else np.empty(0, np.int32),
        np.concatenate([p[1] for p in parts]) if parts else np.empty(0, np.float32),
    )


def weighted(features: Csr, kept: NDArray[np.int32] | None, idf: NDArray[np.float32] | None) -> Csr:
    """The rows x of the module's definition, with `indices` = rows of the model, values float32.

    kept: int32[rows], ascending buckets; idf: float32[rows].
    """
    indptr, indices, counts = features
    documents = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    if kept is not None:
        at = np.searchsorted(kept, indices)
        known = np.zeros(len(indices), bool)
        inside = at < len(kept)
        known[inside] = kept[at[inside]] == indices[inside]
        documents, indices, counts = documents[known], at[known].astype(np.int32), counts[known]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(documents, minlength=len(indptr) - 1))]).astype(np.int64)
    values = 1.0 + np.log(counts.astype(np.float64))
    if idf is not None:
        values *= idf[indices]
    norms = np.sqrt(np.bincount(documents, values * values, minlength=len(indptr) - 1))
    return Csr(indptr, indices, (values / norms[documents]).astype(np.float32))


def known_share(features: Csr, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of each document's occurrences of features whose bucket is known, float64[n]; 0 without any.

    known: bool[buckets].  Scores rest on this part of the text; the kernel gives it as `Scores.known`.
    """
    n = len(features.indptr) - 1
    document = np.repeat(np.arange(n), np.diff(features.indptr))
    counts = features.counts.astype(np.float64)
    found = np.bincount(document, counts * known[features.indices], minlength=n)
    return np.asarray(found / np.maximum(np.bincount(document, counts, minlength=n), 1.0))


def document_frequency(features: Csr, space: FeatureSpace) -> NDArray[np.int64]:
    """Documents that each bucket occurs in: int64[buckets].  `kept = np.flatnonzero(df >= n).astype(np.int32)`."""
    return np.bincount(features.indices, minlength=space.buckets)


def _build_collect(digest: int) -> Any:
    def collect_batch(buffer, offsets, valid, first, last, tables, work, row, indices, counts, indptr):  # type: ignore[no-untyped-def]
        n = 0
        for d in range(first, last):
            if not valid[d]:
                continue
            found = scan_document(buffer, offsets[d], offsets[d + 1], tables, work, row)
            for k in range(found):
                slot = np.uint64(work.touched[k])
                entry = work.table[slot]
                work.table[slot] = 0
                indices[n] = (entry >> HIGH) - ONE
                counts[n] = entry & LOW
                n += 1
            indptr[d + 1] = found
        return n + 0 * digest  # closed over, so that a changed helper changes the cache key

    return cached_kernel(collect_batch)


_collect = _build_collect(source_digest(hashing, utf8, characters, counters, markers, occurrences, scan, tally))
