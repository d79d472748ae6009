"""The same batches as torch tensors: an IterableDataset and a map-style Dataset.

loader = TensorLoader("shards", global_batch=512, rank=rank, world=world)
for batch in loader: …                                      # enough for any trainer we know
for batch in DataLoader(loader, batch_size=None, num_workers=2):   # also works: state = loader.state_after(batch)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from packing.loader.batch import Batch
from packing.loader.dataset import PackedDataset
from packing.loader.loader import PackedLoader


class TensorBatch(TypedDict):
    """`Batch` with tensors of the same dtypes; they share memory with nothing else."""

    tokens: Tensor
    labels: Tensor
    position_ids: Tensor
    cu_seqlens: Tensor
    max_seqlen: int
    loss_mask: Tensor
    segment_ids: Tensor
    segments: int
    source: Tensor
    doc_key: Tensor
    n_bytes: Tensor
    next_sequence: int


def as_tensors(batch: Batch) -> TensorBatch:
    """Tensors over the arrays of a batch, without a copy."""
    return TensorBatch(
        tokens=torch.from_numpy(batch["tokens"]),
        labels=torch.from_numpy(batch["labels"]),
        position_ids=torch.from_numpy(batch["position_ids"]),
        cu_seqlens=torch.from_numpy(batch["cu_seqlens"]),
        max_seqlen=batch["max_seqlen"],
        loss_mask=torch.from_numpy(batch["loss_mask"]),
        segment_ids=torch.from_numpy(batch["segment_ids"]),
        segments=batch["segments"],
        source=torch.from_numpy(batch["source"]),
        doc_key=torch.from_numpy(batch["doc_key"]),
        n_bytes=torch.from_numpy(batch["n_bytes"]),
        next_sequence=batch["next_sequence"],
    )


class TensorLoader(PackedLoader, IterableDataset[TensorBatch]):  # type: ignore[misc]
    """PackedLoader with tensors; inside DataLoader workers, each makes every n-th batch, and torch restores order."""

    def __iter__(self) -> Iterator[TensorBatch]:  # type: ignore[override]
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        return map(as_tensors, self.batches(worker, workers))


class TensorDataset(Dataset[Tensor]):  # type: ignore[misc]
    """Map style: item i is the tokens of the stage's i-th sequence, int64[L]; several numbers give int64[n, L].

    DataLoader(dataset, sampler=BatchSampler(sampler, 16, drop_last=True), batch_size=None) asks for a batch at once,
    which saves the copy that stacking items costs.
    """

    def __init__(self, directory: str | PathLike[str], stage: int = 0) -> None:
        self.dataset = PackedDataset(directory, stage)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int | Sequence[int]) -> Tensor:
        if isinstance(number, Sequence):
            return torch.from_numpy(self.dataset.tokens(number))
        return torch.from_numpy(self.dataset.tokens([number])[0])

    def __getitems__(self, numbers: Sequence[int]) -> list[Tensor]:
        """Several at once: what a DataLoader of batch_size=n asks for, at a fraction of the cost of one by one."""
        return list(self[numbers].unbind(0))
