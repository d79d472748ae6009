"""Reads supervised fastText model files, `.bin` and quantised `.ftz`, without the fastText library.

Every count in the file is checked against the bytes that are left before anything is allocated:
a hostile or truncated file ends in a ValueError that names the file and what was expected.
Source: facebookresearch/fastText, src/fasttext.cc (loadModel), args.cc, dictionary.cc, quantmatrix.cc,
productquantizer.cc, densematrix.cc, loss.cc (buildTree).
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from curation.text.fasttext_kernel import HIERARCHICAL_SOFTMAX, ONE_VS_ALL, Buckets, Tables, predict
from curation.text.fasttext_lookup import bucket_bits, word_table

MAGIC, VERSION, SUPERVISED = 793712314, 12, 3
CENTROIDS = 256  # of each sub-quantiser
MAX_EXPANSION = 64  # dequantised bytes a byte of the file; 2 columns a code (fastText's default) give 8
MAX_COUNT = 10**15  # above it fastText's tree takes a label for a node that is not there yet


@dataclass(frozen=True, eq=False)
class FastText:
    """A supervised fastText model, ready to predict; `sha256` is that of its file."""

    path: str
    sha256: str
    labels: tuple[str, ...]
    tables: Tables

    def predict(self, text: pa.LargeStringArray) -> tuple[pa.StringArray, pa.FloatArray]:
        """Best label and its score (float32) of every text, line feeds counted as spaces.

        What the fastText library's `predict(text.replace("\\n", " "))` returns, to the last bit: scores may
        reach 1.00001.  An empty text is predicted from the end-of-line word alone, as the library does.
        Null for a null text, and for a text in which the model finds nothing to go by.
        """
        found, scores = predict(text, self.tables)
        missing = found < 0
        numbers = pa.array(found, pa.int32(), mask=missing)
        return pa.array(self.labels, pa.string()).take(numbers), pa.array(scores, pa.float32(), mask=missing)


def read_model(path: str | Path) -> FastText:
    """The supervised fastText model in a local file.

    Raises ValueError for anything but a whole and consistent model, OSError when it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise ValueError(f"{path}: expected a fastText model, found an empty file") from None
    with data:
        try:
            labels, tables = _read(_Reader(data))
        except ValueError as error:
            raise ValueError(f"{path}: not a usable fastText model: expected {error}") from None
        return FastText(str(path), hashlib.sha256(data).hexdigest(), labels, tables)


