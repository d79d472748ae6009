"""Promises of `compression`: every format by its bytes, bounded output, damage costs what it hit."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources.compression import Block, Bounds, Damage, blocks
from curation.sources.reasons import QuarantineReason

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
BOUNDS = Bounds(free_bytes=2**26, ratio=1000.0)
TEXT = b"".join(b"line %d of a text\n" % i for i in range(40_000))


def unpack(stored: bytes, bounds: Bounds = BOUNDS) -> tuple[bytes, list[Damage]]:
    items = list(blocks(io.BytesIO(stored), "file", bounds))
    data = b"".join(item.data for item in items if isinstance(item, Block))
    return data, [item for item in items if isinstance(item, Damage)]


@pytest.mark.parametrize("form", COMPRESS)
def test_each_format_in_one_member_and_in_many(form: str) -> None:
    compress = COMPRESS[form]
    assert unpack(compress(TEXT)) == (TEXT, [])
    assert unpack(compress(TEXT) + compress(b"") + compress(b"and more")) == (TEXT + b"and more", [])


def test_plain_bytes_pass_with_exact_offsets() -> None:
    items = list(blocks(io.BytesIO(TEXT), "file.gz", BOUNDS))
    position = 0
    for item in items:
        assert isinstance(item, Block)
        assert item.exact
        assert item.offset == position
        position += len(item.data)
    assert position == len(TEXT)
    assert unpack(b"") == (b"", [])


@pytest.mark.parametrize("form", COMPRESS)
def test_members_are_told_with_their_stored_offset(form: str) -> None:
    compress = COMPRESS[form]
    first, second = compress(b"one"), compress(b"two")
    items = [item for item in blocks(io.BytesIO(first + second), "x", BOUNDS) if isinstance(item, Block)]
    assert [(item.data, item.offset, item.starts_member) for item in items] == [
        (b"one", 0, True),
        (b"two", len(first), True),
    ]


def test_zero_padding_between_and_after_members_is_no_damage() -> None:
    padded = gzip.compress(b"one") + bytes(70_000) + gzip.compress(b"two") + bytes(512)
    assert unpack(padded) == (b"onetwo", [])


def test_zstd_skippable_frames_and_dictionaries() -> None:
    skippable = b"\x5a\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"comment"
    assert unpack(skippable + COMPRESS["zst"](b"one") + skippable) == (b"one", [])
    samples = [b"<html><title>%d</title><p>the same words</p>" % (i * 7919) for i in range(2_000)]
    dictionary = zstandard.train_dictionary(4_096, samples)
    first = b"\x5d\x2a\x4d\x18" + len(dictionary.as_bytes()).to_bytes(4, "little") + dictionary.as_bytes()
    frames = [zstandard.ZstdCompressor(dict_data=dictionary).compress(sample) for sample in samples[:5]]
    assert unpack(first + b"".join(frames)) == (b"".join(samples[:5]), [])


@given(cut=st.integers(1, len(gzip.compress(TEXT)) - 1))
@settings(max_examples=60, deadline=None)
def test_a_truncated_gzip_gives_all_that_zlib_can_read_and_one_damage(cut: int) -> None:
    stored = gzip.compress(TEXT, mtime=0)[:cut]
    data, damage = unpack(stored)
    if cut < 3:  # no magic number: plain bytes
        assert (data, damage) == (stored, [])
        return
    assert data == zlib.decompressobj(wbits=31).decompress(stored)
    assert [(each.offset, each.reason) for each in damage] == [(0, QuarantineReason.TRUNCATED)]


@given(cut=st.integers(4, len(COMPRESS["zst"](TEXT)) - 1))
@settings(max_examples=40, deadline=None)
def test_a_truncated_zstd_gives_whole_blocks_and_one_damage(cut: int) -> None:
    stored = COMPRESS["zst"](TEXT)[:cut]
    data, damage = unpack(stored)
    assert data == zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    assert [(each.offset, each.reason) for each in damage] == [(0, QuarantineReason.TRUNCATED)]


@pytest.mark.parametrize("form", COMPRESS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_damage_in_one_member_leaves_the_others_whole(form: str, data: st.DataObject) -> None:
    texts = [b"member %d " % i + bytes(str(i * 7919), "ascii") * 200 for i in range(5)]
    members = [COMPRESS[form](text) for text in texts]
    hit = data.draw(st.integers(1, 4), "member")
    at = data.draw(st.integers(0, len(members[hit]) - 1), "byte")
    flip = data.draw(st.integers(1, 255), "bits")
    broken = bytearray(members[hit])
    broken[at] ^= flip
    whole = members.copy()
    whole[hit] = bytes(broken)
    found = list(blocks(io.BytesIO(b"".join(whole)), "x", BOUNDS))
    by_offset: dict[int, bytes] = {}
    for item in found:
        if isinstance(item, Block):
            by_offset[item.offset] = by_offset.get(item.offset, b"") + item.data
    offsets = [sum(map(len, members[:i])) for i in range(5)]
    for i, text in enumerate(texts):
        if i != hit:
            assert by_offset[offsets[i]] == text
    told = [item.offset for item in found if isinstance(item, Damage)]
    assert told == [offsets[hit]] or by_offset.get(offsets[hit], b"") == texts[hit]


def test_before_damage_in_the_middle_of_a_long_member_nothing_is_lost() -> None:
    stored = bytearray(gzip.compress(TEXT, mtime=0))
    at = len(stored) // 2
    stored[at : at + 8] = b"\xff" * 8
    decoder, reference = zlib.decompressobj(wbits=31), bytearray()
    with pytest.raises(zlib.error):
        for byte in bytes(stored):
            reference += decoder.decompress(bytes([byte]))
    data, damage = unpack(bytes(stored))
    assert len(reference) > 100_000
    assert data == bytes(reference)
    assert [each.reason for each in damage] == [QuarantineReason.DAMAGED_COMPRESSION]


def test_garbage_between_members_is_told_once_where_it_begins() -> None:
    one, two = gzip.compress(b"one"), gzip.compress(b"two")
    assert unpack(COMPRESS["zst"](b"one") + b"garbage" + zstandard.compress(b"2"))[0] == b"one2"  # of 10 bytes
    data, damage = unpack(one + b"garbage \x1f\x8b\x08 and more garbage" + two)
    assert data == b"onetwo"
    assert [(each.offset, each.reason) for each in damage] == [(len(one), QuarantineReason.GARBAGE)]
    assert damage[0].sample.startswith(b"garbage")


def test_a_stretch_of_nothing_but_magic_numbers_is_crossed_in_linear_time() -> None:
    one, two = gzip.compress(b"one"), gzip.compress(b"two")
    data, damage = unpack(one + b"\x1f\x8b\x08\x00" * 100_000 + two)
    assert data == b"onetwo"
    assert len(damage) == 1


def test_a_member_after_damage_may_be_longer_than_what_is_looked_at() -> None:
    random = bytes(zlib.crc32(str(i).encode()) & 0xFF for i in range(3_000_000))
    for form in COMPRESS:
        data, damage = unpack(COMPRESS[form](b"one") + b"garbage" + COMPRESS[form](random))
        assert data == b"one" + random
        assert [each.reason for each in damage] == [QuarantineReason.GARBAGE]


@pytest.mark.parametrize("form", COMPRESS)
def test_a_bomb_is_stopped_and_what_follows_is_read(form: str) -> None:
    bomb = COMPRESS[form](bytes(2**25))
    data, damage = unpack(bomb + COMPRESS[form](b"after"), Bounds(free_bytes=2**20, ratio=50.0))
    assert [each.reason for each in damage] == [QuarantineReason.DECOMPRESSION_BOMB]
    assert len(data) < 2**25
    assert data.endswith(b"after")


@pytest.mark.parametrize("form", COMPRESS)
def test_no_block_is_larger_than_32_mebibytes(form: str) -> None:
    for item in blocks(io.BytesIO(COMPRESS[form](bytes(2**27))), "x", Bounds(2**30, 1e9)):
        assert isinstance(item, Block)
        assert len(item.data) <= 2**25


def test_errors_of_the_disk_are_not_damage() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 0:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(OSError, match="Input/output"):
        list(blocks(Failing(gzip.compress(TEXT * 20)), "x", BOUNDS))
