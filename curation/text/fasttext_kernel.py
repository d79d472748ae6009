"""fastText prediction over Arrow buffers: the rows of a text's words and n-grams, their mean, the best label.

Additions, roundings and tie-breaks happen in fastText's own order, in float32, so label and score
are those of the library to the last bit (of a build without fused multiply-add) and cannot depend on
batches, on the order of documents or on the word cache, which remembers the *row numbers* of a word.
Source: facebookresearch/fastText, src/dictionary.cc (getLine), src/model.cc, src/loss.cc.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import fasttext_lookup, fasttext_rows, hashing
from curation.text.arrow import text_buffers
from curation.text.fasttext_rows import CACHED_ROWS, PENDING_ROWS, push_text
from curation.text.kernel import cached_kernel, kernel_function, source_digest

HIERARCHICAL_SOFTMAX, NEGATIVE_SAMPLING, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4  # loss_name in src/args.h
CACHED_WORDS = 1 << 15  # words remembered in a batch, at most
NO_LABEL = -1


class Buckets(NamedTuple):
    """Where the n-gram of a hash stands in the rows."""

    total: int
    first_row: int
    pruned: bool  # the fields below are empty in a model that is not
    bits: NDArray[np.uint64]  # which buckets are kept
    before: NDArray[np.int32]  # how many are kept before each 64 buckets
    rows: NDArray[np.int32]  # of the kept buckets, in their order


class Tables(NamedTuple):
    """A model as the kernel reads it: d dimensions, w words, l labels."""

    rows: NDArray[np.float32]  # (w + n-gram rows, d), dequantised
    output: NDArray[np.float32]  # hierarchical softmax: (l, d), row of a tree node; else transposed (d, l)
    output_norm: NDArray[np.float32]  # (l,), 1 where the output matrix has no norms of its own
    left: NDArray[np.int32]  # (2 l - 1,) Huffman tree, -1 at a leaf; empty for other losses
    right: NDArray[np.int32]
    entry_bytes: NDArray[np.uint8]  # words, then labels
    entry_starts: NDArray[np.int64]  # (w + l + 1,)
    word_slots: NDArray[np.int32]
    buckets: Buckets
    words: int
    min_n: int
    max_n: int
    word_ngrams: int
    loss: int


class Cache(NamedTuple):
    """Words of this batch and their rows, one word a slot; the newest stays.

    A word of up to eight bytes is its own key (NUL is a space, so zeros pad it without ambiguity); a
    longer one is known by its hash and compared byte by byte with the place where it stood.
    """

    words: NDArray[np.int64]  # (slots, 4): key, length, place in the batch's bytes, count of rows or IS_LABEL
    rows: NDArray[np.int32]  # (slots, CACHED_ROWS)


class Workspace(NamedTuple):
    """Arrays that one text after the other is computed in."""

    hidden: NDArray[np.float32]  # (d,)
    pending: NDArray[np.int32]  # row numbers still to be added
    added: NDArray[np.int64]  # (1,) how many rows of the text have been added
    padded: NDArray[np.uint8]  # `<word>`
    fnv: NDArray[np.uint32]  # hashes of the text's words, for word n-grams
    scores: NDArray[np.float32]  # (l + 1,) of labels, or of nodes still to be visited
    nodes: NDArray[np.int32]  # (l + 1,)


@kernel_function
def std_log(x):  # type: ignore[no-untyped-def]
    """fastText's log; it is above 0 for x near 1, so scores reach 1.00001."""
    return np.float32(math.log(np.float64(x) + 1e-5))


@kernel_function
def best_leaf(tables, work):  # type: ignore[no-untyped-def]
    """(label, log score) by the depth-first search of HierarchicalSoftmaxLoss::dfs, left before right."""
    labels = tables.output.shape[0]
    lowest = std_log(np.float32(0.0))
    label, best = np.int64(NO_LABEL), np.float32(-np.inf)
    nodes, scores = work.nodes, work.scores
    nodes[0], scores[0], depth = np.int32(2 * labels - 2), np.float32(0.0), 1
    while depth > 0:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score < lowest or not score >= best:
            continue
        if tables.left[node] < 0:
            label, best = np.int64(node), score
            continue
        total = np.float32(0.0)
        row = node - labels
        for c in range(work.hidden.shape[0]):
            total += work.hidden[c] * tables.output[row, c]
        total *= tables.output_norm[row]
        f = np.float32(1.0 / np.float64(np.float32(1.0) + np.float32(math.exp(-total))))
        nodes[depth], scores[depth] = tables.right[node], score + std_log(f)
        nodes[depth + 1], scores[depth + 1] = tables.left[node], score + std_log(np.float32(1.0 - np.float64(f)))
        depth += 2
    return label, best


