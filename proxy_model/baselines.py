"""Unigram and 5-grams of the training text on a run's held-out text, in bits per byte, on the same tokens."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.shards import write_atomic
from packing.loader.dataset import PackedDataset
from proxy_model.train.baselines import kneser_ney, unigram_nats
from proxy_model.train.data import Rows, batches
from proxy_model.train.held_out import HeldOut, Score, scores

BASELINES = "baselines.json"
ORDER = 5
MOST = 20_000_000  # tokens of training text that are counted: the first of the run's order
BYTES_MOST = 20_000_000  # bytes of it for the byte 5-gram


@dataclass(frozen=True)
class Baseline:
    """Scores of the groups of `held_out.scores`."""

    name: str
    trained_on: int  # tokens, or bytes
    scores: list[Score]


def measure(dataset: PackedDataset, order: Rows, held: HeldOut, spellings: list[bytes] | None) -> list[Baseline]:
    """`order`: rows of one epoch.  `spellings`: bytes of every id, for the byte 5-gram."""
    ids, ends = _text(dataset, order)
    scored = np.ones(len(held.tokens), np.bool_)
    scored[held.ends[:-1]] = False  # the first token of a sequence
    vocabulary = max(dataset.manifest.vocab_rows, 1 + int(held.tokens.max(initial=0)))

    def result(name: str, count: int, nats: NDArray[np.float64]) -> Baseline:
        starts = held.ends[:-1]
        return Baseline(name, count, scores(held, np.add.reduceat(np.where(scored, nats, 0.0), starts)))

    made = [result("unigram of tokens", len(ids), unigram_nats(ids, held.tokens, vocabulary))]
    model = kneser_ney(ids, ends, vocabulary, ORDER)
    made.append(result(f"{ORDER}-gram of tokens", len(ids), model.nats(held.tokens, held.ends)))
    if spellings is not None:
        made.append(_of_bytes(ids, ends, held, spellings))
    return made


def _text(dataset: PackedDataset, order: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fragments of the rows, without padding, up to MOST tokens: ids, ends."""
    length = dataset.manifest.sequence_length
    rows = order.take(np.arange(min(len(order), max(1, MOST // length))))
    parts, sizes = [], []
    for batch in batches(dataset, rows, 1):
        cuts = batch["cu_seqlens"]
        for segment in np.flatnonzero(batch["source"][: batch["segments"]] >= 0).tolist():
            parts.append(batch["tokens"][cuts[segment] : cuts[segment + 1]].copy())
            sizes.append(len(parts[-1]))
    return np.concatenate(parts), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _of_bytes(ids: NDArray[np.int64], ends: NDArray[np.int64], held: HeldOut, spellings: list[bytes]) -> Baseline:
    """A byte 5-gram on the same bytes: a sequence's first token is context only."""
    train, cuts = _spelled(ids, ends, spellings, BYTES_MOST)
    there, bounds = _spelled(held.tokens, held.ends, spellings, None)
    nats = kneser_ney(train, cuts, 256, ORDER).nats(there, bounds)
    firsts = np.array([len(spellings[one]) for one in held.tokens[held.ends[:-1]].tolist()], np.int64)
    counted = np.ones(len(there), np.bool_)
    for start, size in zip(bounds[:-1].tolist(), firsts.tolist(), strict=True):
        counted[start : start + size] = False
    sums = np.add.reduceat(np.where(counted, nats, 0.0), bounds[:-1])
    return Baseline(f"{ORDER}-gram of bytes", len(train), scores(held, sums))


def _spelled(
    ids: NDArray[np.int64], ends: NDArray[np.int64], spellings: list[bytes], most: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bytes of sequences of ids, ends of the sequences; whole sequences up to `most` bytes."""
    texts: list[bytes] = []
    size = 0
    for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        texts.append(b"".join([spellings[one] for one in ids[first:last].tolist()]))
        size += len(texts[-1])
        if most is not None and size >= most:
            break
    made = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64)
    return made, np.concatenate([[0], np.cumsum([len(one) for one in texts])]).astype(np.int64)


def spellings_of(tokenizer: Path, rows: int) -> list[bytes]:
    """UTF-8 bytes of every id below `rows`; none for special ids."""
    from tokenizer.encoding.source import open_tokenizer
    from tokenizer.vocabulary import BYTE_CHARACTERS

    opened = open_tokenizer(tokenizer)
    table = {one: number for number, one in enumerate(BYTE_CHARACTERS)}
    made = [b""] * max(rows, 1 + max(opened.raw["model"]["vocab"].values()))
    for text, number in opened.raw["model"]["vocab"].items():
        made[number] = bytes(table[one] for one in text)
    for number in opened.special_ids.values():
        made[number] = b""
    return made


def write(folder: Path, found: list[Baseline]) -> None:
    """baselines.json"""
    rows = [
        {
            "name": one.name, "trained_on": one.trained_on,
            "scores": [
                {"kind": s.kind, "name": s.name, "nats": s.nats, "labels": s.labels, "bytes": s.n_bytes,
                 "bits_per_byte": None if math.isnan(s.bits_per_byte) else s.bits_per_byte} for s in one.scores
            ],
        }
        for one in found
    ]  # fmt: skip
    write_atomic(folder / BASELINES, (json.dumps(rows, indent=1) + "\n").encode())
