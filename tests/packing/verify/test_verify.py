"""Promises of verify: what was written well has no fault; what is changed afterwards, or written wrong, is found."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from packing.layout import files
from packing.layout.manifest import Manifest
from packing.verify import verify
from packing.verify.readers import READERS, installed
from tests.packing.directories import rehash, write_directory
from tests.packing.verify.injection import DAMAGE, WRITTEN_WRONG

L, VOCAB = 64, 200_064


def documents() -> dict[str, list[list[int]]]:
    rng = random.Random(3)
    return {
        source: [
            [rng.randrange(3, VOCAB - 1) for _ in range(rng.choice([1, 5, 40, 63, 64, 65, 200]))] for _ in range(9)
        ]
        for source in ("web", "books")
    }


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clean") / "shards"
    write_directory(out, documents(), sequence_length=L, vocab_rows=VOCAB, rows_per_shard=4)
    return out


@pytest.fixture
def copy(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "copy"))


def faults_of(directory: Path) -> str:
    return "\n".join(map(str, verify(directory).faults))


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("length", [8, 64, 300])
def test_a_finished_directory_has_no_fault(length: int, copies: int, tmp_path: Path) -> None:
    write_directory(tmp_path, documents(), sequence_length=length, vocab_rows=VOCAB, copies=copies)
    report = verify(tmp_path)
    assert report.ok and not report.notes, report
    manifest = Manifest.read(tmp_path)
    assert report.root == manifest.root
    assert report.checked["rows"] == sum(shard.rows for shard in manifest.shards) > 0


def test_a_directory_without_documents_is_whole(tmp_path: Path) -> None:
    write_directory(tmp_path, {"web": []}, sequence_length=L)
    assert verify(tmp_path).faults == []


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", [*DAMAGE, *WRITTEN_WRONG])
def test_random_damage_is_found(kind: str, seed: int, clean: Path, tmp_path: Path) -> None:
    rng, what = random.Random(f"{kind} {seed}"), None
    while what is None:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        what = {**DAMAGE, **WRITTEN_WRONG}[kind](Path(shutil.copytree(clean, tmp_path / "copy")), rng)
    assert verify(tmp_path / "copy").faults, what


def test_a_fault_names_the_file_and_the_block(copy: Path) -> None:
    path = files.data_path(copy, "s00001")
    raw = bytearray(path.read_bytes())
    raw[5] ^= 1
    path.write_bytes(raw)
    assert faults_of(copy) == "data/s00001.bin: CRC-32 differs in 1 of 1 blocks of 1 MiB: 0; SHA-256 differs"


def test_a_block_crc_finds_the_damaged_mebibyte(tmp_path: Path) -> None:
    write_directory(tmp_path, {"web": [[5] * 800_000]}, sequence_length=1 << 18, rows_per_shard=9)
    path = files.data_path(tmp_path, "s00000")
    raw = bytearray(path.read_bytes())
    assert len(raw) > 3 << 20
    raw[(2 << 20) + 7] ^= 64
    path.write_bytes(raw)
    assert "1 of 4 blocks of 1 MiB: 2;" in faults_of(tmp_path)


def test_files_that_nobody_wrote_are_named(copy: Path) -> None:
    (copy / "data/s00099.bin").write_bytes(b"")
    assert faults_of(copy) == "data/s00099.bin: the manifest does not list it"


def test_a_link_to_the_same_bytes_is_no_fault(copy: Path, tmp_path: Path) -> None:
    """As caches of downloads keep files."""
    path = files.data_path(copy, "s00000")
    path.rename(tmp_path / "elsewhere.bin")
    path.symlink_to(tmp_path / "elsewhere.bin")
    assert verify(copy).ok
    (tmp_path / "elsewhere.bin").unlink()
    assert faults_of(copy) == "data/s00000.bin: missing"


def test_a_manifest_cannot_point_outside(copy: Path) -> None:
    manifest = Manifest.read(copy)
    changed = replace(manifest, files=[replace(one, name=f"../{one.name}") for one in manifest.files]).with_root()
    (copy / files.MANIFEST).write_bytes(changed.to_json())
    assert "which is outside the directory" in faults_of(copy)


@pytest.mark.parametrize("key", ["hints", "plan", "root", "checksum"])
def test_what_the_root_does_not_cover_is_covered_by_the_checksum(key: str, copy: Path) -> None:
    manifest = Manifest.read(copy)
    changed = replace(manifest, **{key: {"rope_base": 5} if key == "hints" else "1" * 64})
    (copy / files.MANIFEST).write_bytes(changed.to_json())
    assert "changed after it was written" in faults_of(copy)


def test_the_same_values_in_other_bytes_are_told(copy: Path) -> None:
    path = copy / files.MANIFEST
    path.write_bytes(path.read_bytes() + b"\n")
    assert "not the bytes that were written" in faults_of(copy)


def test_ids_that_coincide_are_a_fault(copy: Path) -> None:
    changed = replace(Manifest.read(copy), pad_id=1).with_root()
    (copy / files.MANIFEST).write_bytes(changed.to_json())
    assert "ids must differ" in faults_of(copy)


def test_every_kind_of_wrong_content_is_told_by_its_own_words(copy: Path) -> None:
    """With digests brought up to date, so that only what is written can tell."""
    words = {
        "EOS inside a document": "EOS is there or missing",
        "id beyond the vocabulary": "the vocabulary has 200064 rows",
        "padding inside a document": "padding (id 0) inside fragments",
        "document not listed": "packed documents are not listed",
        "document listed twice": "listed more than once",
        "doc_offset wrong": "begin of a document elsewhere",
    }
    for kind, expected in words.items():
        directory = Path(shutil.copytree(copy, copy.parent / kind))
        rng = random.Random(kind)
        while WRITTEN_WRONG[kind](directory, rng) is None:
            pass
        found = faults_of(directory)
        assert expected in found or (kind == "doc_offset wrong" and "out of place" in found), found


def test_rows_in_no_stage_are_a_note_and_rows_taken_twice_a_fault(tmp_path: Path) -> None:
    made = write_directory(tmp_path, documents(), sequence_length=L, vocab_rows=VOCAB, schedules=[[0, 1, 0]])
    report = verify(tmp_path)
    assert report.ok and f"{made.queues[0].rows - 2} of {made.queues[0].rows} rows of queue 'web'" in report.notes[0]
    order = np.zeros(made.queues[0].rows + 1, files.QUEUE)
    order.tofile(files.order_path(tmp_path, 0))
    stages = [replace(made.stages[0], sequences=len(order))]
    (tmp_path / files.MANIFEST).write_bytes(replace(made, stages=stages).with_root().to_json())
    rehash(tmp_path)
    assert f"{len(order)} sequences of queue 'web', which has {len(order) - 1} rows" in faults_of(tmp_path)


def test_what_is_no_finished_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no manifest\.json: it is not finished"):
        verify(tmp_path)
    with pytest.raises(UsageError, match="is no directory"):
        verify(tmp_path / "nowhere")


def test_readers_that_are_unknown_or_absent_are_a_clear_error(clean: Path) -> None:
    with pytest.raises(UsageError, match="known: megatron, datatrove"):
        verify(clean, readers=["webdataset"])
    absent = [name for name in READERS if not installed(name)]
    if not absent:
        pytest.skip("every reader is installed")
    with pytest.raises(UsageError, match="is not installed here"):
        verify(clean, readers=absent[:1])


def test_a_reader_that_lacks_what_it_needs_is_no_fault_of_the_shards(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from packing.verify import readers

    def lacking(*_: Any) -> None:
        raise ImportError("No module named 'torch'")

    def broken(*_: Any) -> None:
        raise RuntimeError("cannot map")

    monkeypatch.setitem(readers.READERS, "olmo", ("numpy", lacking))
    with pytest.raises(UsageError, match="numpy is installed, but not what it needs to read: No module named 'torch'"):
        verify(clean, readers=["olmo"])
    monkeypatch.setitem(readers.READERS, "olmo", ("numpy", broken))
    assert [str(one) for one in verify(clean, readers=["olmo"]).faults] == [
        "olmo: numpy failed: RuntimeError: cannot map"
    ]


def test_an_installed_reader_is_asked(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the library, which gives one row wrongly."""
    from packing.verify import readers

    def wrong(directory: Path, manifest: Manifest, exported: Path, result: Any) -> None:
        rows = list(readers.rows_by_queue(directory, manifest))
        readers._compare(rows, [*rows[:-1], rows[-1] + 1], result)

    monkeypatch.setitem(readers.READERS, "olmo", ("numpy", wrong))
    report = verify(clean, readers=["olmo"])
    rows = report.checked["rows"]
    assert [str(fault).partition(" in ")[0] for fault in report.faults] == [f"olmo: {rows - 1} of {rows} rows equal"]
