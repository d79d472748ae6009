"""Promises of export: the bytes are the formats' own, every row arrives unchanged, nothing half-written stays."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.pipeline.errors import UsageError
from packing.export import FORMATS, export
from packing.export.registry import LINKED
from packing.export.rows import in_training_order, scheduled_shares
from packing.layout import files
from packing.layout.manifest import Manifest
from tests.packing.directories import PAD, write_directory

L, VOCAB = 32, 200_064
HIGH = (65_535, 65_536, 131_071, 131_072, 200_063)  # where 16 and 17 bits end


def documents(highest: int = VOCAB - 1) -> dict[str, list[list[int]]]:
    rng = random.Random(7)
    made = {
        source: [
            [rng.randrange(3, highest + 1) for _ in range(rng.choice([1, 9, 30, 31, 32, 80]))] for _ in range(count)
        ]
        for source, count in (("web", 30), ("../odd name", 11))
    }
    if highest >= HIGH[-1]:
        made["web"].append(list(HIGH))
    return made


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "shards"
    write_directory(out, documents(), sequence_length=L, vocab_rows=VOCAB)
    return out


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small") / "shards"
    write_directory(out, documents(highest=65_535), sequence_length=L, vocab_rows=65_536)
    return out


def all_rows(directory: Path) -> np.ndarray:
    manifest = Manifest.read(directory)
    return np.concatenate([files.map_rows(directory, shard.name, L) for shard in manifest.shards])


def ordered_rows(directory: Path, stage: int = 0) -> np.ndarray:
    """By the definition: each queue's rows in turn, as the schedule calls it."""
    manifest = Manifest.read(directory)
    queues: list[Iterator[np.ndarray]] = []
    for number in range(len(manifest.queues)):
        shards = [shard.name for shard in manifest.shards if shard.queue == number]
        queues.append(iter(np.concatenate([files.map_rows(directory, name, L) for name in shards])))
    turns = [int(queue) for before in range(stage + 1) for queue in files.map_order(directory, before)]
    rows = [next(queues[queue]) for queue in turns]
    return np.array(rows[len(rows) - manifest.stages[stage].sequences :])


def read_rows(to: str, out: Path, dtype: str = "<u4") -> np.ndarray:
    """All rows of an export, read by what the format's description says."""
    size = np.dtype(dtype).itemsize
    if to in LINKED:
        suffix = {"megatron": "*.bin", "datatrove": "*/*.ds", "olmo": "*/s?????.npy"}[to]
        return np.concatenate([np.fromfile(path, dtype).reshape(-1, L) for path in sorted(out.glob(suffix))])
    if to in ("mds", "litdata"):
        rows = []
        index = json.loads((out / "stage0/index.json").read_text())
        names = [one["raw_data"]["basename"] for one in index["shards"]] if to == "mds" else None
        for name in names or [one["filename"] for one in index["chunks"]]:
            path = out / "stage0" / name
            raw = path.read_bytes()
            (count,) = struct.unpack("<I", raw[:4])
            offsets = np.frombuffer(raw, "<u4", count + 1, 4)
            assert offsets[-1] == len(raw) and (np.diff(offsets) == size * L).all()
            rows.append(np.frombuffer(raw, dtype, count * L, int(offsets[0])).reshape(-1, L))
        return np.concatenate(rows)
    tables = [
        pa.ipc.open_stream(path).read_all() if to == "arrow" else pq.read_table(path)
        for path in sorted(out.glob(f"stage0/*.{to}"))
    ]
    ids = pa.concat_tables(tables)["input_ids"].combine_chunks()
    return np.asarray(ids.flatten()).reshape(-1, L)


@pytest.mark.parametrize("to", FORMATS)
def test_every_row_arrives_and_ids_above_16_and_17_bits_survive(to: str, packed: Path, tmp_path: Path) -> None:
    done = export(packed, to, tmp_path / "out")
    found = read_rows(to, done.path)
    expected = all_rows(packed) if to in LINKED else ordered_rows(packed)
    assert np.array_equal(found.astype(np.int64), expected) and done.rows == len(expected)
    assert set(HIGH) <= set(found.reshape(-1).tolist())


