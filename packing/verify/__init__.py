"""Looks at finished shard directories: verify, info, who, diff, sample.

    from packing.verify import verify
    report = verify(Path("shards"))
    assert report.ok, report.faults

Names are resolved when first used; no module is called like the function it holds, which it would hide.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packing.verify.difference import diff
    from packing.verify.directory import verify
    from packing.verify.faults import Fault, Report
    from packing.verify.origin import who
    from packing.verify.overview import info
    from packing.verify.shown import sample

_HOME = {
    "Fault": "faults",
    "Report": "faults",
    "diff": "difference",
    "info": "overview",
    "sample": "shown",
    "verify": "directory",
    "who": "origin",
}

__all__ = ["Fault", "Report", "diff", "info", "sample", "verify", "who"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'packing.verify' has no attribute {name!r}")
    return getattr(import_module(f"packing.verify.{_HOME[name]}"), name)
