"""Small corpora of ids, packed in one process, and read back token by token without the code under test."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.hashing import hash64
from packing.layout import files
from packing.layout.manifest import Manifest
from packing.write.encoded import EncodedDocuments, described
from packing.write.occurrences import each_once
from packing.write.pack import pack_units
from packing.write.rules import Rules
from packing.write.token_ids import TokenIds
from packing.write.unit import unit_paths, write_units

EOS, PAD, BOS = 1, 0, 2
LENGTHS = np.full(1_000, 3, np.uint32)
LENGTHS[:3] = 0
IDS = TokenIds(EOS, PAD, None, 1_000, LENGTHS, "a tokenizer")
WITH_BOS = replace(IDS, bos=BOS)
RULES = Rules(64, 17, window=50, min_fragment=4, shard_bytes=40 * 64 * 4)

Documents = Mapping[str, Sequence[int]]  # id → ids; the source is what stands before the slash


def corpus(count: int = 300, longest: int = 300, seed: int = 0, sources: Sequence[str] = ("code", "web")) -> Documents:
    """Documents of 1 … `longest` ids, short ones more often; ids 3 … 999."""
    generator = random.Random(seed)
    return {
        f"{sources[i % len(sources)]}/{i}": [generator.randrange(3, 1_000) for _ in range(_length(generator, longest))]
        for i in range(count)
    }


def _length(generator: random.Random, longest: int) -> int:
    return max(1, min(longest, round(generator.lognormvariate(3, 1.2))))


def encoded(documents: Documents) -> EncodedDocuments:
    batch = pa.record_batch(
        {"id": pa.array(list(documents), pa.string()), "source": [id.partition("/")[0] for id in documents]}
    )
    lists = list(documents.values())
    ends = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return EncodedDocuments(described(batch), np.array([t for one in lists for t in one], np.uint32), ends)


def units(documents: Documents, folder: Path, pieces: int = 1, **options: Any) -> list[Path]:
    """The units of the documents, in so many folders."""
    listed = options.pop("occurrences", None) or each_once(17, options.pop("queues", "source"))
    ids = options.pop("ids", IDS)
    items = list(documents.items())
    paths = []
    for number in range(pieces):
        part = dict(items[number::pieces])
        some = [encoded(part)] if part else []
        list(write_units(some, folder / str(number), ids, listed, **options))
        paths += unit_paths(folder / str(number))
    return paths


@dataclass(frozen=True)
class Packed:
    """A finished directory."""

    path: Path
    manifest: Manifest

    def rows(self) -> list[list[int]]:
        length = self.manifest.sequence_length
        return [row for one in self.manifest.shards for row in files.map_rows(self.path, one.name, length).tolist()]

    def fragments(self) -> list[dict[str, Any]]:
        """Fragments in the order of shards and rows, each with its `tokens` as they stand in the row."""
        found = []
        for shard in self.manifest.shards:
            rows = files.map_rows(self.path, shard.name, self.manifest.sequence_length)
            at: dict[int, int] = defaultdict(int)
            for one in pq.read_table(files.fragment_path(self.path, shard.name)).to_pylist():
                begin = at[one["seq"]]
                at[one["seq"]] += one["len"]
                tokens = rows[one["seq"]][begin : begin + one["len"]].tolist()
                found.append({**one, "shard": shard.name, "queue": shard.queue, "tokens": tokens})
            for row, used in at.items():
                assert (rows[row][used:] == self.manifest.pad_id).all()
        return found

    def documents(self) -> dict[tuple[int, int], list[int]]:
        """(doc_key, copy) → its tokens from all fragments, which must follow each other; begin ids taken off."""
        pieces: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
        for one in self.fragments():
            pieces[one["doc_key"], one["copy"]].append(one)
        whole = {}
        for key, some in pieces.items():
            tokens: list[int] = []
            for one in sorted(some, key=lambda one: one["doc_offset"]):
                assert one["doc_offset"] == len(tokens)
                mine = one["tokens"]
                tokens += mine[1:] if mine[0] == self.manifest.bos_id else mine
            whole[key] = tokens
        return whole


def pack(documents: Documents, folder: Path, rules: Rules = RULES, pieces: int = 1, **options: Any) -> Packed:
    ids: TokenIds = options.get("ids", IDS)
    mix: Path | None = options.pop("mix", None)
    paths = units(documents, folder / "units", pieces, **options)
    out = folder / "shards"
    out.mkdir(parents=True)
    made = pack_units(paths, out, folder / "plans", rules, ids, mix=mix)
    return Packed(out, made)


def keys(documents: Documents) -> dict[int, list[int]]:
    """doc_key → ids with the end."""
    return {hash64(id): [*ids, EOS] for id, ids in documents.items()}