@kernel_function
def sigmoid(x):  # type: ignore[no-untyped-def]
    """Entry of fastText's table of 513 sigmoids between -8 and 8; NaN gives 0."""
    if x > np.float32(8.0):
        return np.float32(1.0)
    if not x >= np.float32(-8.0):
        return np.float32(0.0)
    i = np.int64((x + np.float32(8.0)) * np.float32(32.0))
    at = np.float32(i * 16) / np.float32(512.0) - np.float32(8.0)
    return np.float32(1.0 / (1.0 + np.float64(np.float32(math.exp(-at)))))  # here, unlike in the tree, in float64


@kernel_function
def best_output(tables, work):  # type: ignore[no-untyped-def]
    """(label, log score) of a softmax or of independent sigmoids; of equal scores the last label wins."""
    scores, hidden = work.scores, work.hidden
    labels = tables.output.shape[1]
    for k in range(labels):
        scores[k] = np.float32(0.0)
    for c in range(hidden.shape[0]):
        for k in range(labels):
            scores[k] += tables.output[c, k] * hidden[c]
    for k in range(labels):
        scores[k] *= tables.output_norm[k]
    if tables.loss == SOFTMAX:
        highest, total = scores[0], np.float32(0.0)
        for k in range(labels):
            highest = max(scores[k], highest)
        for k in range(labels):
            scores[k] = np.float32(math.exp(scores[k] - highest))
            total += scores[k]
        for k in range(labels):
            scores[k] /= total
    else:
        for k in range(labels):
            scores[k] = sigmoid(scores[k])
    label, best = np.int64(NO_LABEL), np.float32(-np.inf)
    for k in range(labels):
        score = std_log(scores[k])
        if score >= best:
            label, best = np.int64(k), score
    return label, best


def _build_predict(digest: int) -> Any:
    def predict_batch(buffer, starts, valid, tables, work, cache, labels, scores):  # type: ignore[no-untyped-def]
        for t in range(valid.shape[0]):
            labels[t], scores[t] = NO_LABEL, np.float32(0.0)
            if not valid[t]:
                continue
            for c in range(work.hidden.shape[0]):
                work.hidden[c] = np.float32(0.0)
            work.added[0] = 0
            push_text(buffer, starts[t], starts[t + 1], tables, work, cache)
            if work.added[0] == 0:
                continue
            scale = np.float32(1.0 / np.float64(work.added[0]))
            for c in range(work.hidden.shape[0]):
                work.hidden[c] *= scale
            if tables.loss == HIERARCHICAL_SOFTMAX:
                label, best = best_leaf(tables, work)
            else:
                label, best = best_output(tables, work)
            if label >= 0:
                labels[t], scores[t] = label, np.float32(math.exp(best))
        return digest  # closed over, so that a changed helper changes the cache key

    return cached_kernel(predict_batch)


_predict = _build_predict(source_digest(fasttext_lookup, fasttext_rows, hashing))


def predict(text: pa.LargeStringArray, tables: Tables) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(label number or -1, score) of every text of a large_string array.

    -1 with score 0 stands for a null text and for a text in which the model knows nothing.
    """
    starts, buffer = text_buffers(text)
    longest = int(np.diff(starts).max(initial=0))
    labels, dim = len(tables.output_norm), tables.rows.shape[1]
    work = Workspace(
        hidden=np.zeros(dim, np.float32),
        pending=np.zeros(PENDING_ROWS, np.int32),
        added=np.zeros(1, np.int64),
        padded=np.empty(longest + 2, np.uint8),
        fnv=np.empty(longest // 2 + 2 if tables.word_ngrams > 1 else 0, np.uint32),
        scores=np.zeros(labels + 1, np.float32),
        nodes=np.zeros(labels + 1, np.int32),
    )
    slots = min(CACHED_WORDS, 1 << (int(starts[-1] - starts[0]) // 32 + 1).bit_length())  # no more than may be filled
    cache = Cache(np.full((slots, 4), -1, np.int64), np.zeros((slots, CACHED_ROWS), np.int32))
    valid = np.asarray(text.is_valid())
    found, scores = np.empty(len(text), np.int32), np.empty(len(text), np.float32)
    _predict(buffer, starts, valid, tables, work, cache, found, scores)
    return found, scores
