"""Labels and the texts they were given to, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curation.pipeline.errors import UsageError
from quality.labels.files import check_file, read_rows
from quality.labels.table import text_hash

CARRIED = ("source", "license", "language")


@dataclass(frozen=True)
class Joined:
    """`table`: the labels that have a text, in their order, with `text` (large_string) and CARRIED; ids without one."""

    table: pa.Table
    missing: tuple[str, ...]


def join_texts(labels: pa.Table, documents: Sequence[Path | str]) -> Joined:
    """Find each label's text by `doc_id` in files with `id` and `text`; only the wanted texts are held.

    UsageError: no label has a text, a wanted id stands for two different texts, or a text is not the one that
    was judged (where the label has a text_hash).
    """
    wanted = set(labels["doc_id"].to_pylist())
    found: dict[str, dict[str, str | None]] = {}
    for path in (check_file(Path(one), "documents") for one in documents):
        for number, row in read_rows(path, ["id", "text", "lang", *CARRIED]):
            key = row.get("id")
            if not isinstance(key, str) or key not in wanted:
                continue
            if not isinstance(row.get("text"), str):
                raise UsageError(f"{path}:{number}: document {key!r} has no `text` that is a string")
            if key in found and found[key]["text"] != row["text"]:
                raise UsageError(f"{path}:{number}: another text with the id {key!r}", "ids must be unique")
            carried = {name: row.get(name) for name in CARRIED} | {"language": row.get("language") or row.get("lang")}
            found.setdefault(
                key, {"text": row["text"], **{n: None if v is None else str(v) for n, v in carried.items()}}
            )
    ids = labels["doc_id"].to_pylist()
    missing = tuple(sorted(wanted - found.keys()))
    if not found:
        raise UsageError(f"none of {len(wanted)} labelled documents has a text", "give the files that hold them")
    for key, expected in zip(ids, labels["text_hash"].to_pylist(), strict=True):
        if expected is not None and key in found and text_hash(found[key]["text"] or "") != expected:
            raise UsageError(f"document {key!r}: its text is not the one that was judged", "label it again")
    kept = labels.filter(pc.is_in(labels["doc_id"], pa.array(list(found), pa.string())))
    rows = [found[key] for key in kept["doc_id"].to_pylist()]
    kept = kept.append_column("text", pa.array([row["text"] for row in rows], pa.large_string()))
    for name in CARRIED:
        kept = kept.append_column(name, pa.array([row[name] for row in rows], pa.string()))
    return Joined(kept, missing)
