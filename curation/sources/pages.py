"""What passes between the readers and the extractors: a page in, a text or a refusal out.

Readers (`warc`, `files`) collect `Page`s and hand them to the callable that
`extract.open_extractor` gives; each page comes back as an `Extraction` or, where
a deterministic limit refuses it, as a `Refusal` that becomes a quarantine row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One HTML page as stored, with the charset that its HTTP header declares."""

    html: bytes
    http_charset: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Extraction:
    """A text, the extractor that gave it and the charset it was decoded from."""

    text: str
    extractor: str
    charset: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A page that deterministic limits or a reproducible extractor failure refuse."""

    reason: str
    detail: str
