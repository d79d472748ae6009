"""Promises of `inputs`: stable names, every file once, and errors that say what to do."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest
import xxhash

from curation.pipeline.errors import UsageError
from curation.sources import inputs
from curation.sources.inputs import InputFile, content_digest, expand, open_stored

from .reading import write


def names(base: Path, *patterns: str) -> list[str]:
    return [file.name for file in expand("s", list(patterns), base)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/1.txt", "a/2.txt", "a/deep/er/3.txt", "b/4.md", "a/.hidden"):
        write(tmp_path / name, name.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a/1.txt", ["1.txt"]),
        ("a", ["1.txt", "2.txt", "deep/er/3.txt"]),
        ("a/*.txt", ["1.txt", "2.txt"]),
        ("**/*.txt", ["a/1.txt", "a/2.txt", "a/deep/er/3.txt"]),
        ("a/de*/**/*.txt", ["deep/er/3.txt"]),
        ("./b/../a/[12].txt", ["1.txt", "2.txt"]),
    ],
)
def test_names_are_relative_to_the_part_without_a_wildcard(tree: Path, pattern: str, expected: list[str]) -> None:
    assert names(tree, pattern) == expected


def test_the_same_tree_elsewhere_gives_the_same_names(tree: Path) -> None:
    elsewhere = tree.parent / "elsewhere"
    os.rename(tree, elsewhere)
    assert names(elsewhere, "**/*.txt") == ["a/1.txt", "a/2.txt", "a/deep/er/3.txt"]


def test_a_file_named_twice_is_read_once(tree: Path) -> None:
    assert names(tree, "a/*.txt", "a/1.txt", "a/1.txt") == ["1.txt", "2.txt"]


def test_two_files_of_one_name_are_refused_with_both_paths(tree: Path) -> None:
    write(tree / "b/1.txt", b"other")
    with pytest.raises(UsageError, match=r"'1.txt'.*a/1.txt and .*b/1.txt"):
        expand("s", ["a/*.txt", "b/*.txt"], tree)


def test_a_file_whose_name_holds_wildcards_can_be_named(tree: Path) -> None:
    write(tree / "odd/[1]*.txt", b"x")
    assert names(tree, "odd/[1]*.txt") == ["[1]*.txt"]
    assert names(tree, "odd") == ["[1]*.txt"]


@pytest.mark.parametrize(
    ("pattern", "nearest"), [("a/1.tx", "1.txt"), ("a/*.warc", "1.txt"), ("aa/1.txt", "did you mean 'a'")]
)
def test_nothing_found_names_source_pattern_and_what_is_there(tree: Path, pattern: str, nearest: str) -> None:
    with pytest.raises(UsageError) as error:
        expand("web", [pattern], tree)
    assert "sources.web" in str(error.value)
    assert repr(pattern) in str(error.value)
    assert nearest in str(error.value)


def test_an_empty_directory_is_an_error(tree: Path) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(UsageError, match="is empty"):
        expand("s", ["empty"], tree)


def test_a_link_out_of_the_directory_is_refused_unless_named_itself(tree: Path) -> None:
    outside = write(tree / "outside/secret.txt", b"secret")
    (tree / "a/link.txt").symlink_to(outside)
    with pytest.raises(UsageError, match="leads outside"):
        expand("s", ["a/*.txt"], tree)
    with pytest.raises(UsageError, match="leads outside"):
        expand("s", ["a"], tree)
    assert names(tree, "a/link.txt") == ["link.txt"]


def test_a_link_inside_the_directory_does_not_double_its_target(tree: Path) -> None:
    (tree / "a/0-alias.txt").symlink_to(tree / "a/2.txt")
    (tree / "a/loop").symlink_to(tree / "a")
    assert names(tree, "a") == ["1.txt", "2.txt", "deep/er/3.txt"]


def test_names_never_carry_control_characters_or_broken_utf8(tree: Path) -> None:
    write(tree / "odd/a\n\x1b[31m.txt", b"x")
    write(Path(os.fsdecode(os.fsencode(tree / "odd") + b"/\xff.txt")), b"x")
    assert names(tree, "odd/*.txt") == ["%FF.txt", "a%0A%1B[31m.txt"]


@pytest.mark.parametrize("name", ["../up.txt", "a/../../up.txt", "/etc/passwd"])
def test_a_name_that_leaves_the_root_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="outside"):
        inputs._safe_name(name)


def test_version_and_size_change_with_the_file(tree: Path) -> None:
    (before,) = expand("s", ["a/1.txt"], tree)
    path = write(tree / "a/1.txt", b"longer than before")
    os.utime(path, ns=(1, 1))
    (after,) = expand("s", ["a/1.txt"], tree)
    assert (before.size, after.size) == (7, 18)
    assert after.version == "1" != before.version


def test_urls_go_through_fsspec(tree: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("one.txt", "sub/two.txt"):
        memory.pipe(f"/bucket/{name}", name.encode())
    for pattern in ("memory://bucket", "memory://bucket/**/*.txt"):
        found = expand("s", [pattern], tree)
        assert [file.name for file in found] == ["one.txt", "sub/two.txt"]
        assert [open_stored(file).read() for file in found] == [b"one.txt", b"sub/two.txt"]
        assert all(file.version and file.size == len(file.name) for file in found)
    assert names(tree, f"file://{tree}/a/*.txt") == ["1.txt", "2.txt"]
    with pytest.raises(UsageError, match="matches no file"):
        expand("s", ["memory://bucket/none.txt"], tree)


def test_the_content_digest_is_that_of_the_stored_bytes(tree: Path) -> None:
    (file,) = expand("s", ["a/1.txt"], tree)
    assert content_digest(file) == xxhash.xxh3_128_hexdigest(b"a/1.txt")


def test_a_file_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(inputs.fsspec, "open", refuse)
    with pytest.raises(PermissionError) as error:
        open_stored(InputFile("web", "memory://bucket/x.warc", "x.warc", 1, "1"))
    assert error.value.filename == "memory://bucket/x.warc"
    assert "web" in str(error.value)
