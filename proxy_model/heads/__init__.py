"""Reward heads: a proxy model as a labeler of quality, tier 1 (QUALITY.md 6).

    curate quality train labels.parquet --documents docs.jsonl.zst --out tagger --model proxy:runs/proxy-demo
    curate quality tag docs.jsonl.zst --out tagged --model proxy:tagger

`pool`, `ordinal`, `model`, `linear` and `tune` import only torch; the rest joins them to the package `quality`.
Names are resolved when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy_model.heads.files import load_tagger, save_tagger
    from proxy_model.heads.fit import fit_tagger
    from proxy_model.heads.model import HeadsSpec, RewardHeads
    from proxy_model.heads.pool import documents, pool
    from proxy_model.heads.tagger import Tagger

_HOME = {
    "HeadsSpec": "model",
    "RewardHeads": "model",
    "Tagger": "tagger",
    "documents": "pool",
    "fit_tagger": "fit",
    "load_tagger": "files",
    "pool": "pool",
    "save_tagger": "files",
}

__all__ = ["HeadsSpec", "RewardHeads", "Tagger", "documents", "fit_tagger", "load_tagger", "pool", "save_tagger"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"proxy_model.heads.{_HOME[name]}"), name)
