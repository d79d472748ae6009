"""Promises of `files`: one file is one record, and a new file changes only its own group."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.files import GROUP_BYTES, GROUP_FILES, group
from curation.sources.inputs import InputFile

from .reading import outcome, write


@pytest.mark.parametrize("kind", ["text", "markdown", "latex"])
def test_a_file_is_a_document_as_it_stands(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "b/two.txt", b"# Title\n\\section{x} <b>kept</b>\r\n")
    write(tmp_path / "one.txt", "Grüße".encode())
    found = outcome(kind, tmp_path)
    assert [row["id"] for row in found.documents] == ["s/b/two.txt#0", "s/one.txt#0"]
    assert found.texts == ["# Title\n\\section{x} <b>kept</b>\r\n", "Grüße"]
    assert [row["extractor"] for row in found.documents] == [None, None]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252", "cp1251"])
def test_the_charset_is_found_from_the_bytes(tmp_path: Path, encoding: str) -> None:
    text = {
        "cp1251": "Это обычный русский текст, в котором достаточно слов, чтобы узнать его кодировку. " * 5,
    }.get(encoding, "Ein gewöhnlicher Text über Straßen, Bäume und Flüsse, lang genug für den Erkenner. " * 5)
    (row,) = outcome("text", write(tmp_path / "a.txt", text.encode(encoding))).documents
    assert row["text"] == text
    assert orjson.loads(row["metadata"])["charset"]


def test_html_files_go_to_the_extractor(tmp_path: Path) -> None:
    html = b"<html><body><script>var x</script><p>" + b"A sentence of the page. " * 20 + b"</p></body></html>"
    (row,) = outcome("html", write(tmp_path / "a.html", html)).documents
    assert row["extractor"] == "resiliparse"
    assert "A sentence of the page." in row["text"]
    assert "var x" not in row["text"]


@pytest.mark.parametrize("kind", ["text", "html"])
def test_what_is_no_document_is_told(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "1-empty", b"")
    write(tmp_path / "2-binary", b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 40)
    write(tmp_path / "3-large", b"<p>large " * 20_000)
    write(tmp_path / "4-cut.gz", gzip.compress(b"<p>" + b"compressed text " * 50, mtime=0)[:-12])
    write(tmp_path / "5-good.gz", gzip.compress(b"<p>" + b"compressed text of some length. " * 20))
    found = outcome(kind, tmp_path, limits={"record_bytes": "64KiB"})
    assert found.removed == [("file.empty", kind)]
    assert [(row["file"], row["reason"], row["record"]) for row in found.quarantine] == [
        ("2-binary", "not_text", 0),
        ("3-large", "record_over_limit", 0),
        ("4-cut.gz", "truncated", 0),
    ]
    assert [row["id"] for row in found.kept] == ["s/5-good.gz#0"]
    assert "compressed text of some length." in found.texts[0]


def test_a_single_stray_nul_does_not_make_a_long_text_binary(tmp_path: Path) -> None:
    found = outcome("text", write(tmp_path / "a.txt", b"plain words " * 5_000 + b"\0" + b"and more"))
    assert len(found.texts) == 1


def files_of(sizes: list[int]) -> list[InputFile]:
    return [InputFile("s", f"/x/{i:05}.txt", f"{i:05}.txt", size, "0") for i, size in enumerate(sizes)]


@given(st.lists(st.integers(0, GROUP_BYTES * 2), max_size=600))
def test_groups_hold_every_file_once_in_order_and_are_bounded(sizes: list[int]) -> None:
    files = files_of(sizes)
    groups = group(files)
    assert [file for some in groups for file in some] == files
    for some in groups:
        assert 1 <= len(some) <= GROUP_FILES
        assert sum(file.size for file in some[:-1]) < GROUP_BYTES


@given(st.integers(0, 1_999))
def test_a_new_file_changes_one_group_or_splits_it(position: int) -> None:
    files = files_of([100] * 2_000)
    new = InputFile("s", "/x/new", f"{position:05}-new.txt", 100, "0")
    before = set(group(files))
    after = set(group([*files[: position + 1], new, *files[position + 1 :]]))
    assert len(before - after) <= 2
    assert len(after - before) <= 3
