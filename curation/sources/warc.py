"""Crawl archives (WARC, WET, ARC): every record becomes one row.

An HTML response with status 200 is a page for the extractor, a WET `conversion` record is a
text; every other record is removed with the reason (`warc.record_type`: request …) and a
broken one is quarantined.  Framing is in `warc_records`, HTTP bodies in `http_body`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO

from curation.sources.archive_heads import BadHead, begins_record, parse_fields
from curation.sources.chunks import SAMPLE_BYTES, Chunk, ChunkBuilder, Damaged, Row
from curation.sources.compression import Bounds, blocks
from curation.sources.config import WarcSource
from curation.sources.extract import open_extractor
from curation.sources.http_body import BadBody, decode_body
from curation.sources.inputs import InputFile, open_stored
from curation.sources.pages import Page
from curation.sources.reasons import QuarantineReason
from curation.sources.settle import Extract, Waiting, settle
from curation.sources.warc_records import Broken, Record, Records

PENDING_ROWS = 256  # rows settled together, so pages extracted together, at most
PENDING_BYTES = 8 * 2**20
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_HTTP_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS = re.compile(r"HTTP/\d(?:\.\d)? +(\d{3})(?: |$)", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s{0,4}=\s{0,4}[\"']?([A-Za-z0-9._:+-]{1,40})", re.IGNORECASE)


def read_warc(files: Sequence[InputFile], config: WarcSource) -> Iterator[Chunk]:
    """Chunks of the files' records in order; raises OSError for an unreadable file."""
    with open_extractor(config.extract) as extract:
        for file in files:
            with open_stored(file) as stored:
                yield from _read_file(file, stored, config, extract)


def _read_file(file: InputFile, stored: BinaryIO, config: WarcSource, extract: Extract) -> Iterator[Chunk]:
    limits = config.limits
    bounds = Bounds(limits.record_bytes, limits.ratio)
    records = Records(blocks(stored, file.name, bounds, begins_record), limits.record_bytes)
    builder = ChunkBuilder(limits.text_bytes)
    waiting: list[Row | Damaged | Waiting] = []
    waiting_bytes = consumed = 0
    for number, record in enumerate(records):
        outcome = _outcome(record, file, number, config)
        waiting.append(outcome)
        waiting_bytes += _size(outcome)
        if len(waiting) >= PENDING_ROWS or waiting_bytes >= PENDING_BYTES:
            settle(waiting, extract, builder)
            waiting, waiting_bytes = [], 0
        if builder.full:
            builder.consumed(records.stored - consumed)
            consumed = records.stored
            yield builder.take()
    settle(waiting, extract, builder)
    builder.consumed(file.size - consumed)
    yield from builder.rest()


def _size(outcome: Row | Damaged | Waiting) -> int:
    """About how many bytes a row holds in memory until it is settled."""
    if isinstance(outcome, Waiting):
        return len(outcome.page.html)
    return len(outcome.text or "") if isinstance(outcome, Row) else 0


def _outcome(record: Record | Broken, file: InputFile, number: int, config: WarcSource) -> Row | Damaged | Waiting:
    if isinstance(record, Broken):
        return Damaged(file, number, record.offset, record.reason, record.detail, record.sample)
    fields = record.head.fields
    kind = fields["warc-type"].strip().lower()
    metadata = {"warc_type": kind, "record_id": fields.get("warc-record-id")}
    metadata |= {name: value for name, value in fields.items() if name.startswith("x-")}
    row = Row(
        file,
        number,
        url=_url(fields),
        date=fields.get("warc-date"),
        license=fields.get(config.license_header.lower()),
        offset=record.offset,
        metadata=metadata,
    )
    try:
        if kind == "conversion":
            return _converted(row, record)
        if kind == "response":
            return _response(row, record, config.limits.record_bytes)
    except (BadHead, BadBody) as error:
        return Damaged(file, number, record.offset, error.reason, str(error), record.content[:SAMPLE_BYTES])
    return replace(row, removed_by="warc.record_type", removed_detail=kind[:100])


def _converted(row: Row, record: Record) -> Row:
    """A text that the crawl's publisher has extracted (WET)."""
    media, _ = _media_type(record.head.fields)
    if media != "text/plain":
        return replace(row, removed_by="warc.content_type", removed_detail=media or "none")
    try:
        text = record.content.decode()
    except UnicodeDecodeError as error:
        raise BadBody(QuarantineReason.NOT_UTF8, f"byte {error.start} of the text: {error.reason}") from None
    if not text or text.isspace():
        return replace(row, removed_by="warc.empty_page", removed_detail="conversion")
    return replace(row, text=text)


def _response(row: Row, record: Record, limit: int) -> Row | Waiting:
    """A page, or why the response is none: its status, its type, its empty body."""
    media, _ = _media_type(record.head.fields)
    if media and media != "application/http":
        return replace(row, removed_by="warc.content_type", removed_detail=media)  # e.g. text/dns
    if row.url is not None and row.url.startswith("dns:"):  # which some crawlers call application/http
        return replace(row, removed_by="warc.content_type", removed_detail="text/dns")
    end = _HTTP_HEAD_END.search(record.content)
    head_bytes = end.end() if end is not None else len(record.content)
    status_line, http = parse_fields(record.content[:head_bytes])
    status = _STATUS.match(status_line)
    if status is None:
        raise BadBody(QuarantineReason.BAD_HTTP, f"no HTTP status line but {status_line[:60]!r}")
    if status[1] != "200":
        return replace(row, removed_by="warc.http_status", removed_detail=status[1])
    media, charset = _media_type(http)
    truncated = record.head.fields.get("warc-truncated")
    facts = {"mime": media or None, "http_charset": charset, "warc_truncated": truncated}
    row = replace(row, metadata={**(row.metadata or {}), **facts})
    if media and media not in HTML_TYPES:
        return replace(row, removed_by="warc.content_type", removed_detail=media)
    html = decode_body(record.content[head_bytes:], http, limit, may_be_cut=truncated is not None)
    if not html or html.isspace():
        return replace(row, removed_by="warc.empty_page", removed_detail=status[1])
    if not media and not _looks_like_html(html):
        return replace(row, removed_by="warc.content_type", removed_detail="none")
    return Waiting(row, Page(html, charset, row.url))


def _media_type(fields: Mapping[str, str]) -> tuple[str, str | None]:
    """Media type in lower case (empty where none is stated) and the charset parameter."""
    stated = fields.get("content-type", "")
    charset = _CHARSET.search(stated[:1024])
    return stated.partition(";")[0].partition(",")[0].strip().lower()[:100], charset[1] if charset else None


def _looks_like_html(body: bytes) -> bool:
    """For responses without a Content-Type: the two signs by which WHATWG's sniffing knows most pages."""
    head = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\f").lower()
    return head.startswith((b"<!doctype html", b"<html"))


def _url(fields: Mapping[str, str]) -> str | None:
    url = fields.get("warc-target-uri")
    return url.strip("<>") if url else None  # wget 1.19 writes <http://…>
