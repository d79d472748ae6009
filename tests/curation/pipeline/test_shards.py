"""Promises of shards: atomic files, content digests that depend on values only, aligned row groups."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from curation.pipeline.manifest import Manifest
from curation.pipeline.shards import Output, ShardWriter, row_groups, sweep_stale, update_digest, write_atomic

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])


def batch(ids: list[str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": ids, "n": list(range(len(ids)))}, schema=SCHEMA)


def digest_of(table: pa.Table) -> str:
    digest = xxhash.xxh3_128()
    update_digest(digest, table)
    return digest.hexdigest()


def test_nothing_is_visible_before_close_and_nothing_is_left_after_discard(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "a.parquet", SCHEMA)
    writer.write(batch(["x"]))
    assert not (tmp_path / "a.parquet").exists()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "a.parquet", SCHEMA)
    writer.write(batch(["x", None]))
    writer.write(batch([]))
    writer.write(batch(["y"]))
    output = writer.close()
    assert output.rows == 3
    assert output.bytes == (tmp_path / "a.parquet").stat().st_size
    assert pq.read_table(tmp_path / "a.parquet")["id"].to_pylist() == ["x", None, "y"]


def test_an_aligned_writer_makes_one_row_group_a_batch(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "a.parquet", SCHEMA, align=True)
    for size in (3, 1, 2):
        writer.write(batch(["z"] * size))
    writer.close()
    assert [group.num_rows for group in row_groups(tmp_path / "a.parquet")] == [3, 1, 2]


def test_rows_without_text_still_make_bounded_row_groups(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "a.parquet", SCHEMA)
    for _ in range(20):
        writer.write(batch(["i"] * 2_000))
    writer.close()
    sizes = [group.num_rows for group in row_groups(tmp_path / "a.parquet")]
    assert sum(sizes) == 40_000
    assert max(sizes) <= 18_000


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=12), st.data())
def test_the_digest_does_not_depend_on_chunks_slices_or_string_type(
    values: list[str | None], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(values)))
    whole = pa.table({"a": pa.array(values, pa.string())})
    chunked = pa.table(
        {"a": pa.chunked_array([pa.array(values[:cut], pa.string()), pa.array(values[cut:], pa.string())])}
    )
    sliced = pa.table({"a": pa.array(["pad", *values, "pad"], pa.string()).slice(1, len(values))})
    encoded = pa.table({"a": pa.array(values, pa.string()).dictionary_encode()})
    assert len({digest_of(one) for one in (whole, chunked, sliced, encoded)}) == 1


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=6), st.data())
def test_the_digest_depends_on_every_value(values: list[str | None], data: st.DataObject) -> None:
    i = data.draw(st.integers(0, len(values) - 1))
    other = data.draw(st.one_of(st.none(), st.text(max_size=3)).filter(lambda v: v != values[i]))
    changed = [*values[:i], other, *values[i + 1 :]]
    assert digest_of(pa.table({"a": pa.array(values, pa.string())})) != digest_of(
        pa.table({"a": pa.array(changed, pa.string())})
    )


def test_stale_memory_under_nulls_does_not_reach_the_digest() -> None:
    def column(hidden: int) -> pa.Array:
        values = np.array([1, hidden, 3], np.int64)
        return pa.Array.from_buffers(pa.int64(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(values)])

    struct = [pa.StructArray.from_arrays([column(h)], ["x"], mask=pa.array([False, True, False])) for h in (7, 8)]
    assert digest_of(pa.table({"a": column(7)})) == digest_of(pa.table({"a": column(8)}))
    assert digest_of(pa.table({"a": struct[0]})) == digest_of(pa.table({"a": struct[1]}))


def test_the_digest_is_an_on_disk_format() -> None:
    table = pa.table(
        {
            "s": pa.array(["a", None, "ü"], pa.large_string()),
            "i": pa.array([1, None, -3], pa.int64()),
            "f": pa.array([0.5, None, 2.0], pa.float32()),
            "b": pa.array([b"\x00" * 16, None, b"x" * 16], pa.binary(16)),
        }
    )
    assert digest_of(table) == "baa35e17467423c782511d13910b3178"


def test_a_directory_without_a_manifest_is_unfinished(tmp_path: Path) -> None:
    assert Manifest.read(tmp_path) is None
    manifest = Manifest("t", "s", "f", {"layer": Output("layer.parquet", 1, 2, "d")}, {"records": 1})
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) is None  # its output is not there
    (tmp_path / "layer.parquet").write_bytes(b"ab")
    assert Manifest.read(tmp_path) == manifest


def test_temporary_files_of_dead_processes_are_swept_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    import socket

    dead = tmp_path / f".a.parquet.{socket.gethostname()}.{2**22 + 1}.00.tmp"
    mine = tmp_path / f".a.parquet.{socket.gethostname()}.{os.getpid()}.00.tmp"
    elsewhere = tmp_path / f".a.parquet.some-other-host.{2**22 + 1}.00.tmp"
    for path in (dead, mine, elsewhere):
        path.touch()
    sweep_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, elsewhere])


def test_a_full_disk_is_an_os_error_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
