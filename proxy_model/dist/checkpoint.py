"""Tensors of a distributed run on disk: every process writes its shards (torch.distributed.checkpoint).

Read back by any number of processes, one included.  The format's index is a pickle of torch's (CONTRACTS, Safety): read
only folders that a run of your own wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from curation.pipeline.errors import UsageError
from proxy_model.dist.ranks import Ranks

INDEX = ".metadata"


def write_shards(folder: Path, tensors: Mapping[str, Tensor], ranks: Ranks) -> None:
    """A collective; `folder` is made by it."""
    save(dict(tensors), checkpoint_id=folder, no_dist=ranks.world == 1)


def spread_like(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors of one process, spread as `read_shards` would spread them.  A collective."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    found = dict(tensors)
    for name, value in tensors.items():
        pattern = _pattern(name, like)
        if isinstance(pattern, DTensor) and pattern.shape == value.shape:
            value = value.to(pattern.device)
            found[name] = distribute_tensor(value, pattern.device_mesh, pattern.placements)
    return found


def read_shards(folder: Path, like: Mapping[str, Tensor], ranks: Ranks) -> dict[str, Tensor]:
    """All tensors of `folder`.  A collective.

    `like`: tensors by name whose way of being spread is taken over; `NAME|KEY` (an optimizer's state) of the same shape
    is spread as NAME is; others come whole to every process.  Raises UsageError for a folder without an index.
    """
    if not (folder / INDEX).is_file():
        raise UsageError(
            f"{folder} holds no distributed checkpoint", "the checkpoint before it is used when it is removed"
        )
    entries = FileSystemReader(folder).read_metadata().state_dict_metadata
    found: dict[str, Tensor] = {}
    for name, entry in entries.items():
        if isinstance(entry, TensorStorageMetadata):
            pattern = _pattern(name, like)
            same = pattern is not None and pattern.shape == entry.size
            found[name] = (
                torch.zeros_like(pattern, dtype=entry.properties.dtype)
                if same and pattern is not None
                else torch.zeros(entry.size, dtype=entry.properties.dtype)
            )
    load(found, checkpoint_id=folder, no_dist=ranks.world == 1)
    return found


def _pattern(name: str, like: Mapping[str, Tensor]) -> Tensor | None:
    """`optimizer.NAME|KEY` is spread as `weight.NAME` is."""
    return like.get(name, like.get(name.rpartition("|")[0].replace("optimizer.", "weight.", 1)))
