"""Streams documents through every tokenizer once and keeps only sums: per unit, per language and domain.

Flow: documents → `measure` → `Measured` → `evaluate` forms the ratios.  Memory does not grow with the text:
at most 8,192 rows of sums a group and the counts of the ids it uses.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from curation.text.arrow import text_buffers
from tokenizer.counting.splits import page_keys
from tokenizer.evaluation.bootstrap import Units
from tokenizer.evaluation.subjects import Subject
from tokenizer.evaluation.word_pieces import FIELDS, TOKENS, TokenBytes, word_pieces

BATCH_BYTES = 8 << 20  # text encoded at a time; a longer document goes alone
MAX_GROUPS = 2_000
UNKNOWN = "und"  # ISO 639-2: language not determined; also a document without a domain
DOCUMENTS, REFERENCE, HEAD = 0, 1, 2  # first columns of a unit; then FIELDS and one more for each subject
PER_SUBJECT = len(FIELDS) + 1  # … and the tokens of the documents that have a reference count

Key = tuple[str | None, str | None]  # language, domain; None for all of them


class Frequencies:
    """How often each id occurred: sorted distinct ids with counts, merged now and then."""

    def __init__(self) -> None:
        self.ids, self.counts = np.empty(0, np.int64), np.empty(0, np.int64)
        self._pending: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def add(self, ids: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Distinct ids with counts."""
        self._pending.append((ids, counts))
        if sum(len(one) for one, _ in self._pending) > max(1 << 16, len(self.ids)):
            self.settle()

    def settle(self) -> Frequencies:
        ids = np.concatenate([self.ids, *(i for i, _ in self._pending)])
        counts = np.concatenate([self.counts, *(c for _, c in self._pending)])
        self.ids, inverse = np.unique(ids, return_inverse=True)
        self.counts = np.zeros(len(self.ids), np.int64)
        np.add.at(self.counts, inverse, counts)
        self._pending = []
        return self


@dataclass
class Measured:
    """Sums of one pass.  `units[key].values` columns: DOCUMENTS, REFERENCE, then PER_SUBJECT a subject.

    frequencies[s][key]: counts of the ids of subject s.  seconds[s]: wall time of its encoder.
    references: whether any document had a count of a monolingual vocabulary.
    """

    subjects: Sequence[Subject]
    units: dict[Key, Units] = field(default_factory=dict)
    frequencies: list[dict[Key, Frequencies]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    text_bytes: int = 0

    @property
    def columns(self) -> int:
        return HEAD + PER_SUBJECT * len(self.subjects)

    def column(self, subject: int, name: int) -> int:
        """Position of a field of `word_pieces.FIELDS` (len(FIELDS) = tokens where a reference is known)."""
        return HEAD + PER_SUBJECT * subject + name


def measure(subjects: Sequence[Subject], documents: Iterable[pa.RecordBatch]) -> Measured:
    """One pass over documents with columns text, language, domain, id (and page, reference_tokens).

    Null languages and domains count as "und".  `page` (else `id`) is the unit that the bootstrap draws.
    `reference_tokens` is the number of tokens of a monolingual vocabulary, null where there is none.
    Raises UsageError for missing columns, two subjects of one name, or more than 2,000 groups.
    """
    if len({subject.name for subject in subjects}) != len(subjects):
        raise UsageError(f"two tokenizers have one name: {[subject.name for subject in subjects]}")
    made = Measured(subjects, {}, [{} for _ in subjects], [0.0] * len(subjects))
    tables = [subject.table() for subject in subjects]
    for batch in documents:
        for part in _parts(checked(batch)):
            _measure_part(made, part, tables)
    return with_totals(made)


def checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with `text` as large_string; UsageError where a needed column is missing."""
    for name in ("text", "language", "domain"):
        if name not in batch.schema.names:
            raise UsageError(f"the documents have no column {name!r}", f"columns: {', '.join(batch.schema.names)}")
    at = batch.schema.get_field_index("text")
    return batch.set_column(at, "text", batch.column(at).cast(pa.large_string()))


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Slices of at most BATCH_BYTES of text."""
    offsets, _ = text_buffers(batch.column("text"))
    start = 0
    while start < batch.num_rows:
        stop = int(np.searchsorted(offsets, offsets[start] + BATCH_BYTES, "right")) - 1
        stop = min(max(stop, start + 1), batch.num_rows)
        yield batch.slice(start, stop - start)
        start = stop


def _measure_part(made: Measured, part: pa.RecordBatch, tables: Sequence[TokenBytes]) -> None:
    text = part.column("text")
    keys = np.array([hash64(key) for key in page_keys(part)], np.uint64)
    names = list(zip(*(_labels(part, column) for column in ("language", "domain")), strict=True))
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    group = np.array([order[name] for name in names], np.int64)
    values = np.zeros((part.num_rows, made.columns), np.int64)
    values[:, DOCUMENTS] = 1
    known = np.zeros(part.num_rows, np.bool_)
    if "reference_tokens" in part.schema.names:
        reference = part.column("reference_tokens")
        known = np.asarray(reference.is_valid())
        values[:, REFERENCE] = pc.fill_null(reference, 0).cast(pa.int64()).to_numpy()
    made.text_bytes += int(pc.sum(pc.binary_length(text)).as_py() or 0)
    for s, subject in enumerate(made.subjects):
        started = time.perf_counter()
        ids, offsets = subject.encoder.encode(text)
        made.seconds[s] += time.perf_counter() - started
        found = word_pieces(text, ids, offsets, tables[s])
        low = made.column(s, 0)
        values[:, low : low + len(FIELDS)] = found
        values[:, low + len(FIELDS)] = np.where(known, found[:, TOKENS], 0)
        _count_ids(made.frequencies[s], order, np.repeat(group, np.diff(offsets)), ids)
    for name, i in order.items():
        rows = group == i
        made.units.setdefault(name, Units(made.columns)).add(keys[rows], values[rows])
    if len(made.units) > MAX_GROUPS:
        raise UsageError(
            f"more than {MAX_GROUPS:,} pairs of language and domain", "put a coarser label into the column `domain`"
        )


def _count_ids(
    found: dict[Key, Frequencies], order: dict[tuple[str, str], int], group: NDArray[np.int64], ids: NDArray[np.uint32]
) -> None:
    both, counts = np.unique(group << 32 | ids.astype(np.int64), return_counts=True)
    borders = np.searchsorted(both, np.arange(len(order) + 1) << 32)
    for name, i in order.items():
        part = slice(borders[i], borders[i + 1])
        found.setdefault(name, Frequencies()).add(both[part] & 0xFFFF_FFFF, counts[part])


def _labels(part: pa.RecordBatch, column: str) -> list[str]:
    return [UNKNOWN if value is None or value == "" else str(value) for value in part.column(column).to_pylist()]


def with_totals(made: Measured) -> Measured:
    """Adds the sums over domains, over languages, and over all."""
    for language, domain in list(made.units):
        for key in ((language, None), (None, domain), (None, None)):
            one = made.units[language, domain].settle()
            made.units.setdefault(key, Units(made.columns)).add(one.keys, one.values, one.folded)
            for found in made.frequencies:
                ids = found[language, domain].settle()
                found.setdefault(key, Frequencies()).add(ids.ids, ids.counts)
    for units in made.units.values():
        units.settle()
    for found in made.frequencies:
        for frequencies in found.values():
            frequencies.settle()
    return made
