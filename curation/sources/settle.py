"""Rows that wait for their text: pages go to the extractor together, rows come out in order.

Between the readers that meet pages (`warc`, `files`) and the chunk builder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from curation.sources.chunks import SAMPLE_BYTES, ChunkBuilder, Damaged, Row
from curation.sources.pages import Extraction, Page, Refusal

Extract = Callable[[Sequence[Page]], list[Extraction | Refusal]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row whose text the extractor still has to give."""

    row: Row
    page: Page


def settle(outcomes: Sequence[Row | Damaged | Waiting], extract: Extract, builder: ChunkBuilder) -> None:
    """Have the waiting pages extracted, and add every outcome in its order."""
    pages = [outcome.page for outcome in outcomes if isinstance(outcome, Waiting)]
    results = iter(extract(pages) if pages else [])
    for outcome in outcomes:
        if isinstance(outcome, Waiting):
            outcome = _with_text(outcome, next(results))
        if isinstance(outcome, Row):
            builder.add(outcome)
        else:
            builder.quarantine(outcome)


def _with_text(waiting: Waiting, result: Extraction | Refusal) -> Row | Damaged:
    row, html = waiting.row, waiting.page.html
    if isinstance(result, Refusal):
        return Damaged(row.file, row.record, row.offset, result.reason, result.detail, html[:SAMPLE_BYTES])
    metadata = {**(row.metadata or {}), "charset": result.charset}
    if not result.text or result.text.isspace():
        return replace(row, metadata=metadata, removed_by="extract.no_text", removed_detail=result.extractor)
    return replace(row, metadata=metadata, text=result.text, extractor=result.extractor)
