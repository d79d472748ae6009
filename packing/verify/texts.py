"""Documents encoded again: the ids of the rows are those of the run's texts, whatever wrote them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, hash64
from packing.layout import files
from packing.layout.manifest import Manifest
from packing.verify.contents import begins_with_bos
from packing.verify.documents import DOCS
from packing.verify.faults import Fault


def text_faults(
    directory: Path, manifest: Manifest, tokenizer: Path, documents: Sequence[Path], sample: int
) -> tuple[list[Fault], int]:
    """(faults, documents compared).  The sample is the same for the same seed.  Raises UsageError."""
    from tokenizer.encoding.encode import open_encoder
    from tokenizer.encoding.source import open_tokenizer

    if (found := open_tokenizer(tokenizer).hash) != manifest.tokenizer:
        raise UsageError(
            f"{tokenizer} is tokenizer {found[:12]}, the rows were made with {manifest.tokenizer[:12]}",
            "give the run's own: runs/NAME/tokenizer",
        )
    encoder = open_encoder(tokenizer)
    chosen = choose(directory, manifest.seed, sample)
    packed = collect(directory, manifest, list(chosen.values()))
    faults, compared = [], 0
    for name, text in _texts(documents, set(chosen)):
        encoded = encoder.encode(pa.array([text], pa.large_string()))
        ids = np.append(np.asarray(encoded[0], np.uint32), np.uint32(manifest.eos_id))
        for copy, (tokens, whole) in packed.get(chosen.pop(name), {}).items():
            compared += 1
            due = ids if whole else ids[: len(tokens)]
            if not np.array_equal(tokens, due):
                faults.append(Fault(DOCS, f"{name!r}, copy {copy}: the packed ids are not those of its text"))
    faults += [Fault(DOCS, f"{name!r} is not among the documents given") for name in chosen]
    return faults, compared


def choose(directory: Path, seed: int, sample: int) -> dict[str, int]:
    """id → doc_key of the `sample` packed documents whose keyed hash is lowest."""
    own = derive_seed(seed, Purpose.SUBSET, "verify")

    def listed() -> Iterator[tuple[int, str, int]]:
        for batch in pq.ParquetFile(directory / DOCS).iter_batches(columns=["doc_key", "id"]):
            for key, name in zip(batch["doc_key"].to_pylist(), batch["id"].to_pylist(), strict=True):
                yield hash64(name, own), name, key

    return {name: key for _, name, key in heapq.nsmallest(sample, listed())}


def collect(
    directory: Path, manifest: Manifest, keys: list[int]
) -> dict[int, dict[int, tuple[NDArray[np.uint32], bool]]]:
    """doc_key → copy → (its tokens without begin ids, whether it is whole), from all shards."""
    wanted = pa.array(keys, pa.uint64())
    pieces: dict[tuple[int, int], list[tuple[int, NDArray[np.uint32], int]]] = {}
    for shard in manifest.shards:
        table = pq.read_table(files.fragment_path(directory, shard.name), use_threads=False)
        here = np.flatnonzero(pc.is_in(table["doc_key"], value_set=wanted).to_numpy())
        if not len(here):
            continue
        rows = files.map_rows(directory, shard.name, manifest.sequence_length)
        length, seq = table["len"].to_numpy().astype(np.int64), table["seq"].to_numpy()
        before = np.cumsum(length) - length
        flags = table["flags"].to_numpy()
        skip = begins_with_bos(manifest, flags)
        for i in here.tolist():
            begin = int(before[i] - before[np.searchsorted(seq, seq[i])])
            tokens = np.array(rows[seq[i], begin + int(skip[i]) : begin + int(length[i])])
            owner = (table["doc_key"][i].as_py(), table["copy"][i].as_py())
            pieces.setdefault(owner, []).append((table["doc_offset"][i].as_py(), tokens, int(flags[i])))
    made: dict[int, dict[int, tuple[NDArray[np.uint32], bool]]] = {}
    for (key, copy), parts in pieces.items():
        parts.sort(key=lambda part: part[0])
        whole = bool(parts[-1][2] & files.LAST)
        made.setdefault(key, {})[copy] = (np.concatenate([tokens for _, tokens, _ in parts]), whole)
    return made


def _texts(documents: Sequence[Path], names: set[str]) -> Iterator[tuple[str, str]]:
    """(id, text) of the named documents, read a row group at a time."""
    value_set = pa.array(sorted(names), pa.string())
    for path in documents:
        try:
            source = pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise UsageError(f"{path}: {error}", "give Parquet files of documents") from None
        if missing := {"id", "text"} - set(source.schema_arrow.names):
            raise UsageError(f"{path}: no column {sorted(missing)[0]!r}", "give Parquet files of documents")
        for group in range(source.num_row_groups):
            table = source.read_row_group(group, columns=["id", "text"], use_threads=False)
            found = table.filter(pc.is_in(table["id"], value_set=value_set))
            yield from zip(found["id"].to_pylist(), (text or "" for text in found["text"].to_pylist()), strict=True)
