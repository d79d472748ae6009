"""Held-out documents as ids: of files, or those that a run holds out (`split` = holdout) and packing leaves out.

A document longer than a training row is cut into windows of one row, so that nothing is asked beyond the training
length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from proxy_model.settings import DocumentsConfig, Request
from proxy_model.train.held_out import HeldOut, of_sequences

GROUPS = ("source", "language", "bucket")
REMEDY = "say evaluate: {holdout: {documents: file.parquet}}, {holdout: 0.02} for a share of the rows, or none"


def held_out_of(request: Request) -> tuple[HeldOut | None, NDArray[np.uint32] | None]:
    """(held-out sequences or None, bytes of every id or None); a share of the rows is split off by the loop.

    Raises UsageError: no tokenizer, another tokenizer, no such documents, none held out.
    """
    chosen = request.config.evaluate.holdout
    lengths = byte_lengths(request)
    if chosen == "none" or isinstance(chosen, float):
        return None, lengths
    if isinstance(chosen, DocumentsConfig):
        batches = _of_files(chosen, request.base)
    elif request.run_folder is None:
        raise UsageError(
            "the shards stand in no run, so no held-out documents are known",
            REMEDY,
        )
    else:
        batches = _of_run(request.run_folder)
    if request.tokenizer is None or lengths is None:
        raise UsageError("held-out documents need the shards' tokenizer", "say tokenizer: PATH")
    found = _encoded(batches, request.tokenizer, lengths, request.manifest.sequence_length)
    if not len(found):
        raise UsageError(
            "no document is held out",
            REMEDY,
        )
    return found, lengths


def byte_lengths(request: Request) -> NDArray[np.uint32] | None:
    """UTF-8 bytes of every id, from the tokenizer; None without one.  Raises UsageError for another tokenizer."""
    if request.tokenizer is None:
        return None
    from tokenizer.encoding.source import open_tokenizer

    opened = open_tokenizer(request.tokenizer)
    if opened.hash != request.manifest.tokenizer:
        raise UsageError(
            f"{request.tokenizer} is tokenizer {opened.hash[:12]}, the shards were made with "
            f"{request.manifest.tokenizer[:12]}",
            "give the run's own: tokenizer: runs/NAME/tokenizer",
        )
    made = np.zeros(max(request.manifest.vocab_rows, 1 + max(opened.raw["model"]["vocab"].values())), np.uint32)
    for text, number in opened.raw["model"]["vocab"].items():
        made[number] = len(text)  # byte-level: one character a byte
    made[list(opened.special_ids.values())] = 0
    return made


def _of_run(folder: Path) -> Iterator[pa.Table]:
    files = sorted((folder / "documents").glob("*.parquet"))
    for path in files:
        if "split" in pq.read_schema(path).names:
            names = [n for n in ("id", "text", "split", *GROUPS) if n in pq.read_schema(path).names]
            table = pq.read_table(path, columns=names)
            yield table.filter(pc.equal(table["split"].cast(pa.string()), "holdout"))


def _of_files(chosen: DocumentsConfig, base: Path) -> Iterator[pa.Table]:
    from tokenizer.documents import is_parquet, read_documents

    patterns = [chosen.documents] if isinstance(chosen.documents, str) else chosen.documents
    for pattern in patterns:
        files = sorted(base.glob(pattern)) if not Path(pattern).is_absolute() else sorted(Path("/").glob(pattern[1:]))
        if not files:
            raise UsageError(f"no file matches {pattern!r} in {base}", "patterns are relative to the config file")
        for path in files:
            if is_parquet(path):
                names = pq.read_schema(path).names
                if "text" not in names:
                    raise UsageError(f"{path}: no column 'text'", f"it has {', '.join(names)}")
                yield pq.read_table(path, columns=[n for n in ("id", "text", *GROUPS) if n in names])
            else:
                yield pa.Table.from_batches(list(read_documents([path]))).select(["id", "text"])


def _encoded(tables: Iterator[pa.Table], tokenizer: Path, lengths: NDArray[np.uint32], sequence_length: int) -> HeldOut:
    from tokenizer.encoding.encode import open_encoder

    encoder = open_encoder(tokenizer)
    sequences: list[NDArray[np.int64]] = []
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    for table in tables:
        if not table.num_rows:
            continue
        text = pc.fill_null(table["text"].cast(pa.large_string()), "").combine_chunks()
        ids, ends = encoder.encode(text)
        values = {
            name: [str(one) if one is not None else "" for one in table[name].to_pylist()]
            if name in table.column_names
            else [""] * table.num_rows
            for name in GROUPS
        }
        for row in range(table.num_rows):
            document = np.asarray(ids[ends[row] : ends[row + 1]], np.int64)
            for start in range(0, len(document), sequence_length):
                sequences.append(document[start : start + sequence_length])
                for name in GROUPS:
                    groups[name].append(values[name][row])
    n_bytes = [int(lengths[one[1:]].sum()) for one in sequences]
    return of_sequences(sequences, n_bytes, groups["source"], groups["language"], groups["bucket"])
