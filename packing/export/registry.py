"""The formats by name, and `export`: whole or not at all, from rows that were checked, into a new folder.

A format is a module with `write(job) -> Written`.  Standard library, numpy and pyarrow only.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from curation.pipeline.shards import sync_directory, temporary_name
from packing.export.job import Job, Written, write_bytes
from packing.export.rows import hidden_boundaries
from packing.layout.digests import damage
from packing.layout.manifest import LayoutError, Manifest

FORMATS = {
    "megatron": "Megatron-LM and megatron-core: .bin and .idx, a prefix for each queue, weights in data_args.txt",
    "datatrove": "datatrove and nanotron: .ds with .index, a folder for each queue",
    "olmo": "OLMo-core: .npy without a header, label masks, a folder for each queue",
    "mds": "MosaicML streaming: MDS shards in training order",
    "litdata": "litdata: TokensLoader chunks in training order",
    "arrow": "Hugging Face datasets, load_from_disk: rows and fragments in training order",
    "parquet": "Parquet files: rows and fragments in training order",
}
LINKED = ("megatron", "datatrove", "olmo")  # formats whose data file is ours, byte for byte
UINT16_IDS = 1 << 16
DTYPES: dict[str, np.dtype[Any]] = {"uint32": np.dtype("<u4"), "uint16": np.dtype("<u2")}


@dataclass(frozen=True)
class Exported:
    """What was exported; `usage` also stands in its README.md, and calls the folder OUT."""

    format: str
    path: Path
    rows: int
    bytes: int
    usage: list[str]


def export(directory: Path, to: str, out: Path, *, link: bool = False, dtype: str = "uint32") -> Exported:
    """Write `directory` to the new folder `out` in the format `to`.

    `link`: hard links instead of copies where the rows are the format's own.  `dtype`: uint16 halves the size for
    vocabularies of at most 65,536 rows.  No byte depends on where `directory` and `out` are: an export can be moved.
    Raises UsageError: no finished directory, damaged rows, an unknown format, ids that do not fit, an `out` that
    exists.
    """
    if to not in FORMATS:
        raise UsageError(f"no format is called {to!r}", suggest(to, list(FORMATS)))
    try:
        manifest = Manifest.read(directory)
    except LayoutError as error:
        raise UsageError(str(error)) from None
    _check_request(manifest, to, link, dtype)
    if out.exists():
        raise UsageError(f"{out} exists already", "give a new folder with --out, or remove it")
    _check_rows(directory, manifest)
    out.parent.mkdir(parents=True, exist_ok=True)
    filling = temporary_name(out)
    filling.mkdir()
    try:
        job = Job(directory, manifest, filling, link, DTYPES[dtype])
        written: Written = import_module(f"packing.export.{to}").write(job)
        usage = [*written.usage, *_general(directory, manifest)]
        write_bytes(filling / "README.md", _readme(job, to, written.rows, usage).encode())
        for folder, _, _ in os.walk(filling):
            sync_directory(Path(folder))
        size = sum(path.stat().st_size for path in filling.rglob("*") if path.is_file())
        os.rename(filling, out)
    except BaseException:
        shutil.rmtree(filling, ignore_errors=True)
        raise
    sync_directory(out.parent)
    return Exported(to, out, written.rows, size, usage)


def _check_request(manifest: Manifest, to: str, link: bool, dtype: str) -> None:
    if dtype not in DTYPES:
        raise UsageError(f"no export is of type {dtype!r}", f"known: {', '.join(DTYPES)}")
    if dtype == "uint16" and manifest.vocab_rows > UINT16_IDS:
        raise UsageError(
            f"uint16 holds ids up to {UINT16_IDS - 1:,}; the vocabulary has {manifest.vocab_rows:,} rows",
            "use --dtype uint32",
        )
    if manifest.vocab_rows > 2**31 and to in ("megatron", "litdata"):
        raise UsageError(f"{to} reads ids as int32; this vocabulary has {manifest.vocab_rows:,} rows")
    if link and to not in LINKED:
        raise UsageError(f"{to} puts its own bytes around the rows: there is nothing to link", "leave out --link")
    if link and dtype != "uint32":
        raise UsageError("rows are stored as uint32: a link cannot be uint16", "leave out --link or --dtype")
    if not any(shard.rows for shard in manifest.shards):
        raise UsageError("the directory holds no rows", "pack documents first")


def _check_rows(directory: Path, manifest: Manifest) -> None:
    """Nothing is exported that differs from what was packed."""
    digests = [digest for shard in manifest.shards for digest in shard.files]
    digests += [stage.file for stage in manifest.stages if stage.file]
    for digest in digests:
        if words := damage(directory, digest):
            raise UsageError(
                f"{directory / digest.name}: {'; '.join(words)}", "see `curate shards verify`; restore it or pack again"
            )


def _general(directory: Path, manifest: Manifest) -> list[str]:
    hidden, rows = hidden_boundaries(directory, manifest), sum(shard.rows for shard in manifest.shards)
    lines = [
        f"Rows have exactly {manifest.sequence_length} tokens; ids are below {manifest.vocab_rows}; EOS is "
        f"{manifest.eos_id}, padding is {manifest.pad_id} and stands at the end of a row only: mask it in the loss."
    ]
    if hidden:
        lines.append(
            f"In {hidden} of {rows} rows a piece of a document ends without EOS before another begins: a reader that "
            "infers documents from EOS sees them as one. Pack with `long: split` to avoid it."
        )
    return lines


def _readme(job: Job, to: str, rows: int, usage: list[str]) -> str:
    head = [
        f"# Packed sequences for {to}",
        "",
        f"{rows} rows of {job.manifest.sequence_length} tokens, {job.dtype.name}. Source digest: {job.manifest.root}.",
        "OUT is this folder.",
        "",
    ]
    return "\n".join([*head, *(f"- {line}" for line in usage), ""])
