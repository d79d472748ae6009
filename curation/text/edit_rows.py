"""A log of edits that Python code writes document by document, kept by columns (a hostile text makes millions)."""

from __future__ import annotations

from array import array

import pyarrow as pa

from curation.text.edits import EDIT, EDITS


class EditRows:
    """Edits in the order of documents, then of places; `next_document` ends a document."""

    def __init__(self) -> None:
        self._ends = array("i", [0])
        self._rules: list[str] = []
        self._starts, self._lengths = array("q"), array("q")
        self._before: list[str | None] = []
        self._after: list[str] = []

    def add(self, rule: str, start: int, length: int, before: str | None, after: str) -> None:
        """Bytes start to start + length of the document, `before`, are `after` now."""
        self._rules.append(rule)
        self._starts.append(start)
        self._lengths.append(length)
        self._before.append(before)
        self._after.append(after)

    def next_document(self) -> None:
        """What follows belongs to the next document."""
        self._ends.append(len(self._starts))

    def to_array(self) -> pa.ListArray:
        """EDITS, one row a document."""
        columns = (self._rules, pa.array(self._starts), pa.array(self._lengths), self._before, self._after)
        edits = pa.StructArray.from_arrays(
            [pa.array(values, field.type) for values, field in zip(columns, EDIT, strict=True)], fields=list(EDIT)
        )
        return pa.ListArray.from_arrays(pa.array(self._ends, pa.int32()), edits, type=EDITS)
