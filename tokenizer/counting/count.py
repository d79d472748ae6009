"""Counting: documents in, a table of (word, language, domain) → occurrences and documents out.

One pass over the texts; whatever is trained afterwards (sizes, language weights) reads only the table.  A word
counts at most `clip` times a document, so that one spam page cannot make a token.  The table is the same for
any split of the documents into batches, shards and threads.  Source: reference §3, "Separate count stage".
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
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
    "count_sides",
    "count_to_file",
    "count_words",
    "counts_info",
    "merge_counts",
    "read_counts",
    "word_counts",
    "write_counts",
]

CLIP = 10  # occurrences of a word that one document adds at most
MEMORY = 1 << 30  # bytes that tables may hold before one is written out (`count_sides`)
CHUNK_BYTES = 8 << 20  # of text that are cut into words at once; a longer document is one chunk
NO_LANGUAGE, NO_DOMAIN = "und", "unknown"


def count_words(batches: Iterable[pa.RecordBatch], pattern: Pattern, *, clip: int | None = CLIP) -> pa.Table:
    """The count table of documents, in memory; see `count_sides` for more of them than fit.

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
    """Count documents into the Parquet file `target`; `count_sides` for one side only."""
    return count_sides((("all", batch) for batch in batches), {"all": target}, pattern, clip=clip, memory=memory)["all"]


def count_sides(
    batches: Iterable[tuple[str, pa.RecordBatch]],
    targets: Mapping[str, Path],
    pattern: Pattern,
    *,
    clip: int | None = CLIP,
    memory: int = MEMORY,
) -> dict[str, CountsInfo]:
    """Count each batch into the file of its side, in one pass; each is written atomically: one that exists is complete.

    When the tables together outgrow `memory` bytes the largest is written beside its target and begun anew; DuckDB
    adds the parts.  The files' bytes do not depend on `memory`, nor on what is counted beside them.
    """
    _check_clip(clip)
    sides = {name: _Side(target, pattern, clip) for name, target in targets.items()}
    try:
        for name, batch in batches:
            for _ in sides[name].add(batch):
                if sum(side.table.nbytes for side in sides.values()) > memory:
                    max(sides.values(), key=lambda side: side.table.nbytes).spill()
        for side in sides.values():  # no table is held while DuckDB adds
            side.settle()
        return {name: side.finish(memory) for name, side in sides.items()}
    finally:
        for side in sides.values():
            shutil.rmtree(side.folder, ignore_errors=True)


class _Side:
    """A table in memory, and its parts that were written out."""

    def __init__(self, target: Path, pattern: Pattern, clip: int | None) -> None:
        self.target, self.folder = target, temporary_name(target)
        self.table = WordTable(pattern, clip)
        self.parts = list[Path]()
        self._empty = self._info = CountsInfo(pattern, clip, 0, 0)  # `_info`: of what is not yet written

    def add(self, batch: pa.RecordBatch) -> Iterator[None]:
        """Count a batch; yields where the table may be written out, between two documents."""
        for chunk in _feed(self.table, [batch], self._empty):
            self._info = self._info.plus(chunk)
            yield

    def spill(self) -> None:
        """Write the table beside the target and begin anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(self.folder / f"{len(self.parts)}.parquet")
        self._info = self._empty

    def settle(self) -> None:
        """Write what is in memory: a last part, or the target itself where there is no other."""
        if self.parts:
            self.spill()
        else:
            self._write(self.target)

    def finish(self, memory: int) -> CountsInfo:
        """Add the parts; returns what the target holds."""
        return merge_counts(self.parts, self.target, memory=memory) if self.parts[0] != self.target else self._info

    def _write(self, path: Path) -> None:
        write_counts(with_info(self.table.to_arrow(), self._info), path)
        self.table.clear()
        self.parts.append(path)


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
