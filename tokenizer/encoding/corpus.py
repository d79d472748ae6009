"""A shard of documents → a shard of ids: `tokens.parquet`, one row per document, in the documents' order.

    id string · doc_key uint64 · token_count int64 · tokens large_list<uint32>

Row groups are bounded, so a reader holds one at a time; a column of one row group is one buffer of ids and
one of offsets (the document index), which packing reads without copying:

    for batch in read_tokens(path, tokenizer_hash):
        ids, ends = token_arrays(batch)  # uint32[…], int64[n + 1]

The tokenizer's hash stands in the schema's metadata; readers refuse another one.  A shard is written whole
or not at all, described by a manifest written last; an existing one of the same input and tokenizer is kept.
Ids are the same whatever engine made them, so engines are named in the manifest only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint, hash64
from curation.pipeline.manifest import Manifest
from curation.pipeline.shards import ShardWriter, row_groups, sweep_stale
from tokenizer.documents import REPAIR, is_parquet, open_parquet, read_documents, readable
from tokenizer.encoding.encode import Encoded, Encoder
from tokenizer.encoding.special_text import AllowSpecial

TOKENS = "tokens.parquet"
STEP = "tokenizer.encode"
VERSION = 1
HASH_KEY = b"curate.tokenizer"
COUNT_FIELDS = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("doc_key", pa.uint64(), nullable=False),
    pa.field("token_count", pa.int64(), nullable=False),
]
TOKEN_FIELDS = [*COUNT_FIELDS, pa.field("tokens", pa.large_list(pa.field("item", pa.uint32(), nullable=False)))]


def counts_schema(tokenizer_hash: str) -> pa.Schema:
    """Columns of `count_batch`."""
    return pa.schema(COUNT_FIELDS, {HASH_KEY: tokenizer_hash.encode()})


def tokens_schema(tokenizer_hash: str) -> pa.Schema:
    """Columns of `encode_batch` and of tokens.parquet."""
    return pa.schema(TOKEN_FIELDS, {HASH_KEY: tokenizer_hash.encode()})


def count_batch(batch: pa.RecordBatch, encoder: Encoder) -> pa.RecordBatch:
    """`token_count` of each document (columns id, text and, if there is one, doc_key); ids are not kept."""
    counts = pa.array(encoder.token_counts(batch.column("text")))
    return pa.RecordBatch.from_arrays([*_identity(batch), counts], schema=counts_schema(encoder.hash))


def encode_batch(
    batch: pa.RecordBatch, encoder: Encoder, *, allow_special: AllowSpecial = ()
) -> tuple[pa.RecordBatch, Encoded]:
    """A row of `tokens_schema` for each document, and what a report should say of them."""
    encoded = encoder.encode_counted(batch.column("text"), allow_special=allow_special)
    schema = tokens_schema(encoder.hash)
    tokens = pa.LargeListArray.from_arrays(encoded.offsets, encoded.ids, type=schema.field("tokens").type)
    counts = pa.array(np.diff(encoded.offsets))
    return pa.RecordBatch.from_arrays([*_identity(batch), counts, tokens], schema=schema), encoded


def encode_shard(source: Path, directory: Path, encoder: Encoder, *, allow_special: AllowSpecial = ()) -> Manifest:
    """Encode a file of documents (Parquet with id and text, or JSON lines) into `directory`; returns its manifest.

    Work done for the same input (name, size, time of change), tokenizer and permissions is not done again.
    Raises UsageError with the file for what cannot be read or is no text.
    """
    status = source.stat()
    allowed = sorted(encoder.special_text.allowed(allow_special))
    work = fingerprint([STEP, VERSION, encoder.hash, source.name, status.st_size, status.st_mtime_ns, allowed])
    finished = Manifest.read(directory)
    if finished is not None and finished.fingerprint == work:
        return finished
    directory.mkdir(parents=True, exist_ok=True)
    sweep_stale(directory)
    counts = dict.fromkeys(("documents", "bytes", "tokens", "special_text", "by_reference"), 0)
    wall, cpu = time.perf_counter(), time.process_time()
    writer = ShardWriter(directory / TOKENS, tokens_schema(encoder.hash))
    try:
        for batch in _documents(source):
            rows, encoded = encode_batch(batch, encoder, allow_special=allowed)
            writer.write(rows)
            counts["documents"] += batch.num_rows
            counts["bytes"] += pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0
            counts["tokens"] += len(encoded.ids)
            counts["special_text"] += int(encoded.special_text.sum())
            counts["by_reference"] += int(encoded.by_reference.sum())
        output = writer.close()
    except BaseException:
        writer.discard()
        raise
    manifest = Manifest(
        task=source.stem,
        step=STEP,
        fingerprint=work,
        outputs={"tokens": output},
        counts=counts,
        versions={"tokenizer": encoder.hash, encoder.engine: encoder.version},
        wall_s=time.perf_counter() - wall,
        cpu_s=time.process_time() - cpu,
    )
    manifest.write(directory)
    return manifest


def _documents(source: Path) -> Iterator[pa.RecordBatch]:
    """id, text and, where there is one, doc_key."""
    if not is_parquet(source):
        yield from (batch.select(["id", "text"]) for batch in read_documents([source]))
        return
    with open_parquet(source) as file:
        schema = file.schema_arrow
    for name in ("id", "text"):
        if name not in schema.names:
            remedy = f"give shards of documents with id and text; it has {', '.join(schema.names)}"
            raise UsageError(f"{source}: no column {name!r}", remedy)
    kind = schema.field("text").type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UsageError(f"{source}: the column 'text' holds {kind}", "strings are expected")
    names = [name for name in ("id", "doc_key", "text") if name in schema.names]
    row = 0
    for batch in readable(row_groups(source, names), source):
        try:
            batch["text"].validate(full=True)
        except pa.ArrowInvalid as error:
            raise UsageError(f"{source}, counted from row {row + 1}: not UTF-8 ({error})", REPAIR) from None
        row += batch.num_rows
        yield batch


def read_tokens(path: Path, tokenizer_hash: str) -> Iterator[pa.RecordBatch]:
    """The row groups of a tokens.parquet (or of counts), one in memory at a time.

    Raises UsageError where the file is damaged, no such shard, or was made with another tokenizer.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path}: no whole Parquet file ({error})", "encode the shard again") from None
    found = metadata.get(HASH_KEY, b"").decode()
    if not found:
        raise UsageError(f"{path}: no shard of tokens: it names no tokenizer", "give a directory that encoding wrote")
    if found != tokenizer_hash:
        raise UsageError(
            f"{path}: made with tokenizer {found[:12]}…, expected {tokenizer_hash[:12]}…",
            "encode the documents again with this tokenizer, or name the tokenizer that made them",
        )
    return row_groups(path)


def token_arrays(batch: pa.RecordBatch) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(ids uint32, ends int64[n + 1]) of a batch, without copying; the ids of row i: ids[ends[i]:ends[i + 1]]."""
    tokens = batch.column("tokens")
    return np.asarray(tokens.values), np.asarray(tokens.offsets)


def _identity(batch: pa.RecordBatch) -> list[pa.Array]:
    ids = batch.column("id").cast(pa.string())
    if "doc_key" in batch.schema.names:
        return [ids, batch.column("doc_key")]
    return [ids, pa.array([hash64(one) for one in ids.to_pylist()], pa.uint64())]
