"""The count table on disk: sorted Parquet that says by which pattern, Unicode table and clip it was made.

Everything that trains or merges reads through `read_counts` / `counts_info`, which refuse a table that
was counted otherwise, so a vocabulary can never mix two ways of cutting text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.pipeline.errors import CurateError, UsageError
from curation.pipeline.hashing import canonical_json
from curation.pipeline.shards import sync_directory, temporary_name
from tokenizer.splitting.patterns import UNICODE_TABLE_VERSION, Pattern

FORMAT = 1
ANY_CLIP = -1  # `read_counts`: whatever the table has
METADATA = b"curate.word_counts"
ROW_GROUP_ROWS = 1 << 17
ROW_GROUP_BYTES = 64 << 20  # of words: a few words of many megabytes must not share a Parquet page

COUNTS_SCHEMA = pa.schema(
    [
        pa.field("word", pa.large_binary(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class CountsInfo:
    """How a table was counted, and of how much text.

    clip: most occurrences of a word that one document adds (None: all).  bytes, documents: of the texts
    counted.  thinned: None, or what `thin_rare` did; such a table is for training only.
    """

    pattern: Pattern
    clip: int | None
    bytes: int
    documents: int
    unicode: str = UNICODE_TABLE_VERSION
    thinned: str | None = None

    @property
    def method(self) -> tuple[Any, ...]:
        """What two tables must share to be added."""
        return self.pattern.name, self.pattern.stages, self.clip, self.unicode, self.thinned

    def plus(self, other: CountsInfo) -> CountsInfo:
        return replace(self, bytes=self.bytes + other.bytes, documents=self.documents + other.documents)


def with_info(table: pa.Table, info: CountsInfo) -> pa.Table:
    """`table` with `info` in its schema's metadata."""
    return table.replace_schema_metadata({METADATA: canonical_json({"format": FORMAT, **asdict(info)})})


def counts_info(source: pa.Table | pa.Schema | Path) -> CountsInfo:
    """How a table, or the file at a path, was counted.

    Raises CurateError for a file that is damaged or no count table, or was made with another Unicode table.
    """
    if isinstance(source, Path):
        with _open(source) as file:
            return _info(file.schema_arrow, str(source))
    return _info(source if isinstance(source, pa.Schema) else source.schema, "this table")


def _info(schema: pa.Schema, name: str) -> CountsInfo:
    raw = (schema.metadata or {}).get(METADATA)
    if raw is None or schema.names != COUNTS_SCHEMA.names:
        raise _foreign(name)
    fields = orjson.loads(raw)
    if (found := fields.pop("format")) != FORMAT:
        raise UsageError(f"{name} has format {found}, this version reads {FORMAT}", "count the texts again")
    pattern = Pattern(fields["pattern"]["name"], tuple(fields["pattern"]["stages"]))
    info = CountsInfo(**{**fields, "pattern": pattern})
    if info.unicode != UNICODE_TABLE_VERSION:
        raise UsageError(
            f"{name} was counted with Unicode table {info.unicode}, this version has {UNICODE_TABLE_VERSION}",
            "words may be cut differently: count the texts again",
        )
    return info


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=["language", "domain"])
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", "give a table made by `curate tokenizer count`") from None
    except KeyError:  # no such columns
        raise _foreign(str(path)) from None
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _foreign(name: str) -> UsageError:
    return UsageError(f"{name} is not a table of word counts", "make one with `curate tokenizer count`")


def _damaged(path: Path, error: BaseException) -> CurateError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return CurateError(f"{path} is damaged or cut short ({lines[0]})", "remove it and count its shard again")


def read_counts(
    path: Path, *, pattern: Pattern | None = None, clip: int | None = ANY_CLIP, columns: list[str] | None = None
) -> pa.Table:
    """The table at `path`, its information in the schema's metadata; page checksums are verified.

    Where `pattern` or `clip` (≥ 1, or None for unclipped) is given, a table counted otherwise is refused.
    Raises UsageError (not that table) or CurateError (damaged), naming the file and the remedy.
    """
    info = counts_info(path)
    if pattern is not None and info.pattern != pattern:
        raise UsageError(
            f"{path} was counted with pattern {info.pattern.name!r}, not {pattern.name!r}",
            "train with that pattern, or count again",
        )
    if clip != ANY_CLIP and info.clip != clip:
        raise UsageError(f"{path} was counted with clip {info.clip}, not {clip}", "count again")
    schema = COUNTS_SCHEMA if columns is None else pa.schema([COUNTS_SCHEMA.field(name) for name in columns])
    tables = [pa.Table.from_batches([batch]).cast(schema) for batch in read_batches(path, columns)]
    return with_info(pa.concat_tables([schema.empty_table(), *tables]), info)


def read_batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a count table, one row group at a time; language and domain dictionary-encoded."""
    names = columns or COUNTS_SCHEMA.names
    with _open(path) as file:
        for group in range(file.num_row_groups):
            try:
                table = file.read_row_group(group, columns=names, use_threads=False)
                table.validate()
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, error) from None
            yield from table.combine_chunks().to_batches()


def write_counts(table: pa.Table, path: Path) -> None:
    """Write a table that carries its information (`with_info`, `count_words`) to `path`, atomically."""
    write_rows(path, counts_info(table), iter([table]))


def write_rows(path: Path, info: CountsInfo, rows: Iterable[pa.Table]) -> None:
    """Write sorted rows in row groups that depend on the rows alone, not on how they arrive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    schema = with_info(COUNTS_SCHEMA.empty_table(), info).schema
    try:
        with pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=["language", "domain", "n", "documents"],
            column_encoding={"word": "DELTA_BYTE_ARRAY"},  # neighbours share prefixes: a quarter less than plain
            write_page_checksum=True,
        ) as writer:
            for group in _row_groups(rows):
                writer.write_table(group.replace_schema_metadata(schema.metadata), row_group_size=ROW_GROUP_ROWS)
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def _row_groups(rows: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """`rows` cut after ROW_GROUP_ROWS rows, or after the word with which a group reaches ROW_GROUP_BYTES."""
    pending = COUNTS_SCHEMA.empty_table()
    for table in rows:
        pending = pa.concat_tables([pending, table.replace_schema_metadata(None)]).combine_chunks()
        while (cut := _first_cut(pending)) is not None:
            yield pending.slice(0, cut)
            pending = pending.slice(cut)
    if len(pending):
        yield pending


def _first_cut(table: pa.Table) -> int | None:
    """Rows of the first row group; None if more rows may belong to it."""
    head = table["word"].slice(0, ROW_GROUP_ROWS)
    size = np.cumsum(np.asarray(pc.binary_length(head)))
    within = int(np.searchsorted(size, ROW_GROUP_BYTES)) + 1
    if within <= len(head):
        return within
    return ROW_GROUP_ROWS if len(head) == ROW_GROUP_ROWS else None
