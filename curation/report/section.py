"""What a part of the project hands to the report: a titled piece of safe HTML.

Other parts register `(Catalog) -> Section | None` in the entry-point group `curate.report_sections`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """One chapter.

    title: plain text, also the entry in the table of contents.
    body: HTML that is safe to show; a plain `str` is escaped.  No scripts, no outside resources: the
        page's Content-Security-Policy blocks both.
    order: position; the built-in chapters stand at 10, 20, … 110.
    has_text: shows documents' text, so `samples=False` leaves the whole chapter out.
    """

    title: str
    body: Markup | str
    order: int
    has_text: bool = False

    @property
    def anchor(self) -> str:
        """The fragment identifier."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
