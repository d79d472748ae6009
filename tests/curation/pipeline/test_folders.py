"""Promises of folder outputs: whole or not at all, known by names and bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.pipeline.folders import FolderWriter, size_of
from curation.pipeline.manifest import Manifest
from curation.pipeline.shards import Output


def filled(path: Path, files: dict[str, bytes]) -> Output:
    writer = FolderWriter(path)
    for name, content in files.items():
        (writer.filling / name).parent.mkdir(parents=True, exist_ok=True)
        (writer.filling / name).write_bytes(content)
    return writer.close()


def test_it_is_there_when_it_is_closed_and_not_before(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "out")
    (writer.filling / "a").write_bytes(b"1")
    assert not (tmp_path / "out").exists()
    assert writer.close().file == "out"
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (tmp_path / "out" / "a").read_bytes() == b"1"


def test_what_was_discarded_leaves_nothing(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "out")
    (writer.filling / "a").write_bytes(b"1")
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_of_names_and_bytes(tmp_path: Path) -> None:
    some = filled(tmp_path / "1", {"b/c": b"23", "a": b"1"})
    assert (some.rows, some.bytes) == (2, 3)
    assert filled(tmp_path / "2", {"a": b"1", "b/c": b"23"}).digest == some.digest
    others = [{"a": b"12", "b/c": b"3"}, {"a": b"1", "b/d": b"23"}, {"a": b"1", "b": b"23"}, {"a": b"1"}]
    digests = {filled(tmp_path / f"x{i}", files).digest for i, files in enumerate(others)}
    assert len(digests) == len(others) and some.digest not in digests


def test_a_folder_of_an_earlier_attempt_is_replaced(tmp_path: Path) -> None:
    filled(tmp_path / "out", {"old": b"1"})
    filled(tmp_path / "out", {"new": b"2"})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_manifest_counts_only_while_its_folder_is_whole(tmp_path: Path, damage: str) -> None:
    output = filled(tmp_path / "out", {"a": b"1", "b": b"2"})
    Manifest("t", "s", "f", {"out": output}, {}).write(tmp_path)
    assert Manifest.read(tmp_path) is not None and size_of(tmp_path / "out") == 2
    if damage == "cut":
        (tmp_path / "out" / "a").write_bytes(b"")
    else:
        for path in (tmp_path / "out").iterdir():
            path.unlink()
        (tmp_path / "out").rmdir()
    assert Manifest.read(tmp_path) is None
