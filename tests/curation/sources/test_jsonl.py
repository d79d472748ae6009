"""Promises of `jsonl`: one bad line is one quarantine row, and every other line is a document."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.sources.compression import Block
from curation.sources.jsonl import Line, split_lines

from .reading import outcome, peak_megabytes, write
from .test_compression import COMPRESS

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def jsonl(*rows: object) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def test_named_fields_become_columns_and_the_others_metadata(tmp_path: Path) -> None:
    row = {"text": "Hé", "id": "x1", "url": "http://a", "date": "2020", "license": "CC0", "lang": "fr", "n": [1, None]}
    file = write(tmp_path / "a.jsonl", jsonl(row, {"text": "second", "id": 7, "url": 3}))
    first, second = outcome("jsonl", file).documents
    assert (first["id"], first["text"], first["url"]) == ("s/x1", "Hé", "http://a")
    assert (first["date"], first["license"], first["offset"]) == ("2020", "CC0", 0)
    assert orjson.loads(first["metadata"]) == {"lang": "fr", "n": [1, None]}
    assert second["id"] == "s/7"
    assert second["offset"] == len(jsonl(row))
    assert (second["url"], orjson.loads(second["metadata"])) == (None, {"url": 3})


def test_field_names_come_from_the_config(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", jsonl({"content": "x", "key": "k", "id": "not this"}))
    (row,) = outcome("jsonl", file, text="content", id="key").documents
    assert (row["id"], row["text"], row["metadata"]) == ("s/k", "x", '{"id":"not this"}')
    (row,) = outcome("jsonl", file, text="content", id=None).documents
    assert row["id"] == "s/a.jsonl#0"


@pytest.mark.parametrize("user_id", [None, "", True, 1.5, ["x"], "x" * 1025])
def test_an_unusable_id_is_replaced_by_the_record_number(tmp_path: Path, user_id: object) -> None:
    file = write(tmp_path / "a.jsonl", jsonl({"text": "x", "id": user_id}))
    (row,) = outcome("jsonl", file).documents
    assert row["id"] == "s/a.jsonl#0"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "caf\xe9"}', "not_utf8"),
        (b'{"text": "cut', "malformed_json"),
        (b'{"text": NaN}', "malformed_json"),
        (b"\x00\x01\x02", "malformed_json"),
        (b"[" * 100_000, "malformed_json"),
        (b'{"text": "\\ud800 half a pair"}', "lone_surrogate"),
        (b'["text"]', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"body": "x"}', "missing_text"),
        (b'{"text": null}', "missing_text"),
        (b'{"text": 5}', "text_not_string"),
        (b'{"text": "' + b"x" * 200_000 + b'"}', "record_over_limit"),
        (b'{"text": "' + "é".encode() * 30_000 + b'"}', "text_over_limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_one_bad_line_is_one_quarantine_row(tmp_path: Path, line: bytes, reason: str) -> None:
    before, after = jsonl({"text": "before"}), jsonl({"text": "after"})
    file = write(tmp_path / "a.jsonl", before + line + b"\n" + after)
    found = outcome("jsonl", file, limits={"record_bytes": "128KiB", "text_bytes": 50_000})
    assert found.texts == ["before", "after"]
    assert [row["id"] for row in found.documents] == ["s/a.jsonl#0", "s/a.jsonl#2"]
    (row,) = found.quarantine
    assert (row["reason"], row["record"], row["offset"]) == (reason, 1, len(before))
    assert (row["source"], row["file"]) == ("s", "a.jsonl")
    assert row["detail"]
    assert len(row["sample"]) <= 512
    if reason != "text_over_limit":  # whose sample is that of the text
        assert line.startswith(row["sample"])


def test_an_empty_text_is_a_document(tmp_path: Path) -> None:
    assert outcome("jsonl", write(tmp_path / "a.jsonl", jsonl({"text": ""}))).texts == [""]


def test_blank_lines_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + b'{"text": "one"}\r\n\r\n   \n\n{"text": "two"}'
    found = outcome("jsonl", write(tmp_path / "a.jsonl", data))
    assert (found.texts, found.quarantine) == (["one", "two"], [])
    assert [row["id"] for row in found.documents] == ["s/a.jsonl#0", "s/a.jsonl#1"]


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    found = outcome("jsonl", write(tmp_path / "a.jsonl", b""))
    assert found.documents == found.quarantine == []


@pytest.mark.parametrize("form", COMPRESS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.txt"])
def test_the_compression_is_known_by_its_bytes_not_its_name(tmp_path: Path, form: str, name: str) -> None:
    data = jsonl(*({"text": f"document {i}"} for i in range(5_000)))
    found = outcome("jsonl", write(tmp_path / name, COMPRESS[form](data)))
    assert found.texts == [f"document {i}" for i in range(5_000)]
    assert found.documents[1]["offset"] == len(jsonl({"text": "document 0"}))


def test_a_wrong_name_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outcome("jsonl", write(tmp_path / "a.zst", gzip.compress(jsonl({"text": "x"}))))
    outcome("jsonl", write(tmp_path / "b.gz", jsonl({"text": "x"})))
    assert ["in spite of its name" in message for message in caplog.messages] == [True, True]


ROWS = [{"text": f"document {i} " + str(i * 7919) * (i % 40)} for i in range(400)]
PACKED = gzip.compress(jsonl(*ROWS), mtime=0)


@given(cut=st.integers(3, len(PACKED) - 1))
@QUIET
def test_a_truncated_gzip_gives_every_line_before_the_cut_and_one_row(tmp_path: Path, cut: int) -> None:
    readable = zlib.decompressobj(wbits=31).decompress(PACKED[:cut])
    found = outcome("jsonl", write(tmp_path / "a.jsonl.gz", PACKED[:cut]))
    assert found.texts == [row["text"] for row in ROWS[: readable.count(b"\n")]]
    assert [(row["reason"], row["record"], row["offset"]) for row in found.quarantine] == [
        ("truncated", readable.count(b"\n"), 0)
    ]


@given(sizes=st.lists(st.integers(1, 60), min_size=1), limit=st.integers(5, 40))
@settings(deadline=None)
def test_lines_do_not_depend_on_how_the_stream_is_cut(sizes: list[int], limit: int) -> None:
    data = b"\n".join(b"x" * size for size in sizes)
    expected, position = [], 0
    for size in sizes:
        expected.append((size if size > limit else b"x" * size, position))
        position += size + 1
    for step in (1, 7, 1_000):
        cut = (Block(data[i : i + step], i, i == 0, i + step) for i in range(0, len(data), step))
        lines = list(split_lines(iter(cut), limit))
        assert [(x.length if x.length > limit else x.data, x.offset) for x in lines if isinstance(x, Line)] == expected
        assert all(data[x.offset :].startswith(x.data) for x in lines if isinstance(x, Line))


def test_a_line_of_a_gigabyte_is_never_held(tmp_path: Path) -> None:
    bomb = gzip.compress(b"x" * 2**24) * 64  # members may end anywhere, so this is one line
    file = write(tmp_path / "a.jsonl.gz", gzip.compress(jsonl({"text": "before"})) + bomb)
    grown, reasons = peak_megabytes("jsonl", file)
    assert reasons == ["record_over_limit"]
    assert grown < 300
