"""Proxy models: a hybrid of lightning and softmax attention with experts, trained on packed shards.

    from proxy_model import ProxyLM, preset, train_model

Names are resolved when first used, so that a bare machine (torch, triton, numpy, pyarrow, safetensors) loads no more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy_model.config import PRESETS, ModelConfig, flops, params, preset
    from proxy_model.files import load_model, save_model
    from proxy_model.model import ProxyLM
    from proxy_model.packed import Packed, packed_from, packed_sequences
    from proxy_model.train.loop import Trained, train_model
    from proxy_model.train.settings import TrainSettings

_HOME = {
    "PRESETS": "config",
    "ModelConfig": "config",
    "flops": "config",
    "params": "config",
    "preset": "config",
    "load_model": "files",
    "save_model": "files",
    "ProxyLM": "model",
    "Packed": "packed",
    "packed_from": "packed",
    "packed_sequences": "packed",
    "TrainSettings": "train.settings",
    "Trained": "train.loop",
    "train_model": "train.loop",
}

__all__ = [
    "PRESETS",
    "ModelConfig",
    "Packed",
    "ProxyLM",
    "TrainSettings",
    "Trained",
    "flops",
    "load_model",
    "packed_from",
    "packed_sequences",
    "params",
    "preset",
    "save_model",
    "train_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
