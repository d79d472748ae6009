"""datatrove both ways: its blocks as items of the `clean:` list, and our parts as blocks of its pipelines.

from curation.datatrove import RuleFilter, DedupSignatures
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.datatrove.clean_blocks import CleanFilter, LanguageIdFilter, PiiMasker, RuleFilter, UrlFilter
    from curation.datatrove.dedup_blocks import DedupClusters, DedupFilter, DedupSignatures

_HOME = {
    **dict.fromkeys(
        ("CleanFilter", "LanguageIdFilter", "PiiMasker", "RuleFilter", "UrlFilter"), "curation.datatrove.clean_blocks"
    ),
    **dict.fromkeys(("DedupClusters", "DedupFilter", "DedupSignatures"), "curation.datatrove.dedup_blocks"),
}

__all__ = [
    "CleanFilter",
    "DedupClusters",
    "DedupFilter",
    "DedupSignatures",
    "LanguageIdFilter",
    "PiiMasker",
    "RuleFilter",
    "UrlFilter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'curation.datatrove' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
