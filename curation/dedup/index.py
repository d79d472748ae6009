"""An index: what a finished run kept, so that a later crawl is deduplicated without the old texts.

A folder with `index.json` (written last) and one Parquet file for each shard: id, doc_key, shingle_count,
shingles (sorted, uint32) and one column of keys for each band.  The header holds every number that the keys
depend on; the format is INDEX_FORMAT, described in docs/dedup.md, pinned by golden vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import xxhash

from curation.dedup.presets import PRESETS, Banding
from curation.dedup.sketch import FIRST, SKETCH_VERSION, permutations
from curation.pipeline.errors import UsageError
from curation.text.shingles import SHINGLE_VERSION, WORDS

INDEX_FORMAT = 1
HEADER = "index.json"
KIND = "curate near-duplicate index"
AGAIN = "write the index anew with `curate dedup-index RUN PATH`"


@dataclass(frozen=True)
class Index:
    """An index whose header and files were found in order."""

    path: Path
    header: dict[str, Any]


def settings(banding: Banding) -> dict[str, Any]:
    """What two indices must have in common for their keys to meet."""
    seeds = xxhash.xxh3_128(b"".join(array.astype("<u4").tobytes() for array in permutations(banding.permutations)))
    return {
        "bands": banding.bands,
        "rows": banding.rows,
        "ngram": WORDS,
        "sketch_version": SKETCH_VERSION,
        "shingle_version": SHINGLE_VERSION,
        "seed": FIRST,
        "permutations": seeds.hexdigest(),
    }


def open_index(path: Path, banding: Banding, scope: str) -> Index:
    """Check the header and that every part is there in full; raises UsageError with the reason and what to do."""
    header = _header(path)
    if header.get("format") != INDEX_FORMAT:
        raise UsageError(
            f"{path} has index format {header.get('format')}, this curate reads {INDEX_FORMAT}",
            f"use the version that wrote it, or {AGAIN}",
        )
    for key, here in settings(banding).items():
        there = header["settings"].get(key)
        if there != here:
            raise UsageError(f"{path} was written with {key} = {there}, this run has {here}", _remedy(header, key))
    for part in header["parts"]:
        file = path / part["file"]
        if not file.is_file():
            raise UsageError(f"{path} is incomplete: {part['file']} is missing", f"copy it again, or {AGAIN}")
        if (size := file.stat().st_size) != part["bytes"]:
            reason = f"{file} has {size:,} bytes, {HEADER} says {part['bytes']:,}: it is truncated or changed"
            raise UsageError(reason, f"copy it again, or {AGAIN}")
    return Index(path, header)


def _header(path: Path) -> dict[str, Any]:
    try:
        header = orjson.loads((path / HEADER).read_bytes())
    except FileNotFoundError:
        what = "no index there" if not path.is_dir() else f"it has no {HEADER}, so it was never finished"
        raise UsageError(f"{path}: {what}", AGAIN) from None
    except (orjson.JSONDecodeError, NotADirectoryError):
        raise UsageError(f"{path / HEADER} is damaged", AGAIN) from None
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise UsageError(f"{path / HEADER} is no header of a {KIND}", AGAIN)
    return header


def _remedy(header: dict[str, Any], key: str) -> str:
    if key in ("bands", "rows"):
        there = (header["settings"].get("bands"), header["settings"].get("rows"))
        names = [name for name, one in PRESETS.items() if (one.bands, one.rows) == there]
        return f"set dedup.minhash.preset={names[0]}, or {AGAIN}" if names else AGAIN
    return f"use the version of curate that wrote it, or {AGAIN}"


def index_files(indices: list[Index]) -> list[dict[str, Any]]:
    """The parts as files of tasks: name, size and digest identify them, not where they lie."""
    return [
        {
            "kind": "part",
            "path": str((index.path / part["file"]).absolute()),
            **{key: part[key] for key in ("file", "source", "documents", "bytes", "digest")},
        }
        for index in indices
        for part in index.header["parts"]
    ]


def file_digest(path: Path) -> str:
    """xxh3-128 of a file's bytes."""
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
