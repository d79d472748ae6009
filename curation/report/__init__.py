"""The report of a run: `write` makes one self-contained HTML file; other parts add a `Section`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.report.page import write as write
    from curation.report.section import Section as Section

__all__ = ["Section", "write"]


def __getattr__(name: str) -> Any:
    """Import on first use: the chart renderer and the template engine are heavy."""
    if name == "write":
        from curation.report.page import write

        return write
    if name == "Section":
        from curation.report.section import Section

        return Section
    raise AttributeError(name)
