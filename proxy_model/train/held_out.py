"""Bits per byte of text that no run trains on, by source, language and quality bucket.

A sequence is scored from its second token on: the first has nothing to be predicted from, so neither its nats nor its
bytes count, and the end-of-document id stands for no bytes and is left out.  Baselines are scored on the same tokens.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from packing.loader.batch import IGNORE
from packing.loader.dataset import PackedDataset
from proxy_model.loss import token_nats
from proxy_model.model import ProxyLM
from proxy_model.packed import Packed, packed_sequences
from proxy_model.train.data import Rows, batches

KINDS = ("source", "language", "bucket")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """n sequences: tokens int64 end to end, their ends int64[n + 1], bytes of all tokens but the first int64[n]."""

    tokens: NDArray[np.int64]
    ends: NDArray[np.int64]
    n_bytes: NDArray[np.int64]
    source: tuple[str, ...]
    language: tuple[str, ...]  # "" where not known
    bucket: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.n_bytes)

    def sequence(self, number: int) -> NDArray[np.int64]:
        """Tokens of one of them."""
        return self.tokens[self.ends[number] : self.ends[number + 1]]

    def digest(self) -> str:
        """32 hexadecimal digits over tokens, bytes and names."""
        made = hashlib.blake2b(digest_size=16)
        for one in (self.tokens, self.ends, self.n_bytes):
            made.update(np.ascontiguousarray(one, "<i8").tobytes())
        made.update("\0".join((*self.source, *self.language, *self.bucket)).encode())
        return made.hexdigest()


@dataclass(frozen=True)
class Score:
    """Of a group of sequences."""

    kind: str  # all | source | language | bucket
    name: str
    nats: float
    labels: int
    n_bytes: int

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / self.n_bytes if self.n_bytes else math.nan


def of_sequences(
    sequences: Sequence[NDArray[np.int64]], n_bytes: Sequence[int], source: Sequence[str],
    language: Sequence[str] | None = None, bucket: Sequence[str] | None = None,
) -> HeldOut:  # fmt: skip
    """Sequences of at least two tokens; `n_bytes`: of all their tokens but the first."""
    kept = [number for number, one in enumerate(sequences) if len(one) > 1]
    none = [""] * len(sequences)

    def names(given: Sequence[str] | None) -> tuple[str, ...]:
        return tuple((given or none)[number] for number in kept)

    sizes = [len(sequences[number]) for number in kept]
    return HeldOut(
        np.concatenate([sequences[number] for number in kept]) if kept else np.empty(0, np.int64),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array([n_bytes[number] for number in kept], np.int64),
        names(source), names(language), names(bucket),
    )  # fmt: skip


def of_rows(
    dataset: PackedDataset, rows: Rows, trained: NDArray[np.uint64], byte_lengths: NDArray[np.uint32] | None = None
) -> HeldOut:
    """Fragments of held-out rows whose document has no fragment in a training row (`trained`: sorted keys).

    `byte_lengths` uint32[vocabulary]: bytes of every id.  Without it a fragment's first token counts as its mean one.
    """
    manifest = dataset.manifest
    found: list[NDArray[np.int64]] = []
    n_bytes: list[int] = []
    source: list[str] = []
    special = {manifest.eos_id, manifest.pad_id, manifest.bos_id}
    for batch in batches(dataset, rows, 1):
        cuts = batch["cu_seqlens"]
        for segment in range(batch["segments"]):
            key = batch["doc_key"][segment]
            if batch["source"][segment] < 0 or _within(key, trained):
                continue
            tokens = batch["tokens"][cuts[segment] : cuts[segment + 1]].copy()
            while len(tokens) and int(tokens[-1]) in special:
                tokens = tokens[:-1]
            while len(tokens) and int(tokens[0]) in special:
                tokens = tokens[1:]
            whole = int(batch["n_bytes"][segment])
            first = int(byte_lengths[tokens[0]]) if byte_lengths is not None and len(tokens) else 0
            if byte_lengths is None and len(tokens):
                first = round(whole / len(tokens))
            found.append(tokens)
            n_bytes.append(whole - first)
            source.append(manifest.sources[int(batch["source"][segment])])
    return of_sequences(found, n_bytes, source)


def _within(key: np.uint64, keys: NDArray[np.uint64]) -> bool:
    at = int(np.searchsorted(keys, key))
    return at < len(keys) and bool(keys[at] == key)


@torch.no_grad()
def nats_of(model: ProxyLM, held: HeldOut, batch_tokens: int) -> NDArray[np.float64]:
    """Sum of nats of every sequence, float64[n], in batches of about `batch_tokens`."""
    device = next(model.parameters()).device
    was, _ = model.training, model.eval()
    made = np.zeros(len(held))
    for first, last in _batches(held, batch_tokens):
        parts = [torch.from_numpy(held.sequence(number)) for number in range(first, last)]
        packed = packed_sequences(parts, device)
        output = model(packed)
        nats = (
            token_nats(output.hidden, model.head_weight, shifted(packed), vocab_size=model.config.vocab_size)
            .double()
            .cpu()
            .numpy()
        )
        sizes = np.diff(held.ends[first : last + 1])
        starts = np.cumsum(sizes) - sizes
        made[first:last] = np.add.reduceat(nats[: int(sizes.sum())], starts)
    model.train(was)
    return made


def shifted(packed: Packed) -> torch.Tensor:
    """Labels int64[T]: the next token of the same segment, IGNORE at segment ends; padding's own count for nothing."""
    labels = torch.full_like(packed.tokens, IGNORE)
    same = packed.segment_ids[1:] == packed.segment_ids[:-1]
    labels[:-1] = torch.where(same, packed.tokens[1:], labels[:-1])
    return labels


def scores(held: HeldOut, nats: NDArray[np.float64]) -> list[Score]:
    """Of all sequences, and of each source, language and bucket that is known."""
    labels = np.diff(held.ends) - 1
    made = [Score("all", "", float(nats.sum()), int(labels.sum()), int(held.n_bytes.sum()))]
    for kind in KINDS:
        names = np.array(getattr(held, kind), dtype=object)
        for name in sorted(set(names.tolist()) - {""}):
            mine = names == name
            made.append(
                Score(kind, name, float(nats[mine].sum()), int(labels[mine].sum()), int(held.n_bytes[mine].sum()))
            )
    return made


def _batches(held: HeldOut, batch_tokens: int) -> Iterator[tuple[int, int]]:
    first = 0
    while first < len(held):
        last = first + 1
        while last < len(held) and held.ends[last + 1] - held.ends[first] <= batch_tokens:
            last += 1
        yield first, last
        first = last
