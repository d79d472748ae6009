"""Shard directories in the formats of other trainers: small metadata beside the same rows.

    from packing.export import export
    export(Path("shards"), "megatron", Path("megatron"), link=True)

Names are resolved when first used, so that a reader's bare environment can import `packing.export.rows`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packing.export.registry import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "export"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'packing.export' has no attribute {name!r}")
    return getattr(import_module("packing.export.registry"), name)