@pytest.mark.parametrize("to", FORMATS)
def test_uint16_is_exact_or_refused(to: str, packed: Path, small: Path, tmp_path: Path) -> None:
    done = export(small, to, tmp_path / "out", dtype="uint16")
    expected = all_rows(small) if to in LINKED else ordered_rows(small)
    assert np.array_equal(read_rows(to, done.path, "<u2").astype(np.int64), expected)
    with pytest.raises(UsageError, match=r"uint16 holds ids up to 65,535; the vocabulary has 200,064 rows"):
        export(packed, to, tmp_path / "refused", dtype="uint16")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("to", LINKED)
def test_links_share_the_bytes(to: str, packed: Path, tmp_path: Path) -> None:
    done = export(packed, to, tmp_path / "out", link=True)
    inodes = {files.data_path(packed, shard.name).stat().st_ino for shard in Manifest.read(packed).shards}
    linked = {path.stat().st_ino for path in done.path.rglob("*") if path.is_file()}
    assert inodes <= linked
    assert np.array_equal(read_rows(to, done.path), all_rows(packed))


def test_links_are_made_to_files_also_where_the_directory_holds_symbolic_links(packed: Path, tmp_path: Path) -> None:
    """As the folder of a run does."""
    for path in [*packed.rglob("*")]:
        target = tmp_path / "view" / path.relative_to(packed)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.symlink_to(path)
    done = export(tmp_path / "view", "datatrove", tmp_path / "out", link=True)
    assert not any(path.is_symlink() for path in done.path.rglob("*"))
    assert np.array_equal(read_rows("datatrove", done.path), all_rows(packed))


@pytest.mark.parametrize("to", sorted(set(FORMATS) - set(LINKED)))
def test_formats_with_bytes_of_their_own_refuse_a_link(to: str, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to link"):
        export(packed, to, tmp_path / "out", link=True)


def test_megatron_index_is_the_documented_layout(packed: Path, tmp_path: Path) -> None:
    out = export(packed, "megatron", tmp_path / "out").path
    manifest = Manifest.read(packed)
    for number, path in enumerate(sorted(out.glob("*.idx"))):
        rows = manifest.queues[number].rows
        raw = path.read_bytes()
        assert raw[:34] == b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 4, rows, rows + 1)
        assert len(raw) == 34 + 20 * rows + 8
        assert (np.frombuffer(raw, "<i4", rows, 34) == L).all()
        assert (np.frombuffer(raw, "<i8", rows, 34 + 4 * rows) == 4 * L * np.arange(rows)).all()
        assert (np.frombuffer(raw, "<i8", rows + 1, 34 + 12 * rows) == np.arange(rows + 1)).all()


def test_megatron_weights_are_the_schedule_also_when_shards_are_linked(packed: Path, tmp_path: Path) -> None:
    shares = scheduled_shares(packed, Manifest.read(packed), [0])
    for link in (False, True):
        out = export(packed, "megatron", tmp_path / f"out{link}", link=link).path
        words = (out / "data_args.txt").read_text().split()
        weights = {out / prefix: float(weight) for weight, prefix in zip(words[::2], words[1::2], strict=True)}
        assert all(prefix.with_suffix(".idx").is_file() and prefix.with_suffix(".bin").is_file() for prefix in weights)
        for queue, share in enumerate(shares):
            own = [weight for prefix, weight in weights.items() if prefix.name.startswith(f"q{queue:03}-")]
            assert sum(own) == pytest.approx(share)
        assert "add_extra_token_to_sequence=False" in (out / "README.md").read_text()


