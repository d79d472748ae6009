"""PackedDataset: row i of the training order, without an index, with errors that name the file."""

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packing.layout import files
from packing.layout.manifest import LayoutError, Manifest
from packing.loader import PackedDataset
from packing.loader import schedule as schedule_module
from packing.loader.schedule import Schedule
from tests.packing.directories import plan_rows, write_directory

DOCUMENTS = {"web": [[10 + n] * (5 * n) for n in range(30)], "code": [[100 + n] * 40 for n in range(8)]}


def test_every_row_once_in_the_order_of_the_schedule(tmp_path):
    made = write_directory(tmp_path, DOCUMENTS, rows_per_shard=4)
    planned = list(plan_rows(DOCUMENTS, 64).values())
    rows = [iter(queue) for queue in planned]
    dataset = PackedDataset(tmp_path)
    assert len(dataset) == sum(map(len, planned)) == made.stages[0].sequences
    for number, queue in enumerate(files.map_order(tmp_path, 0).tolist()):
        row = next(rows[queue])
        found = dataset[number]
        assert found.lengths.tolist() == [len(one.tokens) for one in row.fragments]
        flat = [token for one in row.fragments for token in one.tokens]
        assert found.tokens.tolist() == flat + [0] * (64 - len(flat))
        assert found.segments["doc_key"].tolist() == [one.doc_key for one in row.fragments]
    assert dataset[-1].tokens.tolist() == dataset[len(dataset) - 1].tokens.tolist()
    assert dataset.tokens([4, 0, 2]).tolist() == [dataset[i].tokens.tolist() for i in (4, 0, 2)]
    assert dataset.tokens(range(1, 4)).tolist() == [dataset[i].tokens.tolist() for i in (1, 2, 3)]
    assert dataset.tokens([]).shape == dataset.tokens(range(0)).shape == (0, 64)
    for wrong in (dataset.__getitem__, lambda n: dataset.tokens([n]), lambda n: dataset.tokens(range(n, n + 1))):
        with pytest.raises(IndexError):
            wrong(len(dataset))


def test_a_later_stage_goes_on_where_the_earlier_ended(tmp_path):
    web, code = (len(rows) for rows in plan_rows(DOCUMENTS, 64).values())
    first = [0, 1, 0, 0, 1, 0]
    second = [1] * (code - 2) + [0] * (web - 4)
    write_directory(tmp_path, DOCUMENTS, schedules=[first, second])
    rows = plan_rows(DOCUMENTS, 64)
    stages = [PackedDataset(tmp_path, 0), PackedDataset(tmp_path, 1)]
    served = [tuple(stage[i].tokens.tolist()) for stage in stages for i in range(len(stage))]
    planned = [[token for one in row.fragments for token in one.tokens] for queue in rows.values() for row in queue]
    assert sorted(served) == sorted(tuple(flat + [0] * (64 - len(flat))) for flat in planned)
    assert stages[1][0].tokens[0] == rows["code"][2].fragments[0].tokens[0]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), max_size=60), st.data())
def test_places_are_the_counts_of_the_prefix_whatever_was_asked_before(order, data):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule_module, "SMALLEST", 8)
        patch.setattr(schedule_module, "READ", 16)
        documents = {f"s{queue}": [[7] * 15] * max(1, order.count(queue)) for queue in range(5)}
        write_directory(Path(folder), documents, sequence_length=16, schedules=[order])
        schedule = Schedule(Path(folder), Manifest.read(Path(folder)), 0)
        expected = [(queue, order[:place].count(queue)) for place, queue in enumerate(order)]
        for _ in range(8):
            start = data.draw(st.integers(0, len(order)))
            stop = data.draw(st.integers(start, len(order)))
            assert list(zip(*map(np.ndarray.tolist, schedule.locate(start, stop)), strict=True)) == expected[start:stop]
            numbers = data.draw(st.lists(st.sampled_from(range(len(order))), max_size=5) if order else st.just([]))
            found = list(zip(*map(np.ndarray.tolist, schedule.locate_each(numbers)), strict=True))
            assert found == [expected[number] for number in numbers]


def test_a_pickled_dataset_opens_the_directory_again(tmp_path):
    write_directory(tmp_path, DOCUMENTS)
    dataset = PackedDataset(tmp_path)
    dataset[3]
    raw = pickle.dumps(dataset)
    assert len(raw) < 1000  # no tokens inside
    assert (pickle.loads(raw)[3].tokens == dataset[3].tokens).all()


def test_more_shards_than_may_be_open_at_once(tmp_path):
    write_directory(tmp_path, {"web": [[n % 200 + 3] * 60 for n in range(90)]}, rows_per_shard=1)
    dataset = PackedDataset(tmp_path)
    for number in [*range(90), *range(0, 90, 7)]:
        assert dataset[number].tokens[0] == number % 200 + 3
    assert len(dataset.shards._open) <= 33


@pytest.mark.parametrize("name", ["data/s00000.bin", "index/s00000.csr", "index/s00000.seg", "order/stage0.u16"])
@pytest.mark.parametrize("fault", ["short", "missing"])
def test_missing_and_truncated_files_are_named(tmp_path, name, fault):
    write_directory(tmp_path, DOCUMENTS)
    if fault == "missing":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-2])
    with pytest.raises(LayoutError, match=name.rsplit("/", 1)[1]):
        PackedDataset(tmp_path)[0]


def test_an_unfinished_directory_is_refused(tmp_path):
    write_directory(tmp_path, DOCUMENTS)
    (tmp_path / files.MANIFEST).unlink()
    with pytest.raises(LayoutError, match="not finished"):
        PackedDataset(tmp_path)


def test_a_stage_that_does_not_exist(tmp_path):
    write_directory(tmp_path, DOCUMENTS)
    with pytest.raises(LayoutError, match="stages 0 to 0, not stage 1"):
        PackedDataset(tmp_path, 1)


@pytest.mark.parametrize(("queue", "message"), [(9, "queue 9 of 2"), (1, "sequences of queue 'code'")])
def test_an_order_that_does_not_fit_the_queues(tmp_path, queue, message):
    write_directory(tmp_path, DOCUMENTS)
    path = files.order_path(tmp_path, 0)
    np.full(path.stat().st_size // 2, queue, "<u2").tofile(path)
    dataset = PackedDataset(tmp_path)
    with pytest.raises(LayoutError, match=message):
        for number in range(len(dataset)):
            dataset[number]
