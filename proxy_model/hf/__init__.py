"""transformers' MiniMax checkpoints, read and written.  Needs safetensors and torch, not transformers.

from proxy_model.hf import load_hf, export_hf
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy_model.hf.export import export_hf
    from proxy_model.hf.load import load_hf

_HOME = {"export_hf": "export", "load_hf": "load"}

__all__ = ["export_hf", "load_hf"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
