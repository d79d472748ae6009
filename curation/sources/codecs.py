"""One face for four decompressors: feed stored bytes, get bounded pieces, learn where a member ends.

gzip: isal; zstd: zstandard; bzip2 and xz: the standard library.  Whatever a library raises
for damaged data becomes `Corrupt`; nothing else is caught.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

import zstandard
from isal import isal_zlib

OUTPUT = 256 * 2**10  # decompressed bytes a piece, at most (zstd: see ZstdDecoder)
XZ_MEMORY = 128 * 2**20  # what `xz -9` needs is 65 MiB
_GZIP_ERROR = cast(type[Exception], isal_zlib.error)  # isal's stub calls it an instance
DICTIONARY_BYTES = 16 * 2**20  # of a .warc.zst file


class Corrupt(Exception):
    """The stored bytes are not what their format says."""


class Decoder(Protocol):
    """Decompresses one member; `unused` are the stored bytes after its end, once `eof` is true."""

    eof: bool
    unused: bytes

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Pieces of decompressed bytes; raises Corrupt."""
        ...


class GzipDecoder:
    """RFC 1952 member, with its checksum verified."""

    def __init__(self) -> None:
        self._zlib = isal_zlib.decompressobj(wbits=31)
        self.eof, self.unused = False, b""

    def decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = self._zlib.decompress(data, OUTPUT)
            except _GZIP_ERROR as error:
                raise Corrupt(f"gzip: {error}") from None
            if piece:
                yield piece
            if self._zlib.eof:
                self.eof, self.unused = True, self._zlib.unused_data
                return
            data = self._zlib.unconsumed_tail
            if not data and len(piece) < OUTPUT:
                return


class ZlibDecoder:
    """The same with zlib: slower, but it gives every byte before a cut, where isal holds back some.

    With other `window_bits` also for zlib (RFC 1950) and bare deflate (RFC 1951) streams.
    """

    def __init__(self, window_bits: int = zlib.MAX_WBITS | 16) -> None:
        self._zlib = zlib.decompressobj(window_bits)
        self.eof, self.unused = False, b""

    def decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = self._zlib.decompress(data, OUTPUT)
            except zlib.error as error:
                raise Corrupt(f"zlib: {error}") from None
            if piece:
                yield piece
            if self._zlib.eof:
                self.eof, self.unused = True, self._zlib.unused_data
                return
            data = self._zlib.unconsumed_tail
            if not data and len(piece) < OUTPUT:
                return


class ZstdDecoder:
    """RFC 8878 frame, fed in small steps: its interface has no output bound, but 1 KiB of input cannot
    hold more than 256 blocks of 128 KiB, so a piece is at most 32 MiB."""

    STEP = 2**10

    def __init__(self, dictionary: zstandard.ZstdCompressionDict | None) -> None:
        self._zstd = zstandard.ZstdDecompressor(dict_data=dictionary).decompressobj()
        self.eof, self.unused = False, b""

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), self.STEP):
            try:
                piece = self._zstd.decompress(data[start : start + self.STEP])
            except zstandard.ZstdError as error:
                raise Corrupt(str(error)) from None
            if piece:
                yield piece
            if self._zstd.eof:
                self.eof, self.unused = True, self._zstd.unused_data + data[start + self.STEP :]
                return


class _StandardDecoder:
    """bzip2 or xz stream of the standard library: both have the same interface."""

    def __init__(self, decompressor: bz2.BZ2Decompressor | lzma.LZMADecompressor, name: str) -> None:
        self._decompressor, self._name = decompressor, name
        self.eof, self.unused = False, b""

    def decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = self._decompressor.decompress(data, OUTPUT)
            except (lzma.LZMAError, OSError, EOFError) as error:  # bz2 says OSError for damaged data
                raise Corrupt(f"{self._name}: {error}") from None
            if piece:
                yield piece
            if self._decompressor.eof:
                self.eof, self.unused = True, self._decompressor.unused_data
                return
            data = b""
            if self._decompressor.needs_input:
                return


@dataclass(frozen=True, slots=True)
class Format:
    """How a compression format is recognised, and what decompresses one member of it.

    `careful` gives the last bytes before damage, where that is another decoder.
    """

    name: str
    suffix: str
    magics: tuple[bytes, ...]
    decoder: Callable[[zstandard.ZstdCompressionDict | None], Decoder]
    careful: Callable[[], Decoder] | None = None


FORMATS = (
    Format("gzip", ".gz", (b"\x1f\x8b\x08",), lambda _: GzipDecoder(), ZlibDecoder),
    Format(
        "zstd",
        ".zst",
        # a frame, and the sixteen kinds of skippable frame
        (b"\x28\xb5\x2f\xfd", *(bytes((0x50 + i, 0x2A, 0x4D, 0x18)) for i in range(16))),
        lambda dictionary: ZstdDecoder(dictionary),
    ),
    Format("bzip2", ".bz2", (b"BZh",), lambda _: _StandardDecoder(bz2.BZ2Decompressor(), "bzip2")),
    Format(
        "xz",
        ".xz",
        (b"\xfd7zXZ\0",),
        lambda _: _StandardDecoder(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY), "xz"),
    ),
)


def format_of(head: bytes) -> Format | None:
    """The format that these first bytes announce; None for plain bytes."""
    for form in FORMATS:
        if head.startswith(form.magics) and (form.name != "bzip2" or head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")):
            return form
    return None


def zstd_dictionary(stored: BinaryIO) -> zstandard.ZstdCompressionDict | None:
    """The dictionary in the first, skippable frame of a .warc.zst file, where there is one.

    Source: iipc/warc-specifications, "WARC Zstandard compression" 1.0, section 4.
    """
    stored.seek(0)
    head = stored.read(8)
    size = int.from_bytes(head[4:8], "little")
    if head[:4] != b"\x5d\x2a\x4d\x18" or size > DICTIONARY_BYTES:
        return None
    data = stored.read(size)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        try:
            with zstandard.ZstdDecompressor().stream_reader(data) as reader:
                data = reader.read(DICTIONARY_BYTES)
        except zstandard.ZstdError:
            return None  # the frames that need it will be quarantined, each with its offset
    try:
        return zstandard.ZstdCompressionDict(data)
    except zstandard.ZstdError:
        return None
