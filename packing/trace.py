"""The chapter of `curate trace ID` on packing: shard, row, token offset and turn of every piece of a document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.catalog import Catalog, Fate
from packing.layout import files
from packing.layout.manifest import LayoutError, Manifest, ShardInfo
from packing.step import SETS, SHARDS

SHOWN = 20  # pieces

Chapter = tuple[str, list[tuple[str, Any]]]


def trace(catalog: Catalog, fate: Fate) -> list[Chapter]:
    """Empty where the run packs nothing, or the record is no document."""
    folders = [catalog.directory / name for name in SETS if (catalog.directory / name).is_dir()]
    if fate.outcome != "kept":
        return []
    return [
        _chapter(folder, fate, "packing" if folder.name == SHARDS else f"packing, {folder.name}") for folder in folders
    ]


def _chapter(directory: Path, fate: Fate, title: str) -> Chapter:
    try:
        manifest = Manifest.read(directory)
    except LayoutError as error:
        return (title, [("unreadable", str(error))])
    found = sorted(
        pieces(directory, manifest, int(fate.row["doc_key"])), key=lambda one: (one["copy"], one["doc_offset"])
    )
    rows: list[tuple[str, Any]] = [(_where(one), _what(one)) for one in found[:SHOWN]]
    if len(found) > SHOWN:
        rows.append(("", f"… and {len(found) - SHOWN:,} more pieces"))
    if not found:
        mine = pc.field("doc_key") == pa.scalar(int(fate.row["doc_key"]), pa.uint64())
        dropped = pq.read_table(directory / "dropped.parquet", filters=mine)
        rows = [("dropped", one["reason"]) for one in dropped.to_pylist()] or [("missing", "not among the shards")]
    return (title, rows)


def pieces(directory: Path, manifest: Manifest, doc_key: int) -> Iterator[dict[str, Any]]:
    """Every fragment of a document: the columns of the fragment table, and

    shard, queue, token (its first in the row), stage and sequence (its turn in training; None: in no stage).
    """
    before = dict.fromkeys(range(len(manifest.queues)), 0)
    for shard in manifest.shards:
        segments = files.map_segments(directory, shard.name)
        at = np.flatnonzero(segments["doc_key"] == np.uint64(doc_key))
        if len(at):
            yield from _of_shard(directory, manifest, shard, at.tolist(), before[shard.queue])
        before[shard.queue] += shard.rows


def _of_shard(
    directory: Path, manifest: Manifest, shard: ShardInfo, at: list[int], before: int
) -> Iterator[dict[str, Any]]:
    starts, lengths = files.map_csr(directory, shard.name, shard.rows)
    table = pq.read_table(files.fragment_path(directory, shard.name)).take(at)
    for fragment, row in zip(at, table.to_pylist(), strict=True):
        token = int(lengths[int(starts[row["seq"]]) : fragment].sum(dtype=np.int64))
        stage, sequence = _turn(directory, manifest, shard.queue, before + row["seq"])
        queue = manifest.queues[shard.queue].name
        yield {**row, "shard": shard.name, "queue": queue, "token": token, "stage": stage, "sequence": sequence}


def _turn(directory: Path, manifest: Manifest, queue: int, row: int) -> tuple[str | None, int | None]:
    """Stage and sequence in which a queue's row is trained on."""
    for number, stage in enumerate(manifest.stages):
        turns = np.flatnonzero(files.map_order(directory, number) == queue)
        if row < len(turns):
            return stage.name, int(turns[row])
        row -= len(turns)
    return None, None


def _where(piece: dict[str, Any]) -> str:
    copy = f" copy {piece['copy']}" if piece["copy"] > 1 else ""
    return f"tokens {piece['doc_offset']:,} … {piece['doc_offset'] + piece['len'] - 1:,}{copy}"


def _what(piece: dict[str, Any]) -> str:
    turn = "in no stage" if piece["stage"] is None else f"{piece['stage']}, sequence {piece['sequence']:,}"
    cut = " (the rest is truncated)" if piece["flags"] & files.TRUNCATED else ""
    return (
        f"shard {piece['shard']}, row {piece['seq']:,}, from token {piece['token']:,}; "
        f"queue {piece['queue']}; {turn}{cut}"
    )