@pytest.mark.parametrize("to", list(FORMATS))
def test_no_byte_depends_on_where_it_is_exported(to: str, packed: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(packed, tmp_path / "a longer name" / "shards"))
    first, second = export(packed, to, tmp_path / "x").path, export(moved, to, tmp_path / "other place" / "y").path
    files_of = [path.relative_to(first) for path in sorted(first.rglob("*")) if path.is_file()]
    assert files_of == [path.relative_to(second) for path in sorted(second.rglob("*")) if path.is_file()]
    assert [one for one in files_of if (first / one).read_bytes() != (second / one).read_bytes()] == []


def test_stages_have_their_own_weights_and_folders(tmp_path: Path) -> None:
    plan = [[0, 0, 1], [1, 0, 0, 0]]
    write_directory(tmp_path / "shards", documents(), sequence_length=L, vocab_rows=VOCAB, schedules=plan)
    out = export(tmp_path / "shards", "megatron", tmp_path / "megatron").path
    first = (out / "data_args.stage0.txt").read_text().split()
    assert float(first[0]) == pytest.approx(2 / 3) and float(first[2]) == pytest.approx(1 / 3)
    assert float((out / "data_args.stage1.txt").read_text().split()[0]) == pytest.approx(3 / 4)
    done = export(tmp_path / "shards", "parquet", tmp_path / "parquet")
    for stage in (0, 1):
        table = pq.read_table(done.path / f"stage{stage}")
        ids = np.asarray(table["input_ids"].combine_chunks().flatten()).reshape(-1, L)
        assert np.array_equal(ids, ordered_rows(tmp_path / "shards", stage))
    assert done.rows == 7


def test_datatrove_index_names_the_end_of_every_fragment_and_of_padding(packed: Path, tmp_path: Path) -> None:
    out = export(packed, "datatrove", tmp_path / "out").path
    manifest = Manifest.read(packed)
    for shard in manifest.shards:
        (index,) = out.glob(f"*/{shard.name}.ds.index")
        starts, lengths = files.map_csr(packed, shard.name, shard.rows)
        ends = set()
        for row in range(shard.rows):
            own = np.cumsum(lengths[int(starts[row]) : int(starts[row + 1])].astype(int))
            ends |= {int(end) + row * L for end in own} | {(row + 1) * L}
        assert np.fromfile(index, "<u8").tolist() == sorted(ends)
        lines = index.with_suffix(".metadata").read_text().split("\n")
        assert lines[0].endswith("|4") and lines[1] == str(shard.rows * L)
    assert f"seq_len={L - 1}" in (out / "README.md").read_text()


def test_olmo_masks_hide_the_padding_and_nothing_else(packed: Path, tmp_path: Path) -> None:
    out = export(packed, "olmo", tmp_path / "out").path
    masks = sorted(out.glob("*/*.mask.npy"))
    for path in masks:
        mask = np.fromfile(path, np.bool_)
        assert np.array_equal(mask, np.fromfile(path.with_name(path.name.replace(".mask", "")), "<u4") != PAD)
    assert len(masks) == len(Manifest.read(packed).shards)


def test_mds_index_describes_its_shards(packed: Path, tmp_path: Path) -> None:
    import hashlib

    out = export(packed, "mds", tmp_path / "out").path / "stage0"
    index = json.loads((out / "index.json").read_text())
    assert index["version"] == 2
    for shard in index["shards"]:
        raw = (out / shard["raw_data"]["basename"]).read_bytes()
        assert shard["raw_data"]["bytes"] == len(raw) < 2**32
        assert shard["raw_data"]["hashes"] == {"sha256": hashlib.sha256(raw).hexdigest()}
        assert shard["column_encodings"] == [f"ndarray:uint32:{L}"] and shard["column_sizes"] == [4 * L]


