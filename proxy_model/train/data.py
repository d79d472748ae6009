"""The sequences of a run in its own order: what a seed changes, and what it never changes.

The shards' schedule (which queue a place of the order belongs to) holds the mix at every moment of training, and stays
as packing made it.  A run's seeds move rows only inside their queue:

    subset   which rows of every queue take part: the `share` with the lowest keyed hash; places of the schedule are
             thinned evenly, so that every prefix keeps its shares to one row a queue
    order    which of them stands at which of the queue's places: a keyed permutation, another one in every epoch

None for both is the order that the shards have.  Rows held out are taken away first, by a hash that no seed of the
run enters: all runs on the same shards hold out the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.layout.files import map_order
from packing.layout.manifest import LayoutError, Manifest
from packing.loader.batch import Batch, empty_batch, fill, padded_tokens
from packing.loader.dataset import PackedDataset
from packing.loader.loader import most_segments
from packing.loader.places import Places, joined
from packing.loader.segments import lay_out

ALIGN = 64
_GAMMA, _A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Rows:
    """Rows of a shard directory, with the number of their queue uint16[n]."""

    places: Places
    queue: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, chosen: NDArray[np.int64]) -> Rows:
        """These of the rows."""
        return Rows(Places(self.places.shard[chosen], self.places.row[chosen]), self.queue[chosen])


def open_shards(directory: Path) -> PackedDataset:
    """Checked for training.  Raises UsageError: no shards, rows of a length that the kernels do not divide."""
    try:
        dataset = PackedDataset(directory)
    except LayoutError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{directory}: {error.strerror}", "name a folder that `curate pack` wrote") from None
    length = dataset.manifest.sequence_length
    if length % ALIGN:
        raise UsageError(
            f"{directory}: rows of {length:,} tokens; training needs a multiple of {ALIGN}",
            f"pack with sequence_length: {max(ALIGN, length // ALIGN * ALIGN)}"
            + (" (rows of L + 1 are for other trainers)" if length % ALIGN == 1 else ""),
        )
    if not any(stage.sequences for stage in dataset.manifest.stages):
        raise UsageError(f"{directory}: no stage has a sequence", "pack documents, or give its stages tokens")
    return dataset


def scheduled(dataset: PackedDataset) -> Rows:
    """All rows of all stages, in the order of training."""
    places, queues = [], []
    for number, stage in enumerate(dataset.manifest.stages):
        if stage.sequences:
            own = dataset if number == dataset.stage else PackedDataset(dataset.directory, number)
            places.append(own.places(range(stage.sequences)))
            queues.append(np.asarray(map_order(dataset.directory, number))[: stage.sequences])
    return Rows(joined(places), np.concatenate(queues))


def split_off(rows: Rows, share: float, manifest: Manifest) -> tuple[Rows, Rows]:
    """(training, held out): the `share` of every queue's rows with the lowest hash keyed by the shards' root."""
    if not share:
        return rows, rows.take(np.empty(0, np.int64))
    key = int.from_bytes(hashlib.blake2b(f"holdout {manifest.root}".encode(), digest_size=8).digest(), "little")
    mine = _lowest(rows, share, key)
    return rows.take(np.flatnonzero(~mine)), rows.take(np.flatnonzero(mine))


def subset(rows: Rows, share: float, seed: int) -> Rows:
    """`share` of every queue's rows, chosen by `seed`, on evenly thinned places of the schedule."""
    mine = _lowest(rows, share, seed)
    made = []
    for queue in np.unique(rows.queue):
        at = np.flatnonzero(rows.queue == queue)
        chosen = at[mine[at]]
        places = at[(np.arange(len(chosen)) * len(at)) // max(1, len(chosen))]
        made.append(np.stack([places, chosen]))
    pairs = np.concatenate(made, axis=1)
    return rows.take(pairs[1][np.argsort(pairs[0], kind="stable")])


def permuted(rows: Rows, seed: int) -> Rows:
    """Every queue's rows among its own places, by `seed`."""
    keys = _mixed(np.arange(len(rows), dtype=np.uint64) ^ _mixed(np.array([seed], np.uint64)))
    order = np.arange(len(rows))
    for queue in np.unique(rows.queue):
        at = np.flatnonzero(rows.queue == queue)
        order[at] = at[np.argsort(keys[at], kind="stable")]
    return rows.take(order)


def run_order(rows: Rows, wanted: int, order_seed: int | None) -> Rows:
    """The first `wanted` rows of as many epochs as it takes; each epoch has a permutation of its own."""
    if not len(rows):
        raise UsageError("no row is left to train on", "hold out less, or take a larger subset")
    epochs = -(-wanted // len(rows))
    parts = [
        rows if order_seed is None else permuted(rows, order_seed + 0x9E3779B97F4A7C15 * epoch & 0xFFFF_FFFF_FFFF_FFFF)
        for epoch in range(epochs)
    ]
    whole = Rows(joined([one.places for one in parts]), np.concatenate([one.queue for one in parts]))
    return whole.take(np.arange(wanted))


def batches(dataset: PackedDataset, rows: Rows, size: int) -> Iterator[Batch]:
    """The rows in order, `size` a batch; the last may be smaller."""
    length, pad = dataset.manifest.sequence_length, dataset.manifest.pad_id
    most = most_segments(dataset.manifest, size)
    for begin in range(0, len(rows), size):
        part = rows.take(np.arange(begin, min(begin + size, len(rows))))
        count = len(part)
        total = padded_tokens(count, length)
        batch = empty_batch(total, most, begin + count)
        batch["tokens"][count * length :] = pad
        dataset.read_tokens(part.places.runs(count)[0], batch["tokens"][: count * length].reshape(count, length))
        fill(batch, lay_out(dataset.fragments(part.places), count, length, total)[0])
        yield batch


def documents_of(dataset: PackedDataset, rows: Rows) -> NDArray[np.uint64]:
    """Keys of the documents with a fragment in these rows, sorted."""
    return np.unique(dataset.fragments(rows.places).records["doc_key"])


def _lowest(rows: Rows, share: float, seed: int) -> NDArray[np.bool_]:
    """Of every queue the rounded `share` of rows, at least one, with the lowest hash of their shard and row."""
    start = _mixed(np.array([seed], np.uint64))
    keys = _mixed(_mixed(rows.places.shard.astype(np.uint64) ^ start) ^ rows.places.row.astype(np.uint64))
    mine = np.zeros(len(rows), np.bool_)
    for queue in np.unique(rows.queue):
        at = np.flatnonzero(rows.queue == queue)
        count = max(1, round(share * len(at)))
        mine[at[np.argsort(keys[at], kind="stable")[:count]]] = True
    return mine


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection of 64 bits."""
    with np.errstate(over="ignore"):
        z = values + _GAMMA
        z = (z ^ (z >> np.uint64(30))) * _A
        z = (z ^ (z >> np.uint64(27))) * _B
        return z ^ (z >> np.uint64(31))
