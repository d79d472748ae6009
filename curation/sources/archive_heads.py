"""The first lines of WARC and ARC records: how they are recognised and what they say.

fastwarc parses WARC and HTTP header blocks (5 µs each); it bounds their length, so longer ones
go to warcio.  An ARC record's one-line header is put into WARC terms, so that the reader knows
only one kind of record.  Source: ISO 28500 §4; ARC 1.0 file format, §"URL-record-definition".
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastwarc.warc import HeaderMap
from warcio.exceptions import ArchiveLoadFailed
from warcio.statusandheaders import StatusAndHeadersParser, StatusAndHeadersParserException

from curation.sources.reasons import QuarantineReason

MAX_HEAD = 2**20  # bytes of one header block; real ones have hundreds
ARC_LINE = 2**14  # more than the longest header line that the ARC pattern admits


class BadHead(Exception):
    """A header block that no parser reads, or that lacks what a record needs."""

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Head:
    """A record's header fields in WARC terms, names in lower case; `length` bytes of content follow."""

    fields: Mapping[str, str]
    length: int
    arc: bool


@dataclass(frozen=True, slots=True)
class RecordStart:
    """What the two formats look like.  All patterns are linear in their input: repetitions are bounded
    and each is followed by a byte that it cannot contain."""

    first_line: re.Pattern[bytes]
    next_start: re.Pattern[bytes]
    head_end: re.Pattern[bytes]


_WARC_LINE = rb"WARC/\d\.\d{1,3}[ \t]{0,8}\r?\n"
_ARC_LINE = rb"[A-Za-z][A-Za-z0-9+.-]{0,31}:[^\n\0 ]{1,8192} [^\n\0 ]{1,64} (?:\d{12,20}|null|-) [^\n\0]{1,1024}\n"
WARC = RecordStart(
    re.compile(_WARC_LINE),
    # after damage a record may begin in the middle of a line; its first field tells it from prose
    re.compile(_WARC_LINE + rb"(?=[A-Za-z0-9-]{1,64}:)"),
    re.compile(rb"\n\r?\n"),
)
ARC = RecordStart(re.compile(_ARC_LINE), re.compile(rb"(?<=\n)" + _ARC_LINE), re.compile(rb"\n"))


def begins_record(data: bytes | bytearray, at: int = 0) -> bool:
    """Whether a WARC or ARC record begins at a position."""
    return WARC.first_line.match(data, at) is not None or ARC.first_line.match(data, at) is not None


def record_start(data: bytes | bytearray, at: int, arc: bool = False) -> RecordStart:
    """The patterns of the format that a record at this position has; `arc` decides where none begins."""
    if WARC.first_line.match(data, at) is not None:
        return WARC
    return ARC if arc or ARC.first_line.match(data, at) is not None else WARC


def parse_head(block: bytes) -> Head:
    """The head of a record that `begins_record` recognised; raises BadHead."""
    if not block.startswith(b"WARC/"):
        return _parse_arc_line(block)
    _, fields = parse_fields(block)
    stated = fields.get("content-length")
    if stated is None:
        raise BadHead(QuarantineReason.BAD_HEADER, "no Content-Length")
    if "warc-type" not in fields:
        raise BadHead(QuarantineReason.BAD_HEADER, "no WARC-Type")
    return Head(fields, _length(stated), arc=False)


def parse_fields(block: bytes) -> tuple[str, dict[str, str]]:
    """Status line and fields (lower-case names; repeated ones joined by commas) of a WARC or HTTP head."""
    if b"\r\n" not in block:
        block = block.replace(b"\n", b"\r\n")  # fastwarc takes LF-only blocks for one long line
    parsed = HeaderMap()
    try:
        parsed.parse(io.BytesIO(block), True)
    except OSError:
        return _parse_fields_slowly(block)
    fields: dict[str, str] = {}
    for name, value in parsed.items():
        key = name.strip().lower()
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    return parsed.status_line or "", fields


def _parse_fields_slowly(block: bytes) -> tuple[str, dict[str, str]]:
    """warcio's reading of a block that fastwarc refuses."""
    try:
        parsed = StatusAndHeadersParser([], verify=False).parse(io.BytesIO(block))
    except (StatusAndHeadersParserException, ArchiveLoadFailed, EOFError, ValueError) as error:
        raise BadHead(QuarantineReason.BAD_HEADER, f"header block: {error}") from None
    fields: dict[str, str] = {}
    for name, value in parsed.headers:
        fields[name.strip().lower()] = value
    return f"{parsed.protocol} {parsed.statusline}".strip(), fields


def _length(stated: str) -> int:
    if not (stated.isascii() and stated.isdigit() and len(stated) <= 18):
        raise BadHead(QuarantineReason.BAD_LENGTH, f"the length is stated as {stated[:40]!r}")
    return int(stated)


def _parse_arc_line(line: bytes) -> Head:
    """`URL IP date [type …] length`, put into WARC terms."""
    url, ip, date, *others = line.decode("utf-8", "replace").rstrip("\r\n").split(" ")
    scheme = url.partition(":")[0].lower()
    kind = {"filedesc": "warcinfo", "http": "response", "https": "response"}.get(scheme, "resource")
    fields = {
        "warc-type": kind,
        "warc-target-uri": url,
        "warc-ip-address": ip,
        "content-type": "application/http" if kind == "response" else others[0],
    }
    if date.isdigit():
        fields["warc-date"] = _arc_date(date)
    return Head(fields, _length(others[-1]), arc=True)


def _arc_date(digits: str) -> str:
    d = digits.ljust(14, "0")
    return f"{d[:4]}-{d[4:6]}-{d[6:8]}T{d[8:10]}:{d[10:12]}:{d[12:14]}Z"
