"""JSON lines, plain or compressed: one bad line is one quarantine row, the rest of the file goes on.

Lines are split as bytes and parsed strictly, one by one (orjson: RFC 8259, valid UTF-8, no NaN,
no lone surrogates).  `offset` counts bytes of the *decompressed* stream, which for a plain file
is the file itself; only a row for damaged compression has the offset in the stored file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import orjson

from curation.sources.chunks import SAMPLE_BYTES, Chunk, ChunkBuilder, Damaged, Row
from curation.sources.compression import Block, Bounds, Damage, blocks
from curation.sources.config import JsonlSource
from curation.sources.inputs import InputFile, open_stored
from curation.sources.reasons import QuarantineReason

USER_ID_BYTES = 1_024  # a longer id is no id: the record number is used, the field goes to metadata
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its newline; `length` exceeds len(data) where the line is over the limit."""

    data: bytes
    offset: int
    length: int


def read_jsonl(file: InputFile, config: JsonlSource) -> Iterator[Chunk]:
    """Chunks of one file's records in order; raises OSError for an unreadable file."""
    builder = ChunkBuilder(config.limits.text_bytes)
    bounds = Bounds(config.limits.record_bytes, config.limits.ratio)
    record = consumed = 0
    with open_stored(file) as stored:
        for line in split_lines(blocks(stored, file.name, bounds), config.limits.record_bytes):
            row = _row(line, file, record, config)
            if row is None:
                continue
            if isinstance(row, Row):
                builder.add(row)
            else:
                builder.quarantine(row)
            record += 1
            if builder.full:
                position = stored.tell()
                builder.consumed(max(0, position - consumed))
                consumed = max(consumed, position)
                yield builder.take()
    builder.consumed(max(0, file.size - consumed))
    yield from builder.rest()


def split_lines(items: Iterator[Block | Damage], limit: int) -> Iterator[Line | Damage]:
    """Lines of a decompressed stream.  Of a line over `limit` bytes only a sample is held.

    A line that damage cuts off is told by that Damage alone, with the line's bytes as its sample.
    """
    parts: list[bytes] = []
    length = position = 0  # of the unfinished line, and of its end in the stream

    def line(last: bytes) -> Line:
        whole = length + len(last)
        data = b"".join(parts)[:SAMPLE_BYTES] if whole > limit else b"".join((*parts, last))
        return Line(data or last[:SAMPLE_BYTES], position - length, whole)

    for item in items:
        if isinstance(item, Damage):
            cut = b"".join(parts)[:SAMPLE_BYTES]
            yield Damage(item.offset, item.reason, item.detail, cut or item.sample, item.stored)
            position, parts, length = position, [], 0
            continue
        *complete, rest = item.data.split(b"\n")
        for last in complete:
            yield line(last)
            position += len(last) + 1
            parts, length = [], 0
        if length <= limit:
            parts.append(rest)
        elif len(parts) > 1:
            parts = [b"".join(parts)[:SAMPLE_BYTES]]  # only its sample and its length are still of use
        length += len(rest)
        position += len(rest)
    if length:
        yield line(b"")


def _row(line: Line | Damage, file: InputFile, record: int, config: JsonlSource) -> Row | Damaged | None:
    """What becomes of one line; None for a blank one."""
    if isinstance(line, Damage):
        return Damaged(file, record, line.offset, line.reason, f"in the stored file: {line.detail}", line.sample)

    def bad(reason: QuarantineReason, detail: str) -> Damaged:
        return Damaged(file, record, line.offset, reason, detail, line.data[:SAMPLE_BYTES])

    if line.length > config.limits.record_bytes:
        limit = f"the limit (record_bytes) is {config.limits.record_bytes:,}"
        return bad(QuarantineReason.RECORD_OVER_LIMIT, f"line of {line.length:,} bytes; {limit}")
    data = line.data.removeprefix(BYTE_ORDER_MARK) if line.offset == 0 else line.data
    if not data or data.isspace():
        return None
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return bad(*_fault(data, error))
    if not isinstance(value, dict):
        return bad(QuarantineReason.NOT_AN_OBJECT, f"the line holds a JSON {_json_type(value)}")
    text = value.pop(config.text, None)
    if text is None:
        fields = ", ".join(sorted(value)[:20])
        return bad(QuarantineReason.MISSING_TEXT, f"no field {config.text!r}, or null; the fields are: {fields}")
    if not isinstance(text, str):
        return bad(QuarantineReason.TEXT_NOT_STRING, f"field {config.text!r} holds a JSON {_json_type(text)}")
    return Row(
        file,
        record,
        text,
        user_id=take_id(value, config.id),
        url=take_text(value, config.url),
        date=take_text(value, config.date),
        license=take_text(value, config.license),
        offset=line.offset,
        metadata=value,
    )


def _fault(data: bytes, error: orjson.JSONDecodeError) -> tuple[QuarantineReason, str]:
    """Which of three faults it is: bytes that are no UTF-8, half a surrogate pair, or no JSON."""
    try:
        data.decode()
    except UnicodeDecodeError as unicode:
        return QuarantineReason.NOT_UTF8, f"byte {unicode.start} of the line: {unicode.reason}"
    reason = QuarantineReason.LONE_SURROGATE if "surrogate" in str(error) else QuarantineReason.MALFORMED_JSON
    return reason, str(error)


def take_id(fields: dict[str, Any], name: str | None) -> str | None:
    """Remove and return the user's id, where it is a string or an integer of usable length."""
    value = None if name is None else fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    if not text or len(text.encode()) > USER_ID_BYTES:
        return None
    del fields[cast(str, name)]
    return text


def take_text(fields: dict[str, Any], name: str | None) -> str | None:
    """Remove and return a string field; values of other types stay behind, for metadata."""
    if name is None or not isinstance(fields.get(name), str):
        return None
    return cast(str, fields.pop(name))


def _json_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")