class _Reader:
    """Little-endian values from a byte buffer; ValueError says what was expected where it ends."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at, self.size = data, 0, len(data)

    def need(self, size: int, what: str) -> None:
        if not 0 <= size <= self.size - self.at:
            raise ValueError(f"{what} ({size:,} bytes at offset {self.at:,}), found {self.size - self.at:,} bytes")

    def values(self, layout: str, what: str) -> tuple[int, ...]:
        self.need(struct.calcsize("<" + layout), what)
        found = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return found

    def array(self, dtype: DTypeLike, count: int, what: str) -> NDArray[np.generic]:
        kind = np.dtype(dtype)
        self.need(count * kind.itemsize, what)
        with memoryview(self.data) as view:
            found = np.frombuffer(view[self.at : self.at + count * kind.itemsize], kind).copy()
        self.at += count * kind.itemsize
        if kind.kind == "f" and not np.isfinite(found).all():
            raise ValueError(f"finite numbers in {what}")
        return found

    def flag(self, what: str) -> bool:
        (value,) = self.values("B", what)
        _expect(value in (0, 1), f"{what} of 0 or 1, found {value}")
        return bool(value)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _read(reader: _Reader) -> tuple[tuple[str, ...], Tables]:
    magic, version = reader.values("Ii", "the file's magic number and version")
    _expect(magic == MAGIC, f"the magic number {MAGIC}, found {magic}")
    _expect(version in (11, VERSION), f"file version 11 or {VERSION}, found {version}")
    dim, _, _, _, _, word_ngrams, loss, model, bucket, min_n, max_n, _ = reader.values("12i", "the arguments")
    reader.values("d", "the sampling threshold")
    max_n = 0 if version == 11 else max_n  # as loadModel: old supervised models have no character n-grams
    _expect(model == SUPERVISED, f"a supervised model, found model kind {model}")
    _expect(HIERARCHICAL_SOFTMAX <= loss <= ONE_VS_ALL, f"a loss between 1 and 4, found {loss}")
    _expect(dim > 0, f"a positive dimension, found {dim}")
    ngrams = max_n > 0 or word_ngrams > 1
    _expect(bucket > 0 or (bucket == 0 and not ngrams), f"buckets for the n-grams, found {bucket}")

    entries, counts, words, kept = _read_dictionary(reader)
    labels = len(entries) - words
    quantised = reader.flag("the input matrix's quantised flag")
    rows, norms = _read_matrix(reader, quantised, dim, "the input matrix")
    if norms is not None:
        rows *= norms[:, None]
        _expect(bool(np.isfinite(rows).all()), "finite numbers in the dequantised input matrix")
    _expect(quantised or kept is None, "n-grams pruned in a quantised model only")
    buckets = _read_buckets(kept, bucket, ngrams, words, len(rows), reader.size)
    output, output_norm = _read_matrix(reader, reader.flag("the output's quantised flag") and quantised, dim, "output")
    _expect(len(output) == labels, f"{labels} rows of output, found {len(output)}")
    _expect(reader.at == reader.size, f"the end of the file, found {reader.size - reader.at:,} more bytes")

    left, right = _huffman_tree(counts[words:]) if loss == HIERARCHICAL_SOFTMAX else _NO_TREE
    entry_bytes = np.frombuffer(b"".join(entries), np.uint8)
    entry_starts = np.concatenate([[0], np.cumsum([len(entry) for entry in entries], dtype=np.int64)])
    tables = Tables(
        rows=rows,
        output=output if loss == HIERARCHICAL_SOFTMAX else np.ascontiguousarray(output.T),
        output_norm=np.ones(labels, np.float32) if output_norm is None else output_norm,
        left=left,
        right=right,
        entry_bytes=entry_bytes,
        entry_starts=entry_starts,
        word_slots=word_table(entry_bytes, entry_starts),
        buckets=buckets,
        words=words,
        min_n=min_n,
        max_n=max_n,
        word_ngrams=word_ngrams,
        loss=loss,
    )
    return tuple(entry.decode("utf-8") for entry in entries[words:]), tables


def _read_dictionary(reader: _Reader) -> tuple[list[bytes], list[int], int, NDArray[np.int32] | None]:
    """(words then labels, how often each occurred, number of words, kept n-gram buckets and their rows or None)."""
    size, words, labels = reader.values("3i", "the dictionary's sizes")
    _, pruned = reader.values("2q", "the dictionary's token and pruning counts")
    _expect(words >= 0 and labels > 0 and size == words + labels, f"words and at least one label, {words}, {labels}")
    reader.need(10 * size, f"{size} dictionary entries")
    entries, counts = [], []
    for index in range(size):
        end = reader.data.find(b"\0", reader.at)
        _expect(end >= 0, f"the end of dictionary entry {index}")
        entries.append(reader.data[reader.at : end])
        reader.at = end + 1
        count, kind = reader.values("qb", f"dictionary entry {index}")
        _expect(kind == (index >= words), f"{words} words and then {labels} labels, found kind {kind} at {index}")
        counts.append(count)
    if pruned < 0:
        return entries, counts, words, None
    kept = reader.array("<i4", 2 * pruned, "the pruned n-grams").reshape(-1, 2)
    return entries, counts, words, kept.astype(np.int32, copy=False)


def _read_buckets(
    kept: NDArray[np.int32] | None, count: int, ngrams: bool, words: int, rows: int, file_size: int
) -> Buckets:
    """Where n-grams stand; `kept` (n, 2) has the buckets of a pruned model and their rows after the words."""
    if kept is None:
        _expect(rows >= words + count * ngrams, f"{words} + {count * ngrams} rows of input, found {rows}")
        empty = np.empty(0, np.int32)
        return Buckets(max(count, 1), words, False, np.empty(0, np.uint64), empty, empty)
    _expect(rows >= words, f"a row of input for each of {words} words, found {rows}")
    _expect(count // 8 <= MAX_EXPANSION * file_size, f"n-gram buckets within {MAX_EXPANSION} bytes a byte of the file")
    kept = kept[np.argsort(kept[:, 0], kind="stable")]
    buckets, targets = kept[:, 0].copy(), kept[:, 1] + np.int32(words)
    inside = len(kept) == 0 or bool(buckets[0] >= 0 and buckets[-1] < max(count, 1) and (np.diff(buckets) > 0).all())
    _expect(inside, f"kept n-grams once each, below {count}")
    _expect(bool(((kept[:, 1] >= 0) & (kept[:, 1] < rows - words)).all()), f"kept n-grams within {rows} rows of input")
    return Buckets(max(count, 1), words, True, *bucket_bits(buckets, max(count, 1)), targets)


def _read_matrix(
    reader: _Reader, quantised: bool, dim: int, what: str
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """(float32 matrix (rows, dim), norm of each row where they are stored apart)."""
    with_norms = reader.flag(f"{what}'s norm flag") if quantised else False
    rows, columns = reader.values("2q", f"{what}'s shape")
    _expect(columns == dim and rows >= 0, f"{what} of {dim} columns, found shape ({rows}, {columns})")
    if not quantised:
        dense = reader.array("<f4", rows * dim, what).reshape(rows, dim)
        return dense.astype(np.float32, copy=False), None
    (size,) = reader.values("i", f"{what}'s code size")
    _expect(rows > 0 and size > 0 and size % rows == 0, f"{what} of a whole number of codes a row, found {size}")
    codes = reader.array("u1", size, f"{what}'s codes").reshape(rows, -1)
    _expect(4 * rows * dim <= MAX_EXPANSION * reader.size, f"{what} within {MAX_EXPANSION} times the file's size")
    matrix = _dequantise(codes, _read_centroids(reader, dim, codes.shape[1], what), dim)
    if not with_norms:
        return matrix, None
    norm_codes = reader.array("u1", rows, f"{what}'s norm codes").reshape(rows, 1)
    return matrix, _dequantise(norm_codes, _read_centroids(reader, 1, 1, f"{what}'s norms"), 1)[:, 0]


def _read_centroids(reader: _Reader, dim: int, parts: int, what: str) -> list[NDArray[np.float32]]:
    """For every part of a row, its centroids (256, columns of the part)."""
    given, given_parts, width, last = reader.values("4i", f"{what}'s quantiser")
    whole = width > 0 and (parts - 1) * width + last == dim and 0 < last <= width
    _expect((given, given_parts) == (dim, parts) and whole, f"{what} quantised in {parts} parts of {dim} columns")
    flat = reader.array("<f4", CENTROIDS * dim, f"{what}'s centroids").astype(np.float32, copy=False)
    widths = [width] * (parts - 1) + [last]
    return [
        flat[CENTROIDS * width * k : CENTROIDS * (width * k + columns)].reshape(CENTROIDS, columns)
        for k, columns in enumerate(widths)
    ]


def _dequantise(codes: NDArray[np.generic], centroids: list[NDArray[np.float32]], dim: int) -> NDArray[np.float32]:
    matrix = np.empty((len(codes), dim), np.float32)
    column = 0
    for part, table in enumerate(centroids):
        matrix[:, column : column + table.shape[1]] = table[codes[:, part]]
        column += table.shape[1]
    return matrix


_NO_TREE = np.empty(0, np.int32), np.empty(0, np.int32)


def _huffman_tree(counts: list[int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(left, right) child of each of 2 n - 1 nodes, -1 at the n leaves; on equal counts a node comes first."""
    _expect(min(counts) >= 0 and sum(counts) < MAX_COUNT, f"label counts of 0 to {MAX_COUNT:,} in all")
    n = len(counts)
    weight = [*counts, *[MAX_COUNT] * (n - 1)]
    left, right = np.full(2 * n - 1, -1, np.int32), np.full(2 * n - 1, -1, np.int32)
    leaf, node = n - 1, n
    for parent in range(n, 2 * n - 1):
        children = []
        for _ in range(2):
            if leaf >= 0 and weight[leaf] < weight[node]:
                children.append(leaf)
                leaf -= 1
            else:
                children.append(node)
                node += 1
        left[parent], right[parent] = children
        weight[parent] = weight[children[0]] + weight[children[1]]
    return left, right