@pytest.mark.parametrize("to", ["mds", "litdata"])
def test_large_exports_are_cut_into_chunks_of_whole_rows(
    to: str, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packing.export.chunks.CHUNK_BYTES", 5 * 4 * L + 17)
    out = export(packed, to, tmp_path / "out").path
    index = json.loads((out / "stage0/index.json").read_text())
    counts = [
        one["samples"] if to == "mds" else one["chunk_size"] for one in index["shards" if to == "mds" else "chunks"]
    ]
    assert len(counts) > 2 and set(counts[:-1]) == {5}
    assert np.array_equal(read_rows(to, out), ordered_rows(packed))


@pytest.mark.parametrize("to", ["arrow", "parquet"])
def test_tables_keep_boundaries_and_owners(
    to: str, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packing.export.tables.FILE_TOKENS", 7 * L)
    monkeypatch.setattr("packing.export.rows.BLOCK_TOKENS", 3 * L)
    out = export(packed, to, tmp_path / "out").path / "stage0"
    paths = sorted(out.glob(f"*.{to}"))
    tables = [pa.ipc.open_stream(path).read_all() if to == "arrow" else pq.read_table(path) for path in paths]
    assert len(paths) > 3 and all(len(table) == 7 for table in tables[:-1])
    table = pa.concat_tables(tables)
    from packing.loader import PackedDataset

    dataset = PackedDataset(packed)
    for number, row in enumerate(table.to_pylist()):
        expected = dataset[number]
        assert row["input_ids"] == expected.tokens.tolist()
        assert row["seq_lengths"] == expected.lengths.tolist()
        for column in ("doc_key", "copy", "source"):
            assert row[column] == expected.segments[column].tolist()
    assert len(table) == len(dataset)


def test_training_order_does_not_depend_on_the_size_of_blocks(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest.read(packed)
    for tokens in (1, 3 * L, 1 << 20):
        monkeypatch.setattr("packing.export.rows.BLOCK_TOKENS", tokens)
        found = np.concatenate([block.rows for block in in_training_order(packed, manifest, 0)])
        assert np.array_equal(found, ordered_rows(packed))


def test_boundaries_that_eos_does_not_show_are_told(packed: Path, tmp_path: Path) -> None:
    from packing.export.rows import hidden_boundaries

    manifest = Manifest.read(packed)
    due = 0
    for shard in manifest.shards:
        table = pq.read_table(files.fragment_path(packed, shard.name)).to_pylist()
        inner = {a["seq"] for a, b in itertools.pairwise(table) if a["seq"] == b["seq"] and not a["flags"] & 2}
        due += len(inner)
    assert hidden_boundaries(packed, manifest) == due
    readme = (export(packed, "megatron", tmp_path / "out").path / "README.md").read_text()
    assert ("ends without EOS" in readme) == bool(due)


def test_names_of_queues_cannot_leave_the_export(packed: Path, tmp_path: Path) -> None:
    export(packed, "olmo", tmp_path / "deep/out")
    made = sorted(path.name for path in (tmp_path / "deep/out").iterdir() if path.is_dir())
    assert made == ["q000-web", "q001-_odd_name"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_damaged_rows_are_not_exported(tmp_path: Path) -> None:
    write_directory(tmp_path / "shards", documents(), sequence_length=L, vocab_rows=VOCAB)
    path = files.data_path(tmp_path / "shards", "s00001")
    raw = bytearray(path.read_bytes())
    raw[9] ^= 4
    path.write_bytes(raw)
    with pytest.raises(UsageError, match=r"s00001\.bin.*CRC-32 differs"):
        export(tmp_path / "shards", "megatron", tmp_path / "out")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["shards"]


def test_a_failed_export_leaves_nothing(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for to in FORMATS:
        with pytest.raises(OSError, match="No space left"):
            export(packed, to, tmp_path / to)
    assert not list(tmp_path.iterdir())


def test_clear_refusals(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'megatron'"):
        export(packed, "megatorn", tmp_path / "out")
    with pytest.raises(UsageError, match=r"has no manifest\.json: it is not finished"):
        export(tmp_path, "mds", tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        export(packed, "mds", tmp_path / "there")
    with pytest.raises(UsageError, match="no export is of type"):
        export(packed, "mds", tmp_path / "out", dtype="int8")
