"""What a source may say in the YAML: one frozen model per reader, told apart by `read:`.

Sizes are bytes, or text such as `64MiB`.  Everything here except `paths` is part of a read
task's fingerprint, so a changed limit or field name reads the source again.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from curation.pipeline.config import Frozen
from curation.sources.extract import ExtractConfig

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"(\d{1,15}) ?([KMG]i?B|B)?")


def parse_size(value: Any) -> Any:
    """`"64MiB"` → 67,108,864; integers pass.  Raises ValueError that lists the units."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is not a size; write for example 64MiB (units: {', '.join(filter(None, _UNITS))})")
    return int(match[1]) * _UNITS[match[2] or ""]


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}]}),
]


class Limits(Frozen):
    """Deterministic bounds of one record; beyond them it is quarantined, never cut.

    A worker's memory is bounded by about three times `record_bytes`, whatever the file's size.
    """

    record_bytes: Size = Field(64 * 2**20, description="decompressed bytes of one record, line or file")
    text_bytes: Size = Field(16 * 2**20, description="UTF-8 bytes of one document's text")
    ratio: float = Field(
        1000.0, gt=1, description="decompressed over stored bytes of what exceeds record_bytes in one member"
    )


class _Source(Frozen):
    paths: list[str] = Field(min_length=1, description="files, directories, globs (`**` too) or fsspec URLs")
    limits: Limits = Limits()


class WarcSource(_Source):
    """Crawl archives: WARC, WET and ARC are told apart record by record."""

    read: Literal["warc", "wet", "arc"]
    extract: ExtractConfig = Field(default_factory=ExtractConfig, description="how HTML becomes text")
    license_header: str = Field("X-Source-License", description="WARC header that states a page's licence")


class _Table(_Source):
    text: str = Field("text", description="field of the document's text")
    id: str | None = Field("id", description="field of the user's own id; null: ids from record numbers")
    url: str | None = "url"
    date: str | None = "date"
    license: str | None = "license"


class JsonlSource(_Table):
    """One JSON object a line; fields that are not named here go to `metadata`."""

    read: Literal["jsonl"]


class ParquetSource(_Table):
    """One row a document; columns that are not named here go to `metadata`."""

    read: Literal["parquet"]


class TextSource(_Source):
    """One file a document, kept as it stands (Markdown and LaTeX are not rendered)."""

    read: Literal["text", "markdown", "latex"]


class HtmlSource(_Source):
    """One HTML file a page."""

    read: Literal["html"]
    extract: ExtractConfig = Field(default_factory=ExtractConfig, description="how HTML becomes text")


SourceConfig = Annotated[
    WarcSource | JsonlSource | ParquetSource | TextSource | HtmlSource, Field(discriminator="read")
]
