"""The same batches as torch tensors, iterable and map style, with and without DataLoader workers."""

import pickle

import pytest

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402

from packing.loader import PackedDataset, PackedLoader, TensorDataset, TensorLoader  # noqa: E402
from tests.packing.directories import write_directory  # noqa: E402

DTYPES = {
    "tokens": torch.int64,
    "labels": torch.int64,
    "position_ids": torch.int32,
    "cu_seqlens": torch.int32,
    "loss_mask": torch.bool,
    "segment_ids": torch.int32,
    "source": torch.int32,
    "doc_key": torch.uint64,
    "n_bytes": torch.int64,
}


@pytest.fixture
def shards(tmp_path):
    write_directory(tmp_path, {"web": [[3 + n] * (5 * n % 90) for n in range(60)]}, rows_per_shard=5)
    return tmp_path


def same(one, other):
    for name, value in one.items():
        if name in DTYPES:
            assert (torch.as_tensor(value).view(-1) == torch.as_tensor(other[name]).view(-1)).all(), name
        else:
            assert value == other[name], name


def test_tensors_hold_what_the_arrays_hold(shards):
    arrays, tensors = list(PackedLoader(shards, global_batch=2)), list(TensorLoader(shards, global_batch=2))
    assert len(arrays) == len(tensors) > 5
    for one, other in zip(arrays, tensors, strict=True):
        assert {name: other[name].dtype for name in DTYPES} == DTYPES
        same(one, other)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_data_loader_workers_give_the_same_order_and_states(shards, accumulation):
    options = {"global_batch": 3, "accumulation": accumulation}
    alone = TensorLoader(shards, **options)
    plain = [(batch, alone.state_dict()) for batch in alone]
    parent = TensorLoader(shards, **options)
    shared = list(DataLoader(parent, batch_size=None, num_workers=2))
    assert len(plain) == len(shared)
    for (one, state), other in zip(plain, shared, strict=True):
        same(one, other)
        assert parent.state_after(other) == state


def test_map_style_with_a_sampler(shards):
    dataset = TensorDataset(shards)
    rows = PackedDataset(shards)
    [batch] = DataLoader(dataset, batch_size=4, sampler=[5, 0, 3, 3])
    assert batch.dtype == torch.int64 and batch.shape == (4, 64)
    assert batch.tolist() == [rows[i].tokens.tolist() for i in (5, 0, 3, 3)]


def test_a_pickled_loader_goes_on_where_it_was(shards):
    loader = TensorLoader(shards, global_batch=2)
    stream = iter(loader)
    next(stream)
    copy = pickle.loads(pickle.dumps(loader))
    same(next(stream), next(iter(copy)))
