"""Promises of `warc`: every record of an archive is one row, and damage costs only what it hit."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import orjson
import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from curation.sources import archive_heads
from curation.sources.archive_heads import begins_record
from curation.sources.compression import Block, Bounds, blocks
from curation.sources.warc_records import Broken, Record, Records

from .reading import outcome, peak_megabytes, write

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PROSE = "The river rises in the hills of the north and flows through three valleys before it meets the sea. "


def page(marker: str) -> bytes:
    paragraphs = "".join(f"<p>{PROSE}{marker} {i}.</p>" for i in range(4))
    head = f"<!DOCTYPE html><html><head><title>{marker}</title></head>"
    return f"{head}<body><main>{paragraphs}</main></body></html>".encode()


def http(body: bytes, status: str = "200 OK", kind: str | None = "text/html; charset=utf-8", **fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    lines += [f"Content-Type: {kind}"] if kind else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def record(content: bytes, kind: str = "response", length: int | None = None, **fields: str) -> bytes:
    """One WARC record, made by hand so that it can be wrong."""
    head = {"WARC-Type": kind, "WARC-Target-URI": "http://a/", "WARC-Date": "2024-01-02T03:04:05Z"}
    head |= {"Content-Type": "application/http; msgtype=response"} if kind == "response" else {}
    head |= {name.replace("_", "-"): value for name, value in fields.items()}
    head["Content-Length"] = str(len(content) if length is None else length)
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + content + b"\r\n\r\n"


def numbered(i: int) -> bytes:
    return record(http(page(f"page{i}")), WARC_Target_URI=f"http://a/{i}")


def urls(rows: list[dict[str, object]]) -> list[object]:
    return [row["url"] for row in rows]


# --- whole archives -------------------------------------------------------------------------------


def by_warcio(packed: bool) -> bytes:
    """A varied archive as warcio writes it."""
    stored = io.BytesIO()
    writer = WARCWriter(stored, gzip=packed)
    writer.write_record(writer.create_warcinfo_record("x.warc", {"software": "test"}))
    for i in range(30):
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
        body = io.BytesIO(page(f"page{i}"))
        response = writer.create_warc_record(f"http://a/{i}", "response", payload=body, http_headers=headers)
        headers = StatusAndHeaders("GET / HTTP/1.1", [("Host", "a")], is_http_request=True)
        request = writer.create_warc_record(f"http://a/{i}", "request", http_headers=headers)
        writer.write_request_response_pair(request, response)
    writer.write_record(writer.create_warc_record("http://a/", "metadata", payload=io.BytesIO(b"a: b")))
    return stored.getvalue()


@pytest.mark.parametrize("form", ["plain", "gzip", "one gzip member", "zstd"])
def test_what_warcio_writes_is_read_record_by_record(tmp_path: Path, form: str) -> None:
    plain, packed = by_warcio(packed=False), by_warcio(packed=True)
    stored = {
        "plain": plain,
        "gzip": packed,
        "one gzip member": gzip.compress(plain),
        "zstd": zstandard.compress(plain),
    }[form]
    file = write(tmp_path / "x.warc.gz", stored)
    found = outcome("warc", file)
    theirs = ArchiveIterator(io.BytesIO(packed if form == "gzip" else plain))
    expected = [(r.rec_type, r.rec_headers.get_header("WARC-Target-URI"), theirs.get_record_offset()) for r in theirs]
    assert len(expected) == 62
    ours = [(orjson.loads(row["metadata"])["warc_type"], row["url"], row["offset"]) for row in found.documents]
    if form in ("plain", "gzip"):
        assert ours == expected
    else:
        assert [row[:2] for row in ours] == [row[:2] for row in expected]
    assert [row["id"] for row in found.documents] == [f"s/x.warc.gz#{i}" for i in range(62)]
    assert found.quarantine == []
    assert len(found.kept) == 30
    assert sorted(text.split()[-2] for text in found.texts) == sorted(f"page{i}" for i in range(30))


def test_contents_are_those_that_warcio_reads() -> None:
    for packed in (True, False):
        stored = by_warcio(packed)
        ours = Records(blocks(io.BytesIO(stored), "x", Bounds(2**26, 1000.0), begins_record), 2**26)
        contents = [r.content for r in ours if isinstance(r, Record)]
        assert contents == [r.raw_stream.read() for r in ArchiveIterator(io.BytesIO(stored), no_record_parse=True)]


def test_a_page_brings_its_facts_along(tmp_path: Path) -> None:
    content = http(page("é"), kind="text/html; Charset=UTF-8")
    fields = {"X_Source_License": "CC0", "X_Page_Id": "p7", "WARC_Record_ID": "<urn:uuid:1>"}
    (row,) = outcome("warc", write(tmp_path / "x.warc", record(content, **fields))).documents
    assert (row["url"], row["date"], row["license"]) == ("http://a/", "2024-01-02T03:04:05Z", "CC0")
    assert row["extractor"] == "resiliparse"
    facts = orjson.loads(row["metadata"])
    assert facts["x-page-id"] == "p7"
    assert (facts["mime"], facts["http_charset"], facts["charset"]) == ("text/html", "UTF-8", "utf-8")
    assert (facts["warc_type"], facts["record_id"]) == ("response", "<urn:uuid:1>")
    (row,) = outcome("warc", tmp_path / "x.warc", license_header="X-Page-Id").documents
    assert row["license"] == "p7"


def test_the_license_header_and_the_angle_brackets_of_wget(tmp_path: Path) -> None:
    stored = record(http(page("a")), WARC_Target_URI="<http://b/>")
    assert urls(outcome("warc", write(tmp_path / "x.warc", stored)).documents) == ["http://b/"]


@pytest.mark.parametrize(
    ("stored", "removed"),
    [
        (record(b"a: b", "warcinfo"), ("warc.record_type", "warcinfo")),
        (record(b"GET / HTTP/1.1\r\n\r\n", "request"), ("warc.record_type", "request")),
        (record(http(b"", "304 Not Modified"), "revisit"), ("warc.record_type", "revisit")),
        (record(http(page("x"), "404 Not Found")), ("warc.http_status", "404")),
        (record(http(page("x"), "301")), ("warc.http_status", "301")),
        (record(http(b"\x89PNG", kind="image/png")), ("warc.content_type", "image/png")),
        (record(http(b"binary", kind=None)), ("warc.content_type", "none")),
        (record(b"20240102\na. IN A 1.2.3.4\n", Content_Type="text/dns"), ("warc.content_type", "text/dns")),
        (record(b"20240102\na. IN A 1.2.3.4\n", WARC_Target_URI="dns:a"), ("warc.content_type", "text/dns")),
        (record(http(b" \r\n ")), ("warc.empty_page", "200")),
        (record(http(b"<html><body></body></html>")), ("extract.no_text", "resiliparse")),
        (record(b" \n", "conversion", Content_Type="text/plain"), ("warc.empty_page", "conversion")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_record_that_is_no_page_is_removed_with_the_reason(
    tmp_path: Path, stored: bytes, removed: tuple[str, str]
) -> None:
    found = outcome("warc", write(tmp_path / "x.warc", stored + numbered(1)))
    assert found.removed == [removed]
    assert found.documents[0]["text"] is None
    assert len(found.kept) == 1
    assert found.quarantine == []


def test_a_page_without_a_content_type_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert len(outcome("warc", write(tmp_path / "x.warc", record(http(page("x"), kind=None)))).kept) == 1


def test_wet_texts_pass_as_they_are(tmp_path: Path) -> None:
    good = record("Grüße\nund mehr".encode(), "conversion", Content_Type="text/plain")
    bad = record(b"caf\xe9 au lait", "conversion", Content_Type="text/plain")
    found = outcome("wet", write(tmp_path / "x.wet", good + bad + good))
    assert found.texts == ["Grüße\nund mehr"] * 2
    assert [row["extractor"] for row in found.kept] == [None, None]
    assert [(row["reason"], row["record"], row["offset"]) for row in found.quarantine] == [("not_utf8", 1, len(good))]


def arc(*records: tuple[str, bytes]) -> list[bytes]:
    """ARC 1.0 records, each with its URL line."""
    version = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"
    lines = [("filedesc://x.arc 0.0.0.0 20080430204825 text/plain", version), *records]
    return [f"{line} {len(content)}\n".encode() + content + b"\n" for line, content in lines]


@pytest.mark.parametrize("packed", [False, True])
def test_arc_files(tmp_path: Path, packed: bool) -> None:
    records = arc(
        ("http://a/1 1.2.3.4 20080430204826 text/html", http(page("one"))),
        ("dns:a 1.2.3.4 20080430204826 text/dns", b"a. IN A 1.2.3.4"),
        ("http://a/2 1.2.3.4 20080430204827 text/html", http(page("two"))),
    )
    found = outcome("arc", write(tmp_path / "x.arc", b"".join(map(gzip.compress, records) if packed else records)))
    assert found.removed == [("warc.record_type", "warcinfo"), ("warc.record_type", "resource")]
    assert urls(found.kept) == ["http://a/1", "http://a/2"]
    assert [row["date"] for row in found.kept] == ["2008-04-30T20:48:26Z", "2008-04-30T20:48:27Z"]
    assert found.quarantine == []


@pytest.mark.parametrize("length", [-1, "abc", 10**6])
def test_an_arc_record_with_a_wrong_length_costs_only_itself(tmp_path: Path, length: object) -> None:
    first, good = arc(("http://a/1 1.2.3.4 20080430204826 text/html", http(page("one"))))
    bad = f"http://a/0 1.2.3.4 20080430204826 text/html {length}\nHTTP/1.1 200 OK\n\nshort\n\n".encode()
    found = outcome("arc", write(tmp_path / "x.arc", first + bad + good))
    assert urls(found.kept) == ["http://a/1"]
    assert [(row["reason"], row["offset"]) for row in found.quarantine] == [("bad_length", len(first))]


# --- HTTP bodies ----------------------------------------------------------------------------------


def chunked(body: bytes) -> bytes:
    parts = [body[i : i + 100] for i in range(0, len(body), 100)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def brotli(body: bytes) -> bytes:
    packed = io.BytesIO()
    with BrotliWriter(packed) as writer:
        writer.write(body)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        http(brotli(page("x")), Content_Encoding="br"),
        http(chunked(page("x")), Transfer_Encoding="chunked"),
        http(gzip.compress(page("x")), Content_Encoding="gzip"),
        http(chunked(gzip.compress(page("x"))), Content_Encoding="x-gzip", Transfer_Encoding="Chunked"),
        http(zlib.compress(page("x")), Content_Encoding="deflate"),
        http(bare_deflate(page("x")), Content_Encoding="deflate"),
        http(zstandard.compress(page("x")), Content_Encoding="zstd"),
        http(gzip.compress(zlib.compress(page("x"))), Content_Encoding="deflate, gzip"),
        # what crawlers leave behind: the header of an encoding that is already undone
        http(page("x"), Transfer_Encoding="chunked"),
        http(page("x"), Content_Encoding="gzip"),
        http(page("x"), Content_Encoding="br"),
        http(page("x"), Content_Encoding="deflate"),
        http(page("x"), Content_Encoding="UTF-8"),
        http(page("x"), Content_Encoding="text/html"),
        http(page("x")).replace(b"\r\n", b"\n", 2),
    ],
)
def test_encoded_bodies_are_decoded(tmp_path: Path, content: bytes) -> None:
    (text,) = outcome("warc", write(tmp_path / "x.warc", record(content))).texts
    assert "x 3." in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (http(chunked(page("x"))[:-300], Transfer_Encoding="chunked"), "bad_encoding"),
        (http(chunked(page("x")).replace(b"\r\n64;", b"\r\nzz;", 1), Transfer_Encoding="chunked"), "bad_encoding"),
        (http(gzip.compress(page("x"))[:-20], Content_Encoding="gzip"), "bad_encoding"),
        (http(brotli(page("x"))[:-40], Content_Encoding="br"), "bad_encoding"),
        (http(brotli(bytes(2**21)), Content_Encoding="br"), "decompression_bomb"),
        (http(b"\x1b\x2c\x00garbage", Content_Encoding="br"), "bad_encoding"),
        (http(b"\x1f\x9d\x90compressed", Content_Encoding="compress"), "bad_encoding"),
        (http(gzip.compress(bytes(2**21)), Content_Encoding="gzip"), "decompression_bomb"),
        (b"no status line\r\n\r\n<p>x</p>", "bad_http"),
        (b"", "bad_http"),
    ],
)
def test_a_broken_body_is_quarantined_alone(tmp_path: Path, content: bytes, reason: str) -> None:
    file = write(tmp_path / "x.warc", numbered(0) + record(content) + numbered(2))
    found = outcome("warc", file, limits={"record_bytes": "1MiB"})
    assert urls(found.kept) == ["http://a/0", "http://a/2"]
    assert [(row["reason"], row["record"], row["offset"]) for row in found.quarantine] == [
        (reason, 1, len(numbered(0)))
    ]


def test_a_body_that_the_crawler_cut_on_purpose_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    for content in (
        http(gzip.compress(page("x") * 500)[:-60], Content_Encoding="gzip"),
        http(chunked(page("x"))[:-30], Transfer_Encoding="chunked"),
    ):
        (row,) = outcome("warc", write(tmp_path / "x.warc", record(content, WARC_Truncated="length"))).kept
        assert orjson.loads(row["metadata"])["warc_truncated"] == "length"
        assert "The river rises" in row["text"]


# --- damaged archives -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (record(http(page("bad")), length=50_000), "bad_length"),
        (record(http(page("bad")), length=50), "bad_length"),
        (record(http(page("bad"))).replace(b"Content-Length", b"Content-Lenght"), "bad_header"),
        (record(http(page("bad"))).replace(b"WARC-Type", b"WARC_Type"), "bad_header"),
        (record(http(page("bad")), length=-5), "bad_length"),
        (b"WARC/1.0\r\n" + b"X: " + b"x" * 2**21 + b"\r\n\r\n", "bad_header"),
        (b"some garbage between two records\r\n\r\n", "garbage"),
        (b"\x00\xff" * 5_000, "garbage"),
        (record(http(page("bad") * 300)), "record_over_limit"),
    ],
)
@pytest.mark.parametrize("form", ["plain", "gzip members", "one gzip member", "zstd frames"])
def test_a_bad_record_costs_only_itself(tmp_path: Path, bad: bytes, reason: str, form: str) -> None:
    records = [numbered(0), numbered(1), bad, numbered(3)]
    if form == "gzip members":
        records = [gzip.compress(each) for each in records]
    elif form == "zstd frames":
        records = [zstandard.compress(each) for each in records]
    stored = b"".join(records)
    file = write(tmp_path / "x.warc.gz", gzip.compress(stored) if form == "one gzip member" else stored)
    found = outcome("warc", file, limits={"record_bytes": "64KiB", "ratio": 1e6})
    assert urls(found.kept) == ["http://a/0", "http://a/1", "http://a/3"]
    assert [row["id"] for row in found.documents] == ["s/x.warc.gz#0", "s/x.warc.gz#1", "s/x.warc.gz#3"]
    (row,) = found.quarantine
    if form in ("gzip members", "zstd frames") and reason == "bad_length":
        assert row["reason"] in ("bad_length", "truncated")  # the member ends before its record does
    else:
        assert row["reason"] == reason
    assert (row["record"], row["offset"]) == (2, 0 if form == "one gzip member" else len(records[0]) + len(records[1]))


def test_members_that_begin_anywhere(tmp_path: Path) -> None:
    """Some writers close a gzip member in the middle of a record (webrecorder's wrong-chunks example)."""
    plain = b"".join(map(numbered, range(4)))
    for size in (100, 333, 4_000):
        stored = b"".join(gzip.compress(plain[i : i + size]) for i in range(0, len(plain), size))
        found = outcome("warc", write(tmp_path / "x.warc.gz", stored))
        assert urls(found.kept) == [f"http://a/{i}" for i in range(4)]
        assert found.quarantine == []


MEMBERS = [gzip.compress(numbered(i), mtime=0) for i in range(6)]
OFFSETS = [sum(map(len, MEMBERS[:i])) for i in range(7)]


@given(cut=st.integers(1, OFFSETS[-1] - 1))
@QUIET
def test_a_truncated_archive_gives_all_whole_records_and_at_most_one_row(tmp_path: Path, cut: int) -> None:
    found = outcome("warc", write(tmp_path / "x.warc.gz", b"".join(MEMBERS)[:cut]))
    whole = sum(end <= cut for end in OFFSETS[1:])
    assert urls(found.kept) == [f"http://a/{i}" for i in range(whole)]
    assert [(row["record"], row["offset"]) for row in found.quarantine] == (
        [] if cut in OFFSETS else [(whole, OFFSETS[whole])]
    )


def still_valid(stored: bytes) -> bool:
    """Whether the standard library sees nothing but whole gzip members of whole records."""
    try:
        plain = gzip.decompress(stored)
    except (OSError, EOFError, zlib.error):
        return False
    return plain == b"".join(numbered(i) for i in range(6) if b"http://a/%d\r\n" % i in plain)


@given(
    at=st.integers(0, OFFSETS[-1] - 1),
    length=st.integers(0, 400),
    junk=st.binary(max_size=400),
)
@example(at=0, length=0, junk=b"P*M\x18")  # begins like a zstd frame
@example(at=0, length=9, junk=b"\x28\xb5\x2f\xfd")
@example(at=0, length=0, junk=b"\xfd7zXZ\0")
@settings(QUIET, max_examples=300)
def test_random_damage_loses_only_the_records_that_it_touches(
    tmp_path: Path, at: int, length: int, junk: bytes
) -> None:
    stored = b"".join(MEMBERS)
    end = min(at + length, len(stored))
    damaged = stored[:at] + junk + stored[end:]
    found = outcome("warc", write(tmp_path / "x.warc.gz", damaged))
    untouched = [
        f"http://a/{i}" for i in range(6) if OFFSETS[i + 1] <= at or OFFSETS[i] >= max(end, at) or (damaged == stored)
    ]
    assert set(untouched) <= set(urls(found.kept))
    assert len(found.kept) <= 6
    assert set(found.texts) <= set(ORIGINALS)
    if still_valid(damaged):  # e.g. a whole record cut out
        assert found.quarantine == []
    else:
        assert 1 <= len(found.quarantine) <= 6 - len(found.kept) + 1


@given(at=st.integers(0, 6 * len(numbered(0)) - 1), junk=st.binary(min_size=1, max_size=300))
@settings(QUIET, max_examples=150)
def test_damage_in_a_plain_archive_loses_only_the_records_that_it_touches(tmp_path: Path, at: int, junk: bytes) -> None:
    records = [numbered(i) for i in range(6)]
    size = len(records[0])
    stored = b"".join(records)
    damaged = stored[:at] + junk + stored[at + len(junk) :]
    found = outcome("warc", write(tmp_path / "x.warc", damaged))
    first, last = at // size, min(at + len(junk) - 1, len(stored) - 1) // size
    assert {f"http://a/{i}" for i in range(6) if i < first or i > last} <= set(urls(found.kept))


@pytest.fixture(scope="module", autouse=True)
def _originals(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = write(tmp_path_factory.mktemp("whole") / "x.warc.gz", b"".join(MEMBERS))
    ORIGINALS.extend(outcome("warc", file).texts)
    assert len(ORIGINALS) == 6


ORIGINALS: list[str] = []


@given(step=st.integers(1, 5_000))
@settings(deadline=None, max_examples=30)
def test_records_do_not_depend_on_how_the_stream_is_cut_into_blocks(step: int) -> None:
    stored = numbered(0) + b"garbage\r\n" + record(b"x" * 9_000, "metadata") + record(b"y", length=99) + numbered(4)
    cut = (Block(stored[i : i + step], i, i == 0, i + step, exact=True) for i in range(0, len(stored), step))
    found = list(Records(cut, 8_000))
    whole = list(Records(iter([Block(stored, 0, True, len(stored), exact=True)]), 8_000))
    assert [type(each) for each in whole] == [Record, Broken, Broken, Broken, Record]
    assert [(each.offset, getattr(each, "content", None)) for each in found] == [
        (each.offset, getattr(each, "content", None)) for each in whole
    ]


def test_headers_that_fastwarc_refuses_are_read_by_warcio(monkeypatch: pytest.MonkeyPatch) -> None:
    block = b"WARC/1.0\r\nWARC-Type: response\r\nX-Long: " + b"x" * 200_000 + b"\r\nContent-Length: 3\r\n\r\n"
    called = []
    slow = archive_heads._parse_fields_slowly
    monkeypatch.setattr(archive_heads, "_parse_fields_slowly", lambda b: called.append(len(b)) or slow(b))
    head = archive_heads.parse_head(block)
    assert called == [len(block)]
    assert (head.fields["warc-type"], head.length, len(head.fields["x-long"])) == ("response", 3, 200_000)


def test_a_bomb_in_an_archive_is_stopped_with_bounded_memory(tmp_path: Path) -> None:
    head = record(b"", length=2**30 + 7).removesuffix(b"\r\n\r\n")
    file = write(tmp_path / "x.warc.gz", MEMBERS[0] + gzip.compress(head + bytes(2**24)) + MEMBERS[1])
    found = outcome("warc", file, limits={"ratio": 100, "record_bytes": "1MiB"})
    assert urls(found.kept) == ["http://a/0", "http://a/1"]
    assert found.reasons == ["decompression_bomb"]
    bomb = gzip.compress(head) + gzip.compress(bytes(2**24)) * 64  # a record of 1 GiB in members of 16 MiB
    grown, reasons = peak_megabytes("warc", write(file, MEMBERS[0] + bomb + MEMBERS[1]))
    assert reasons == ["record_over_limit"]
    assert grown < 300
