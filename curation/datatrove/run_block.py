"""One datatrove block over the documents of a row group: for each what became of it.

A filter is asked as datatrove's own loop asks it (`filter_batch`); every other block runs as a generator
over all of them, and a document that does not come out again was dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result

from curation.datatrove.documents import ID, changes, document, metadata_of
from curation.datatrove.find_block import build
from curation.pipeline.errors import TaskFailed
from curation.pipeline.task import Json

NO_REASON = "dropped"  # where a block drops a document without a word
Row = tuple[str, Mapping[str, Any]]  # text, and the columns documents.READS


@dataclass(frozen=True, slots=True)
class Answer:
    """What a block did with one document."""

    text: str
    reason: str | None  # why it is dropped; None: it is kept
    metadata: str | None  # JSON of the keys that changed


def answers(block: str, arguments: dict[str, Json], rows: Sequence[Row]) -> Iterator[Answer]:
    """An answer for each row, in order, by a new block.

    Raises TaskFailed naming the record for what the block raises on it, or for a result that is no answer
    (a text that is none, another id: a document is known by its id everywhere); what the constructor
    raises is raised as it is.
    """
    step = build(block, arguments)
    ask = _filtered(step, rows) if isinstance(step, BaseFilter) else _passed_on(step, rows)
    for (_, row), (given, reason) in zip(rows, ask, strict=True):
        if not isinstance(given.text, str) or not _is_unicode(given.text):
            raise TaskFailed(f"clean: datatrove: {block} made of the text of record {row['id']!r} what is no text")
        if given.id != row["id"]:
            raise TaskFailed(
                f"clean: datatrove: {block} made {str(given.id)[:100]!r} of the id of record {row['id']!r}",
                "ids are curate's; let the block write its own into metadata",
            )
        yield Answer(given.text, reason, changes(metadata_of(row), given.metadata))


def _filtered(step: BaseFilter, rows: Sequence[Row]) -> Iterator[tuple[Document, str | None]]:
    for start in range(0, len(rows), step.batch_size):
        some = [document(text, row) for text, row in rows[start : start + step.batch_size]]
        try:
            results = list(step.filter_batch(some))
            if len(results) != len(some):
                raise ValueError(f"{len(results)} answers for {len(some)} documents")
        except MemoryError:
            raise
        except Exception as error:
            raise _told(step, some, error) from error
        for one, result in zip(some, results, strict=True):
            kept, reason = get_filter_result(result)
            yield one, None if kept else str(reason or NO_REASON)


def _passed_on(step: PipelineStep, rows: Sequence[Row]) -> Iterator[tuple[Document, str | None]]:
    """Documents come out in any order, as the same object or with the same id; what is missing was dropped."""
    taken: list[Document] = []
    places: dict[int, int] = {}  # by object, which lives as long as `taken`
    waiting: dict[str, list[int]] = {}  # by id, those without an answer yet
    found: dict[int, Document] = {}

    def give() -> Iterator[Document]:
        for text, row in rows:
            places[id(one := document(text, row))] = len(taken)
            waiting.setdefault(one.id, []).append(len(taken))
            taken.append(one)
            yield one

    try:
        for one in step.run(give(), 0, 1) or ():
            place = places.get(id(one), next(iter(waiting.get(one.id, ())), None))
            if place is None or place in found:
                raise ValueError(f"it gave a document {one.id!r} that it was not given, or gave one twice")
            found[place] = one
            waiting[str(rows[place][1][ID])].remove(place)
    except MemoryError:
        raise
    except Exception as error:
        raise _told(step, taken[-1:], error) from error
    for place, (text, row) in enumerate(rows):
        if place in found:
            yield found[place], None
        else:
            yield taken[place] if place < len(taken) else document(text, row), NO_REASON


def _told(step: PipelineStep, some: Iterable[Document], error: Exception) -> TaskFailed:
    ids = [one.id for one in some]
    place = f"record {ids[0]!r}" if len(ids) == 1 else f"the {len(ids)} records from {ids[0]!r} on" if ids else "start"
    return TaskFailed(
        f"clean: datatrove: {type(step).__name__} raised {type(error).__name__} at {place}: {error}",
        "repair the block or take the record out; finished tasks are kept",
    )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
