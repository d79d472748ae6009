"""Batches for a trainer, exactly once.  Standard library, numpy, pyarrow and torch only.

    from packing.loader import PackedLoader, TensorLoader   # numpy arrays, torch tensors

Names are resolved when first used, so that torch and pyarrow are loaded only by what needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packing.loader.batch import Batch
    from packing.loader.dataset import PackedDataset, PackedSequence
    from packing.loader.loader import PackedLoader
    from packing.loader.origin import Origin, who
    from packing.loader.state import StateError
    from packing.loader.tensors import TensorBatch, TensorDataset, TensorLoader

_HOME = {
    "Batch": "batch",
    "PackedDataset": "dataset",
    "PackedSequence": "dataset",
    "PackedLoader": "loader",
    "StateError": "state",
    "TensorBatch": "tensors",
    "TensorDataset": "tensors",
    "TensorLoader": "tensors",
    "Origin": "origin",
    "who": "origin",
}

__all__ = [
    "Batch",
    "Origin",
    "PackedDataset",
    "PackedLoader",
    "PackedSequence",
    "StateError",
    "TensorBatch",
    "TensorDataset",
    "TensorLoader",
    "who",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
