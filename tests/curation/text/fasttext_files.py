"""A small fastText model: its file as fastText writes it, and its prediction as fastText's source states it, slowly.

Source: facebookresearch/fastText, src/args.cc, dictionary.cc, quantmatrix.cc, productquantizer.cc (save);
dictionary.cc (getLine, addSubwords, addWordNgrams, pushHash), model.cc, loss.cc (predict).
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

HS, NS, SOFTMAX, OVA = 1, 2, 3, 4
SPACES = re.compile(rb"[ \n\r\t\v\f\0]+")


@dataclass(frozen=True)
class Quantised:
    """A product-quantised matrix: codes (rows, parts), centroids of each part, and optionally norms."""

    codes: np.ndarray
    centroids: np.ndarray  # (256 * dim,) as stored
    dim: int
    width: int
    norm_codes: np.ndarray | None = None
    norm_centroids: np.ndarray | None = None

    def rows(self) -> np.ndarray:
        parts = self.codes.shape[1]
        found = np.empty((len(self.codes), self.dim), np.float32)
        for row, codes in enumerate(self.codes):
            for m, code in enumerate(codes):
                size = self.width if m < parts - 1 else self.dim - (parts - 1) * self.width
                at = m * 256 * self.width + int(code) * size
                found[row, m * self.width : m * self.width + size] = self.centroids[at : at + size]
        return found

    def norms(self) -> np.ndarray:
        if self.norm_codes is None:
            return np.ones(len(self.codes), np.float32)
        return self.norm_centroids[self.norm_codes]

    def bytes(self) -> bytes:
        parts = self.codes.shape[1]
        last = self.dim - (parts - 1) * self.width
        data = struct.pack("<?qqi", self.norm_codes is not None, len(self.codes), self.dim, self.codes.size)
        data += self.codes.astype("u1").tobytes()
        data += struct.pack("<4i", self.dim, parts, self.width, last) + self.centroids.astype("<f4").tobytes()
        if self.norm_codes is not None:
            data += self.norm_codes.astype("u1").tobytes()
            data += struct.pack("<4i", 1, 1, 1, 1) + self.norm_centroids.astype("<f4").tobytes()
        return data


@dataclass(frozen=True)
class TinyModel:
    loss: int
    words: list[bytes]
    labels: list[tuple[bytes, int]]  # with the count of each, falling
    input: np.ndarray | Quantised
    output: np.ndarray | Quantised
    bucket: int
    min_n: int = 0
    max_n: int = 0
    word_ngrams: int = 1
    kept: dict[int, int] | None = None  # of a pruned model: bucket -> row after the words
    version: int = 12

    @property
    def dim(self) -> int:
        return self.input.dim if isinstance(self.input, Quantised) else self.input.shape[1]

    def bytes(self) -> bytes:
        data = struct.pack("<2i", 793712314, self.version)
        data += struct.pack("<6i", self.dim, 5, 5, 1, 5, self.word_ngrams)
        data += struct.pack("<6id", self.loss, 3, self.bucket, self.min_n, self.max_n, 100, 1e-4)
        size, kept = len(self.words) + len(self.labels), -1 if self.kept is None else len(self.kept)
        data += struct.pack("<3i2q", size, len(self.words), len(self.labels), 1000, kept)
        for word in self.words:
            data += word + b"\0" + struct.pack("<qb", 7, 0)
        for label, count in self.labels:
            data += label + b"\0" + struct.pack("<qb", count, 1)
        for pair in (self.kept or {}).items():
            data += struct.pack("<2i", *pair)
        return data + _matrix(self.input) + _matrix(self.output)

    def predict(self, text: str) -> tuple[int, float, dict[int, float]] | None:
        """(label number, score, score of every label that was looked at), None when there is nothing to go by."""
        rows = self._rows(text.encode())
        if not rows:
            return None
        dense = not isinstance(self.input, Quantised)
        matrix = self.input if dense else self.input.rows() * self.input.norms()[:, None]
        hidden = np.zeros(self.dim, np.float32)
        for row in rows:
            hidden += matrix[row]
        hidden *= np.float32(1.0 / len(rows))
        scores = self._tree_scores(hidden) if self.loss == HS else self._flat_scores(hidden)
        best = max(scores, key=lambda label: (scores[label], label))
        return best, math.exp(scores[best]), {label: math.exp(score) for label, score in scores.items()}

    def _rows(self, text: bytes) -> list[int]:
        rows: list[int] = []
        hashes: list[int] = []
        tokens = [token for token in SPACES.split(text) if token]
        for token in [*tokens, b"</s>"]:
            label = token in dict(self.labels) or (token not in self.words and token.startswith(b"__label__"))
            if not label:
                if token in self.words:
                    rows.append(self.words.index(token))
                if token != b"</s>" and (self.max_n > 0 and self.version > 11):
                    self._subwords(b"<" + token + b">", rows)
                hashes.append(_fnv(token))
            if token == b"</s>":
                break
        for i, first in enumerate(hashes):
            h = _signed(first)
            for second in hashes[i + 1 : i + self.word_ngrams]:
                h = (h * 116049371 + _signed(second)) % 2**64
                self._push(h % 2**64 % self.bucket, rows)
        return rows

    def _subwords(self, word: bytes, rows: list[int]) -> None:
        characters = re.findall(rb"[\x00-\x7f\xc0-\xff][\x80-\xbf]*", word)
        for i in range(len(characters)):
            for n in range(1, min(self.max_n, len(characters) - i) + 1):
                if n >= self.min_n and not (n == 1 and (i == 0 or i + n == len(characters))):
                    self._push(_fnv(b"".join(characters[i : i + n])) % self.bucket, rows)

    def _push(self, bucket: int, rows: list[int]) -> None:
        if self.kept is None:
            rows.append(len(self.words) + bucket)
        elif bucket in self.kept:
            rows.append(len(self.words) + self.kept[bucket])

    def _dots(self, hidden: np.ndarray) -> np.ndarray:
        if not isinstance(self.output, Quantised):
            return np.array([_dot(row, hidden) for row in self.output], np.float32)
        return np.array([_dot(r, hidden) * n for r, n in zip(self.output.rows(), self.output.norms(), strict=True)])

    def _flat_scores(self, hidden: np.ndarray) -> dict[int, float]:
        z = self._dots(hidden).astype(np.float64)
        if self.loss == SOFTMAX:
            p = np.exp(z - z.max())
            p /= p.sum()
        else:  # a table of 513 sigmoids between -8 and 8
            steps = np.floor(np.clip(z + 8, 0, 16) * 32)
            p = np.where(z > 8, 1.0, np.where(z < -8, 0.0, 1 / (1 + np.exp(-(steps / 32 - 8)))))
        return {label: math.log(value + 1e-5) for label, value in enumerate(p)}

    def _tree_scores(self, hidden: np.ndarray) -> dict[int, float]:
        dots = self._dots(hidden)
        scores: dict[int, float] = {}

        def visit(node: Any, score: float) -> None:
            if score < math.log(1e-5) or (scores and score < max(scores.values())):
                return
            if isinstance(node, int):
                scores[node] = score
                return
            number, left, right = node
            f = 1 / (1 + math.exp(-float(dots[number])))
            visit(left, score + math.log(1 - f + 1e-5))
            visit(right, score + math.log(f + 1e-5))

        visit(_tree([count for _, count in self.labels]), 0.0)
        return scores


def _tree(counts: list[int]) -> Any:
    """Huffman tree over falling counts: a label number or (node number, left, right); equal counts: nodes first."""
    leaves = [(count, label) for label, count in enumerate(counts)]
    nodes: list[tuple[int, Any]] = []
    for number in range(len(counts) - 1):
        pair = []
        for _ in range(2):
            take_leaf = leaves and (not nodes or leaves[-1][0] < nodes[0][0])
            pair.append(leaves.pop() if take_leaf else nodes.pop(0))
        nodes.append((pair[0][0] + pair[1][0], (number, pair[0][1], pair[1][1])))
    return (nodes or leaves)[0][1]


def _matrix(matrix: np.ndarray | Quantised) -> bytes:
    if isinstance(matrix, Quantised):
        return b"\1" + matrix.bytes()
    return b"\0" + struct.pack("<2q", *matrix.shape) + matrix.astype("<f4").tobytes()


def _fnv(data: bytes) -> int:
    h = 2166136261
    for byte in data:
        h = (h ^ (byte if byte < 128 else byte | 0xFFFF_FF00)) * 16777619 % 2**32
    return h


def _signed(h: int) -> int:
    return h - 2**32 if h >= 2**31 else h


def _dot(row: np.ndarray, hidden: np.ndarray) -> np.float32:
    total = np.float32(0)
    for a, b in zip(row, hidden, strict=True):
        total += a * b
    return total


def random_quantised(rng: np.random.Generator, rows: int, dim: int, width: int, norms: bool) -> Quantised:
    parts = -(-dim // width)
    codes = rng.integers(0, 256, (rows, parts))
    plain = Quantised(codes, rng.normal(size=256 * dim).astype(np.float32), dim, width)
    if not norms:
        return plain
    centroids = rng.uniform(0.5, 2, 256).astype(np.float32)
    return replace(plain, norm_codes=rng.integers(0, 256, rows), norm_centroids=centroids)


def random_model(
    seed: int, loss: int, *, dim: int = 5, labels: int = 6, quantised: bool = False, min_n: int = 2, max_n: int = 4,
    word_ngrams: int = 1, eos: bool = True, pruned: bool = True,
) -> TinyModel:  # fmt: skip
    """A model with random weights over a few words in several scripts."""
    rng = np.random.default_rng(seed)
    words = [*([b"</s>"] if eos else []), *(w.encode() for w in ("a", "ab", "the", "é中", "ба", "abcdefghi", "x" * 30))]
    bucket = 97 if max_n > 0 or word_ngrams > 1 else 0
    kept = None
    extra = bucket
    if quantised and pruned:
        kept = {int(b): row for row, b in enumerate(rng.permutation(bucket)[: bucket // 2])}
        extra = len(kept)
    rows = len(words) + extra

    def matrix(size: int, width: int) -> np.ndarray | Quantised:
        return random_quantised(rng, size, dim, width, True) if quantised else rng.normal(size=(size, dim)).astype("f4")

    counts = sorted((int(c) for c in rng.integers(1, 50, labels)), reverse=True)
    return TinyModel(
        loss=loss,
        words=words,
        labels=[(f"__label__{k}".encode(), count) for k, count in enumerate(counts)],
        input=matrix(rows, 2),
        output=matrix(labels, 3),
        bucket=bucket,
        min_n=min_n,
        max_n=max_n,
        word_ngrams=word_ngrams,
        kept=kept,
    )
