"""Rows of ours as datatrove's `Document` and back, one document a row, nothing lost.

`metadata` is the record's own metadata with our columns laid over it, under the names that datatrove's
readers and blocks use.  What a block changed there is told as JSON, key by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
from datatrove.data import Document

ID, METADATA = "id", "metadata"
PROVENANCE = ("source", "url", "date", "license", "extractor")  # columns that become metadata where not null
READS = (ID, *PROVENANCE, METADATA)
_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def metadata_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A fresh dictionary of a row's metadata; what is no JSON object stands under `metadata`."""
    given = orjson.loads(row[METADATA]) if row[METADATA] else {}
    own = given if isinstance(given, dict) else {METADATA: given}
    return own | {name: row[name] for name in PROVENANCE if row[name] is not None}


def document(text: str, row: Mapping[str, Any]) -> Document:
    """A row (columns READS) as datatrove sees it."""
    return Document(text=text, id=row[ID], metadata=metadata_of(row))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """JSON of the keys that a block added or changed (null: removed); None where it did nothing.

    Values that JSON does not have are written as their `str`.
    """
    gone = {key: None for key in before if key not in after}
    new = {key: value for key, value in after.items() if key not in before or _json(before[key]) != _json(value)}
    return _json(gone | new).decode() if gone or new else None


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=_JSON)


def columns_of(documents: Sequence[Document]) -> dict[str, pa.Array]:
    """datatrove's documents as the columns that our items read: text, id, metadata and provenance.

    Raises ValueError for a text that is no valid Unicode, naming the document.
    """
    metadata = [one.metadata for one in documents]
    columns = {name: pa.array([_text(some.get(name)) for some in metadata], pa.string()) for name in PROVENANCE}
    columns[ID] = pa.array([one.id for one in documents], pa.string())
    columns[METADATA] = pa.array([_json(some).decode() if some else None for some in metadata], pa.large_string())
    try:
        columns["text"] = pa.array([one.text for one in documents], pa.large_string())
    except UnicodeEncodeError:
        raise ValueError(f"{_broken(documents)}: the text holds an unpaired surrogate") from None
    return columns


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _broken(documents: Sequence[Document]) -> str:
    for one in documents:
        try:
            (one.text or "").encode()
        except UnicodeEncodeError:
            return f"document {one.id!r}"
    return "a document"
