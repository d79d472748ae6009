"""Deterministic limits of a page: what is beyond them is quarantined before it is parsed.

The defaults lie far above real pages (the largest of 3,268: 781 KB, 25,523 nodes, depth 134, 0.4
million steps of work) and bound what a page can cost to about 1 s and 250 MB (docs/extraction.md).
"""

from __future__ import annotations

from pydantic import Field

from curation.pipeline.config import Frozen
from curation.sources.html_shape import measure
from curation.sources.pages import Refusal


class HtmlLimits(Frozen):
    """Bounds of one page; see `html_shape.Shape` for what is counted."""

    html_bytes: int = Field(16 * 2**20, gt=0, description="bytes of the page as stored")
    nodes: int = Field(500_000, gt=0, description="elements and texts of its tree")
    depth: int = Field(512, gt=0, le=10_000, description="nested elements; browsers too stop at 512")
    work: int = Field(20_000_000, gt=0, description="steps of the parser's walks that are not linear")


def refuse(html: str, limits: HtmlLimits) -> Refusal | None:
    """A Refusal `html_over_limit` that names the limit, or None when the page may be parsed."""
    shape = measure(html, nodes=limits.nodes, depth=limits.depth, work=limits.work)
    for name in ("nodes", "depth", "work"):
        value, limit = getattr(shape, name), getattr(limits, name)
        if value > limit:
            return Refusal("html_over_limit", f"{name}: more than {limit}")
    return None
