"""The body of a stored HTTP response, without its transfer and content encodings, within a limit.

Archives often keep a header (`Transfer-Encoding: chunked`, `Content-Encoding: gzip`) whose
encoding the crawler has already undone; a body that does not even begin as its header says
is therefore taken as it stands.  One that begins so and then breaks is damaged.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping

from fastwarc.stream_io import BrotliReader

from curation.sources.codecs import Corrupt, Decoder, GzipDecoder, ZlibDecoder, ZstdDecoder
from curation.sources.reasons import QuarantineReason

_CHUNK_SIZE = re.compile(rb"[ \t]{0,8}([0-9A-Fa-f]{1,15})[ \t]{0,64}(?:;[^\r\n]{0,1024})?\r?\n")
_NONE = frozenset({"", "identity", "none", "binary", "utf-8", "8bit"})  # the last four are frequent mistakes


class BadBody(Exception):
    """A body whose encoding is broken, unknown, or too large once undone."""

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def decode_body(body: bytes, fields: Mapping[str, str], limit: int, may_be_cut: bool = False) -> bytes:
    """The page's bytes, at most `limit` of them; raises BadBody.

    `fields` are the HTTP fields with lower-case names.  With `may_be_cut` (WARC-Truncated)
    a body that ends too early gives what there is of it.
    """
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = _join_chunks(body, may_be_cut)
    for name in reversed(fields.get("content-encoding", "").lower().split(",")):
        body = _undo(name.strip(), body, limit, may_be_cut)
    return body


def _join_chunks(body: bytes, may_be_cut: bool) -> bytes:
    """RFC 9112 §7.1, without trailers."""
    parts: list[bytes] = []
    at = 0
    while True:
        size_line = _CHUNK_SIZE.match(body, at)
        if size_line is None:
            if at == 0:
                return body  # not chunked any more
            if at >= len(body) and may_be_cut:
                return b"".join(parts)
            raise BadBody(QuarantineReason.BAD_ENCODING, f"no chunk size at byte {at:,} of the body")
        size = int(size_line[1], 16)
        if size == 0:
            return b"".join(parts)
        at = size_line.end()
        parts.append(body[at : at + size])
        at += size
        if at > len(body):
            if may_be_cut:
                return b"".join(parts)
            raise BadBody(QuarantineReason.BAD_ENCODING, f"a chunk of {size:,} bytes is cut off")
        at += 2 if body.startswith(b"\r\n", at) else 1 if body.startswith(b"\n", at) else 0


def _undo(name: str, body: bytes, limit: int, may_be_cut: bool) -> bytes:
    if name in _NONE or not body:
        return body
    name = name.removeprefix("x-")
    if name == "gzip":
        return _all(GzipDecoder(), body, limit, may_be_cut) if body.startswith(b"\x1f\x8b") else body
    if name == "zstd":
        return _all(ZstdDecoder(None), body, limit, may_be_cut) if body.startswith(b"\x28\xb5\x2f\xfd") else body
    if name == "deflate" or name == "br":
        return _undo_unmarked(name, body, limit, may_be_cut)
    if _is_markup(body):
        return body
    raise BadBody(QuarantineReason.BAD_ENCODING, f"content encoding {name[:40]!r} is not known")


def _undo_unmarked(name: str, body: bytes, limit: int, may_be_cut: bool) -> bytes:
    """Encodings without a magic number: only trying tells whether the header is stale."""
    try:
        if name == "br":
            return _brotli(body, limit)
        wrapped = body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0  # RFC 1950; many send bare RFC 1951
        return _all(ZlibDecoder(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS), body, limit, may_be_cut)
    except BadBody as error:
        if error.reason is QuarantineReason.BAD_ENCODING and _is_markup(body):
            return body
        raise


def _is_markup(body: bytes) -> bool:
    return body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _all(decoder: Decoder, body: bytes, limit: int, may_be_cut: bool) -> bytes:
    parts: list[bytes] = []
    total = 0
    try:
        for piece in decoder.decode(body):
            parts.append(piece)
            total += len(piece)
            if total > limit:
                raise _too_large(limit)
    except Corrupt as error:
        raise BadBody(QuarantineReason.BAD_ENCODING, str(error)) from None
    if not decoder.eof and not may_be_cut:
        raise BadBody(QuarantineReason.BAD_ENCODING, f"the encoded body is cut off after {len(body):,} bytes")
    return b"".join(parts)


def _brotli(body: bytes, limit: int) -> bytes:
    try:
        decoded: bytes = BrotliReader(io.BytesIO(body)).read(limit + 1)
    except (OSError, ValueError) as error:  # in memory, so this is never the disk
        raise BadBody(QuarantineReason.BAD_ENCODING, f"brotli: {error}") from None
    if len(decoded) > limit:
        raise _too_large(limit)
    return decoded


def _too_large(limit: int) -> BadBody:
    return BadBody(QuarantineReason.DECOMPRESSION_BOMB, f"the body decodes to more than {limit:,} bytes")
