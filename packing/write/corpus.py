"""Pass 1 over files: Parquet documents (id, text) or their ids (tokens.parquet), cut into tasks of some row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError
from curation.pipeline.folders import FolderWriter
from packing.write.encoded import DOCUMENT_SCHEMA, NO_SOURCE, EncodedDocuments, encoded, of_token_batches
from packing.write.occurrences import Occurrences
from packing.write.token_ids import TokenIds
from packing.write.unit import write_units
from tokenizer.encoding.corpus import HASH_KEY
from tokenizer.encoding.encode import Encoder

TASK_BYTES = 64 << 20  # of a column of texts as stored uncompressed: some seconds of encoding, 16 M ids
TEXT, IDS = "text", "tokens"


@dataclass(frozen=True)
class Piece:
    """Row groups first … last − 1 of a file."""

    path: Path
    first: int
    last: int


def parquet_files(corpus: Sequence[Path]) -> list[Path]:
    """The Parquet files of folders and files, in order of their names.  Raises UsageError: none, or no documents."""
    found = [file for one in corpus for file in (sorted(one.rglob("*.parquet")) if one.is_dir() else [one])]
    if not found:
        raise UsageError(f"no Parquet file in {', '.join(map(str, corpus))}", "give shards of documents (id, text)")
    for path in found:
        try:
            names = set(pq.read_schema(path).names)
        except (pa.ArrowInvalid, FileNotFoundError) as error:
            raise UsageError(f"{path}: no whole Parquet file ({error})", "give shards of documents") from None
        if "id" not in names or not names & {TEXT, IDS}:
            raise UsageError(f"{path}: documents need the columns id and text (or tokens)", f"it has {sorted(names)}")
    return sorted(set(found))


def pieces(files: Sequence[Path], task_bytes: int = TASK_BYTES) -> list[Piece]:
    """Tasks of about `task_bytes`, in the files' order; how they are cut changes nothing of what is packed."""
    made = []
    for path in files:
        metadata = pq.read_metadata(path)
        first, size = 0, 0
        for group in range(metadata.num_row_groups):
            size += metadata.row_group(group).total_byte_size
            if size >= task_bytes:
                made.append(Piece(path, first, group + 1))
                first, size = group + 1, 0
        if first < metadata.num_row_groups:
            made.append(Piece(path, first, metadata.num_row_groups))
    return made


def encode_piece(
    piece: Piece, folder: Path, encoder: Callable[[], Encoder], tokens: TokenIds, occurrences_of: Occurrences
) -> None:
    """Units of a piece in `folder`, whole or not at all.  `encoder` is asked for only where there are texts."""
    writer = FolderWriter(folder)
    try:
        for _ in write_units(_documents(piece, encoder, tokens), writer.filling, tokens, occurrences_of):
            pass
        writer.close()
    except BaseException:
        writer.discard()
        raise


def _documents(piece: Piece, encoder: Callable[[], Encoder], tokens: TokenIds) -> Iterator[EncodedDocuments]:
    with pq.ParquetFile(piece.path, memory_map=False, pre_buffer=False) as file:
        schema = file.schema_arrow
        given = IDS in schema.names
        if given and (found := (schema.metadata or {}).get(HASH_KEY, b"").decode()) != tokens.tokenizer:
            raise UsageError(
                f"{piece.path}: ids of tokenizer {found[:12] or '?'}…, expected {tokens.tokenizer[:12]}…",
                "name the tokenizer that made them, or encode the documents again",
            )
        columns = [name for name in (*DOCUMENT_SCHEMA.names, IDS if given else TEXT) if name in schema.names]
        for group in range(piece.first, piece.last):
            table = file.read_row_group(group, columns=columns, use_threads=False).combine_chunks()
            try:
                if given:
                    yield from of_token_batches(table.to_batches(), NO_SOURCE)
                else:
                    yield from encoded(table.to_batches(), encoder())
            except UsageError as error:
                raise UsageError(f"{piece.path}: {error}") from None
