"""A decompressed crawl archive → its records, each whole or broken; nothing between them is passed over.

The framing is ours because here it is decided what is lost: a record counts as whole only when
its length leads to the next record, the end of its gzip member or the end of the file.  After
a broken one the next `WARC/1.` line (ARC: the next URL line) or member is looked for.
Header blocks are parsed by fastwarc, and by warcio where fastwarc refuses them.
Source: ISO 28500 (WARC 1.1), the Internet Archive's ARC 1.0 file format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from curation.sources.archive_heads import (
    ARC_LINE,
    MAX_HEAD,
    BadHead,
    Head,
    begins_record,
    parse_head,
    record_start,
)
from curation.sources.compression import Block, Damage
from curation.sources.reasons import QuarantineReason

COMPACT = 2**20  # consumed bytes at the front of the buffer before they are dropped
SAMPLE = 512
_NEWLINES = re.compile(rb"[\r\n]*")


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record: its header fields (lower-case names) and its content block."""

    offset: int
    head: Head
    content: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """One damaged record, or a stretch of bytes that is none."""

    offset: int
    reason: QuarantineReason
    detail: str
    sample: bytes


class _Bad(Exception):
    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Records:
    """Iterates over the records; `stored` says how many stored bytes were read so far."""

    def __init__(self, items: Iterator[Block | Damage], record_limit: int) -> None:
        self.stored = 0
        self._items, self._limit = items, record_limit
        self._buffer = bytearray()
        self._at = 0  # read position in the buffer
        self._origins: list[tuple[int, Block]] = []  # buffer position where each block begins
        self._barrier: Block | Damage | None = None  # what no record may reach across
        self._ended = False
        self._arc = False

    def __iter__(self) -> Iterator[Record | Broken]:
        while True:
            self._drop_consumed()
            self._skip_newlines()
            if self._at == len(self._buffer):
                if self._ended:
                    return
                barrier, self._barrier = self._barrier, None
                if isinstance(barrier, Damage):
                    yield Broken(barrier.offset, barrier.reason, barrier.detail, barrier.sample)
                elif barrier is not None:
                    self._append(barrier)
                continue
            offset = self._offset(self._at)
            try:
                yield self._record(offset)
            except _Bad as bad:
                yield self._broken(offset, bad)

    def _record(self, offset: int) -> Record:
        self._fill(16)
        start, window = self._at, self._buffer
        if not begins_record(window, start):
            self._fill(ARC_LINE)
            if not begins_record(window, start):
                raise _Bad(QuarantineReason.GARBAGE, "no record begins here")
        size = self._head_size()
        try:
            head = parse_head(bytes(window[start : start + size]))
        except BadHead as error:
            raise _Bad(error.reason, str(error)) from None
        self._arc = head.arc
        if head.length > self._limit:
            detail = f"content of {head.length:,} bytes; the limit (record_bytes) is {self._limit:,}"
            raise _Bad(QuarantineReason.RECORD_OVER_LIMIT, detail)
        end = size + head.length
        if not self._fill(end):
            raise self._cut_short(head.length, len(self._buffer) - self._at - size)
        content_at = self._at + size
        self._check_tail(end, head.arc)
        content = bytes(memoryview(self._buffer)[content_at : content_at + head.length])
        self._at = content_at + head.length
        return Record(offset, head, content)

    def _head_size(self) -> int:
        """Bytes up to and with the end of the header block."""
        wanted = 4096
        while True:
            whole = not self._fill(wanted)
            match = record_start(self._buffer, self._at).head_end.search(self._buffer, self._at, self._at + MAX_HEAD)
            if match is not None:
                return match.end() - self._at
            if whole or wanted >= MAX_HEAD:
                break
            wanted *= 4
        if wanted < MAX_HEAD:
            raise self._cut_short(None, len(self._buffer) - self._at)
        raise _Bad(QuarantineReason.BAD_HEADER, f"no end of the header block within {MAX_HEAD:,} bytes")

    def _cut_short(self, length: int | None, found: int) -> _Bad:
        if isinstance(self._barrier, Damage):
            return _Bad(self._barrier.reason, self._barrier.detail)
        what = f"{found:,} of {length:,} bytes of content" if length is not None else f"{found:,} bytes of header"
        where = "the file ends" if self._ended else "the next record begins"
        return _Bad(QuarantineReason.TRUNCATED, f"{where} after {what}")

    def _check_tail(self, end: int, arc: bool) -> None:
        """After the content must come the record's two line ends, another record, or nothing more."""
        self._fill(end + 4)
        after = self._at + end
        newlines = _NEWLINES.match(self._buffer, after)
        assert newlines is not None
        if newlines.end() == len(self._buffer):
            self._fill(end + 64)  # perhaps only the block ends here, not the member
            newlines = _NEWLINES.match(self._buffer, after)
            assert newlines is not None
        if newlines.end() == len(self._buffer):
            damage = self._barrier
            if isinstance(damage, Damage) and damage.offset == self._origins[-1][1].offset:
                raise _Bad(damage.reason, damage.detail)  # e.g. the checksum of this very member is wrong
            return
        if not arc and newlines.group().startswith((b"\r\n\r\n", b"\n\n")):
            return
        self._fill(newlines.end() - self._at + (ARC_LINE if arc else 16))
        if not begins_record(self._buffer, newlines.end()):
            detail = f"no record begins after the {end:,} bytes that this one should have"
            raise _Bad(QuarantineReason.BAD_LENGTH, detail)

    def _broken(self, offset: int, bad: _Bad) -> Broken:
        """Step over the broken record to the next one; damage that cut it off is told with it."""
        sample = bytes(self._buffer[self._at : self._at + SAMPLE])
        self._seek_record_start()
        reason, detail = bad.reason, str(bad)
        if self._at == len(self._buffer) and isinstance(self._barrier, Damage):
            last = self._origins[-1][1].offset if self._origins else offset
            if self._barrier.offset in (offset, last):
                reason, detail = self._barrier.reason, self._barrier.detail
                self._barrier = None
        elif reason is QuarantineReason.TRUNCATED and self._at < len(self._buffer):
            reason = QuarantineReason.BAD_LENGTH  # its length reached across the next record
        return Broken(offset, reason, detail, sample)

    def _seek_record_start(self) -> None:
        """Move to the next record start after the present position, or to the barrier."""
        pattern = record_start(self._buffer, self._at, self._arc).next_start
        search_from = self._at + 1
        while True:
            match = pattern.search(self._buffer, search_from)
            if match is not None:
                self._at = match.start()
                return
            # all but what may hold the beginning of a record's first line can go
            self._at = max(search_from, len(self._buffer) - ARC_LINE)
            self._drop_consumed()
            search_from = self._at
            if not self._fill(len(self._buffer) - self._at + 1):
                self._at = len(self._buffer)
                return

    def _skip_newlines(self) -> None:
        while True:
            match = _NEWLINES.match(self._buffer, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._buffer) or not self._fill(1):
                return

    def _offset(self, position: int) -> int:
        """Where in the stored file the byte at a buffer position lies."""
        begin, block = next(origin for origin in reversed(self._origins) if origin[0] <= position)
        return block.offset + (position - begin if block.exact else 0)

    def _fill(self, wanted: int) -> bool:
        """Have at least `wanted` bytes from the present position on; False when a barrier prevents it."""
        while len(self._buffer) - self._at < wanted:
            if self._barrier is not None or self._ended:
                return False
            item = next(self._items, None)
            if item is None:
                self._ended = True
                return False
            self.stored = max(self.stored, item.stored)
            unread = self._at < len(self._buffer)
            if isinstance(item, Damage) or (unread and item.starts_member and begins_record(item.data, 0)):
                self._barrier = item
                return False
            self._append(item)
        return True

    def _append(self, block: Block) -> None:
        self._origins.append((len(self._buffer), block))
        self._buffer += block.data

    def _drop_consumed(self) -> None:
        """Free the front of the buffer.  Only between records: inside one, positions must stay valid."""
        if self._at < min(len(self._buffer), COMPACT):
            return
        dropped, self._at = self._at, 0
        del self._buffer[:dropped]
        origins = [(begin - dropped, block) for begin, block in self._origins]
        still_needed = max((i for i, (begin, _) in enumerate(origins) if begin <= 0), default=0)
        self._origins = origins[still_needed:]
