"""Where the queues go on after stages with rows of another length: at the documents that were not trained on yet.

Rows of another length are packed from the same documents in the same order, beginning at the order key where the
rows that the earlier stages take end, and then from the begin: a document comes again only where a queue is asked for
more than it has.  Rows leave the order of documents by up to two windows, so the join is exact to as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from packing.layout import files
from packing.layout.manifest import Manifest
from packing.order.stages import CLASSES
from packing.write.keys import fragment_keys
from packing.write.rules import bucket_lengths
from packing.write.unit import Unit

LAST_ROWS = 64  # the last of them are looked at

Begins = dict[tuple[str, str], float]  # (queue, class of lengths; "" for all) → order key


def go_on_at(before: Sequence[Path], units: Sequence[Unit], queues: Sequence[str]) -> Begins:
    """Where each queue, and each class of lengths of it, begins after the stages of these directories."""
    begins: Begins = {}
    for directory in before:
        manifest = Manifest.read(directory)
        classes = _classes(manifest)
        taken = np.zeros(len(manifest.queues), np.int64)
        for stage in range(len(manifest.stages)):
            taken += np.bincount(files.map_order(directory, stage), minlength=len(taken))
        for number, queue in enumerate(manifest.queues):
            if taken[number]:
                source, _, kind = queue.name.rpartition("/") if classes else (queue.name, "", "")
                begin = begins.get((source, kind), 0.0)
                place = _last_place(directory, manifest, number, int(taken[number]), units, source, begin)
                begins[source, kind] = place
                if not classes:
                    begins.update({(source, one): place for one in CLASSES})
        if classes:  # a queue that is not divided later: from the class that is least far on
            for source in queues:
                begins[source, ""] = min(begins.get((source, kind), 0.0) for kind in classes)
    return begins


def _classes(manifest: Manifest) -> tuple[str, ...]:
    """Classes of lengths that the queues of a directory are divided into."""
    if "smallest_bucket" in manifest.policy:
        lengths = bucket_lengths(manifest.sequence_length, manifest.policy["smallest_bucket"])
        return tuple(str(one) for one in lengths)
    return CLASSES if "length_bounds" in manifest.policy else ()


def _last_place(
    directory: Path, manifest: Manifest, queue: int, taken: int, units: Sequence[Unit], name: str, begin: float
) -> float:
    """The order key after the last document of a queue's first `taken` rows, which began at `begin`."""
    wanted = _last_documents(directory, manifest, queue, taken)
    places = [np.zeros(0)]
    for unit in units:
        if name in unit.info.queues:
            number = unit.info.queues.index(name)
            first, last = np.searchsorted(unit.occurrences["queue"], [number, number + 1])
            some = unit.occurrences[first:last]
            here = np.isin(_pairs(some["doc_key"], some["copy"]), wanted)
            places.append(some["order_key"][here])
    found = np.concatenate(places)
    turned = np.where(found < begin, found + 1.0, found)  # after the end of the order it goes on from 0
    last = float(np.nextafter(turned.max(initial=begin), np.inf))
    return last if last < 1.0 else last - 1.0


def _pairs(keys: NDArray[np.uint64], copies: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """One number for a document and its copy."""
    return fragment_keys(keys, copies, np.zeros(len(keys), np.uint64), 0)


def _last_documents(directory: Path, manifest: Manifest, queue: int, taken: int) -> NDArray[np.uint64]:
    """`_pairs` of the documents in the last of a queue's first `taken` rows."""
    found = [np.zeros(0, np.uint64)]
    before = 0
    for shard in manifest.shards:
        if shard.queue != queue:
            continue
        first, last = max(0, taken - LAST_ROWS - before), min(shard.rows, taken - before)
        if first < last:
            table = pq.read_table(files.fragment_path(directory, shard.name), columns=["seq", "doc_key", "copy"])
            row = table["seq"].to_numpy()
            here = (row >= first) & (row < last)
            found.append(_pairs(table["doc_key"].to_numpy()[here], table["copy"].to_numpy()[here]))
        before += shard.rows
    return np.concatenate(found)
