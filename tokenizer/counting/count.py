"""Counting: documents in, a table of (word, language, domain) → occurrences and documents out.

One pass over the texts; whatever is trained afterwards (sizes, language weights) reads only the table.  A word
counts at most `clip` times a document, so that one spam page cannot make a token.  The table is the same for
any split of the documents into batches, shards and threads.  Source: reference §3, "Separate count stage".
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import temporary_name
from curation.text.arrow import text_buffers
from tokenizer.counting.merge import merge_counts
from tokenizer.counting.table import CountsInfo, counts_info, read_counts, with_info, write_counts
from tokenizer.counting.weights import word_counts
from tokenizer.counting.word_table import WordTable
from tokenizer.splitting.patterns import Pattern

__all__ = [
    "CLIP",
    "CountsInfo",
    "count_to_file",
    "count_words",
    "counts_info",
    "merge_counts",
    "read_counts",
    "word_counts",
    "write_counts",
]

CLIP = 10  # occurrences of a word that one document adds at most
MEMORY = 1 << 30  # bytes that a table may hold before it is written out (`count_to_file`)
CHUNK_BYTES = 8 << 20  # of text that are cut into words at once; a longer document is one chunk
NO_LANGUAGE, NO_DOMAIN = "und", "unknown"


def count_words(batches: Iterable[pa.RecordBatch], pattern: Pattern, *, clip: int | None = CLIP) -> pa.Table:
    """The count table of documents, in memory; see `count_to_file` for more of them than fit.

    batches: columns text (string or large_string), language, domain (strings); a null text is no document, a
    null language "und", a null domain "unknown".  Returns word, language, domain, n, documents (int64), sorted
    by bytes, with its `CountsInfo` in the schema's metadata.
    """
    _check_clip(clip)
    table, info = WordTable(pattern, clip), CountsInfo(pattern, clip, 0, 0)
    for chunk in _feed(table, batches, info):
        info = info.plus(chunk)
    return with_info(table.to_arrow(), info)


def count_to_file(
    batches: Iterable[pa.RecordBatch],
    target: Path,
    pattern: Pattern,
    *,
    clip: int | None = CLIP,
    memory: int = MEMORY,
) -> CountsInfo:
    """Count documents into the Parquet file `target`, written atomically: one that exists is complete.

    A table that outgrows `memory` bytes is written beside the target and begun anew; DuckDB adds the parts.
    The file's bytes do not depend on `memory`.
    """
    _check_clip(clip)
    empty = CountsInfo(pattern, clip, 0, 0)
    table, info = WordTable(pattern, clip), empty  # what is counted and not yet written
    folder, parts = temporary_name(target), list[Path]()
    try:
        for chunk in _feed(table, batches, empty):
            info = info.plus(chunk)
            if table.nbytes > memory:
                folder.mkdir(parents=True, exist_ok=True)
                parts.append(folder / f"{len(parts)}.parquet")
                write_counts(with_info(table.to_arrow(), info), parts[-1])
                table.clear()
                info = empty
        if not parts:
            write_counts(with_info(table.to_arrow(), info), target)
            return info
        parts.append(folder / "last.parquet")
        write_counts(with_info(table.to_arrow(), info), parts[-1])
        del table
        return merge_counts(parts, target, memory=memory)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _feed(table: WordTable, batches: Iterable[pa.RecordBatch], empty: CountsInfo) -> Iterator[CountsInfo]:
    """Add the documents to `table` chunk by chunk; yields the size of each, always between two documents."""
    for batch in batches:
        missing = [name for name in ("text", "language", "domain") if name not in batch.schema.names]
        if missing:
            raise UsageError(f"the documents have no column {missing[0]!r}", f"found: {', '.join(batch.schema.names)}")
        text = batch["text"]
        if not pa.types.is_large_string(text.type):
            text = text.cast(pa.large_string())
        if text.null_count:
            batch = batch.filter(text.is_valid())
            text = text.drop_null()
        languages = [value or NO_LANGUAGE for value in batch["language"].to_pylist()]
        domains = [value or NO_DOMAIN for value in batch["domain"].to_pylist()]
        offsets, _ = text_buffers(text)
        row = 0
        while row < len(text):
            end = max(row + 1, int(np.searchsorted(offsets, offsets[row] + CHUNK_BYTES, "right")) - 1)
            table.add(text.slice(row, end - row), languages[row:end], domains[row:end])
            yield replace(empty, bytes=int(offsets[end] - offsets[row]), documents=end - row)
            row = end


def _check_clip(clip: int | None) -> None:
    if clip is not None and clip < 1:
        raise UsageError(f"clip must be at least 1 or None, not {clip}")
