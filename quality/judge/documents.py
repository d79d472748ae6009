"""The documents of a labelling run: what there is, which of it was chosen, and the excerpts to be sent.

Texts are read twice, so that only the chosen documents' excerpts (a few kilobytes each) are held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from curation.pipeline.errors import UsageError
from quality.judge.sampling import first_stage, second_stage
from quality.judge.windows import excerpt
from quality.labels.files import check_file, read_rows
from quality.labels.table import text_hash
from quality.rubric.prompt import Excerpt
from quality.rubric.rubric import DIMENSIONS


@dataclass(frozen=True)
class Everything:
    """All documents; weight 1."""


@dataclass(frozen=True)
class First:
    """Stage 1: `n` documents, uniform over source × length."""

    n: int
    seed: int = 0


@dataclass(frozen=True)
class Second:
    """Stage 2: `n` more, given the labels of stage 1 (a label table) and tags of all documents (`doc_id` or `id`)."""

    n: int
    labels: pa.Table
    tags: Path
    seed: int = 0


@dataclass(frozen=True)
class Again:
    """The documents of a label table, with its weights: test–retest, or another judge on the same sample."""

    labels: pa.Table


Selection = Everything | First | Second | Again


@dataclass(frozen=True)
class Chosen:
    """A document to be judged."""

    doc_id: str
    excerpt: Excerpt
    hash: bytes
    stage: int
    weight: float


def read_texts(paths: Sequence[Path]) -> Iterator[tuple[str, str, str]]:
    """(id, source, text) of every document.  UsageError with its place for what is no document."""
    for path in paths:
        for number, row in read_rows(check_file(path, "documents"), ["id", "source", "text"]):
            text = row.get("text")
            if not isinstance(text, str | None) or "text" not in row:
                raise UsageError(
                    f"{path}:{number}: no `text` that is a string", f"fields: {', '.join(map(str, row))[:300]}"
                )
            yield str(row.get("id") or f"{path.name}#{number}"), str(row.get("source") or path.name), text or ""


def choose(paths: Sequence[Path], selection: Selection) -> dict[str, tuple[int, float]] | None:
    """(stage, weight) by id of the chosen documents; None for all."""
    if isinstance(selection, Everything):
        return None
    if isinstance(selection, Again):
        sample = selection.labels
    elif isinstance(selection, First):
        frame = [(doc_id, source, len(text)) for doc_id, source, text in read_texts(paths) if text.strip()]
        if len({one[0] for one in frame}) != len(frame):
            raise UsageError("two documents have the same id", "ids must be unique over all files")
        ids, sources, chars = zip(*frame, strict=True) if frame else ((), (), ())
        sample = first_stage(ids, sources, chars, selection.n, selection.seed)
    else:
        sample = _second(selection)
    rows = zip(*(sample[name].to_pylist() for name in ("doc_id", "stage", "weight")), strict=True)
    return {doc_id: (stage, weight) for doc_id, stage, weight in rows}


def _second(selection: Second) -> pa.Table:
    path = check_file(selection.tags, "tags")
    tags: dict[str, tuple[float, ...]] = {}
    categories: dict[str, str] = {}
    for number, row in read_rows(path, ["doc_id", "id", *DIMENSIONS, "category"]):
        key, category = row.get("doc_id") or row.get("id"), row.get("category")
        values = tuple(row.get(name) for name in DIMENSIONS)
        if set(values) == {None} and all(name in row for name in DIMENSIONS):
            continue  # a document that could not be tagged (no text) cannot be chosen either
        numbers = all(isinstance(value, int | float) for value in values)
        if not isinstance(key, str) or not isinstance(category, str) or not numbers:
            raise UsageError(f"{path}:{number}: no id, {', '.join(DIMENSIONS)} and category", "give the tags' own file")
        if key in tags:
            raise UsageError(f"{path}:{number}: the id {key!r} stands twice")
        tags[key], categories[key] = tuple(float(value) for value in values if value is not None), category
    stages = set(selection.labels["stage"].to_pylist())
    if stages != {1}:
        raise UsageError(
            f"the earlier labels are of stage {sorted(stages)}", "give the labels of the first stage alone"
        )
    ids = sorted(tags)
    predicted = {name: [tags[key][i] for key in ids] for i, name in enumerate(DIMENSIONS)}
    return second_stage(ids, predicted, [categories[k] for k in ids], selection.labels, selection.n, selection.seed)


def read_chosen(
    paths: Sequence[Path], chosen: dict[str, tuple[int, float]] | None, *, mask: bool
) -> tuple[list[Chosen], list[str]]:
    """(documents to be judged in the files' order, ids of empty ones).  UsageError where a chosen one is missing."""
    found: list[Chosen] = []
    empty: list[str] = []
    seen: set[str] = set()
    for doc_id, _, text in read_texts(paths):
        if chosen is not None and doc_id not in chosen:
            continue
        if doc_id in seen:
            raise UsageError(f"two documents have the id {doc_id!r}", "ids must be unique over all files")
        seen.add(doc_id)
        if not text.strip():
            empty.append(doc_id)
            continue
        stage, weight = (0, 1.0) if chosen is None else chosen[doc_id]
        found.append(Chosen(doc_id, excerpt(text, mask=mask), text_hash(text), stage, weight))
    missing = set(chosen or ()) - seen
    if missing:
        raise UsageError(f"{len(missing)} chosen documents have no text, such as {min(missing)!r}", "give their files")
    return found, empty
