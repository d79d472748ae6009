"""Batches say what the shards hold: every field equals the obvious reference, for any shards."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packing.layout import files
from packing.layout.manifest import LayoutError
from packing.loader import PackedLoader
from packing.loader.batch import bucket
from tests.packing.directories import Row, even_schedule, plan_rows, write_directory
from tests.packing.loader.reference import batch_reference, corpora

DTYPES = {
    "tokens": np.int64,
    "labels": np.int64,
    "position_ids": np.int32,
    "cu_seqlens": np.int32,
    "loss_mask": np.bool_,
    "segment_ids": np.int32,
    "source": np.int32,
    "doc_key": np.uint64,
    "n_bytes": np.int64,
}


def in_order(documents: dict[str, list[list[int]]], length: int) -> list[Row]:
    """The rows of a directory in its default order."""
    queues = list(plan_rows(documents, length).values())
    rows = [iter(queue) for queue in queues]
    return [next(rows[queue]) for queue in even_schedule([len(queue) for queue in queues])]


@settings(max_examples=60)
@given(corpora(), st.sampled_from([16, 32, 61, 64]), st.integers(1, 3), st.sampled_from(["fragment", "document"]))
def test_every_field_equals_the_reference(documents, length, batch_rows, positions):
    with tempfile.TemporaryDirectory() as folder:
        write_directory(Path(folder), documents, sequence_length=length)
        rows = in_order(documents, length)
        loader = PackedLoader(folder, global_batch=batch_rows, positions=positions)
        batches = list(loader)
        assert len(batches) == len(rows) // batch_rows
        for number, batch in enumerate(batches):
            part = rows[number * batch_rows : (number + 1) * batch_rows]
            expected = batch_reference(part, length, loader.max_segments, positions == "document")
            assert batch["next_sequence"] == (number + 1) * batch_rows
            for name, value in expected.items():
                found = batch[name]
                if name in DTYPES:
                    assert found.dtype == DTYPES[name]
                    found = found.tolist()
                assert found == value, name


@pytest.mark.parametrize(("bos", "first"), [("none", [0, 64, 128]), ("doc", [0, 64, 127]), ("fragment", [0, 63, 126])])
def test_document_positions_go_on_as_if_the_document_had_not_been_cut(tmp_path, bos, first):
    write_directory(tmp_path, {"web": [[5] * 150]}, bos=bos)
    batches = list(PackedLoader(tmp_path, global_batch=1, positions="document"))
    assert [int(batch["position_ids"][0]) for batch in batches] == first
    assert batches[1]["position_ids"][:63].tolist() == list(range(first[1], first[1] + 63))


def test_shapes_are_the_same_for_all_batches(tmp_path):
    documents = {"web": [[5] * n for n in (1, 2, 3, 60, 100, 7, 7, 7, 63, 64, 65, 0, 0, 0)]}
    write_directory(tmp_path, documents, sequence_length=50)
    batches = list(PackedLoader(tmp_path, global_batch=2))
    assert len(batches) > 3
    for batch in batches:
        assert batch["tokens"].size == 128  # 2 · 50 up to a multiple of 64
        assert {batch[n].shape for n in ("labels", "position_ids", "loss_mask", "segment_ids")} == {(128,)}
        assert batch["cu_seqlens"].size == batches[0]["cu_seqlens"].size == batch["source"].size + 1
        assert batch["cu_seqlens"][-1] == 128
        assert isinstance(batch["max_seqlen"], int) and batch["max_seqlen"] >= np.diff(batch["cu_seqlens"]).max()


@pytest.mark.parametrize(
    ("longest", "expected"), [(1, 64), (64, 64), (65, 128), (128, 128), (8192, 8192), (8193, 16384)]
)
def test_max_seqlen_takes_few_values(longest, expected):
    assert bucket(longest) == expected


def test_ids_above_16_and_17_bits_survive(tmp_path):
    document = [65_535, 65_536, 131_072, 200_063]
    write_directory(tmp_path, {"web": [document]}, sequence_length=64, vocab_rows=200_064)
    [batch] = PackedLoader(tmp_path, global_batch=1)
    assert batch["tokens"][:4].tolist() == document
    assert batch["labels"][:3].tolist() == document[1:]


def test_batches_own_their_memory(tmp_path):
    write_directory(tmp_path, {"web": [[5] * 63, [6] * 63]})
    first, second = PackedLoader(tmp_path, global_batch=1)
    before = second["tokens"].copy()
    first["tokens"][:] = 9  # writable, and neither the file nor another batch changes
    assert (second["tokens"] == before).all()
    assert next(iter(PackedLoader(tmp_path, global_batch=1)))["tokens"][0] == 5
    (tmp_path / "data" / "s00000.bin").unlink()
    assert second["tokens"][0] == 6


def test_too_many_segments_are_an_error(tmp_path):
    write_directory(tmp_path, {"web": [[5]] * 40})
    with pytest.raises(LayoutError, match="max_segments is 3; give a larger one"):
        list(PackedLoader(tmp_path, global_batch=1, max_segments=3))


def test_a_damaged_fragment_index_is_an_error(tmp_path):
    write_directory(tmp_path, {"web": [[5] * 20, [6] * 20]})
    path = files.csr_path(tmp_path, "s00000")
    raw = bytearray(path.read_bytes())
    raw[-4:] = (60).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(LayoutError, match="fragment index is damaged"):
        list(PackedLoader(tmp_path, global_batch=1))
