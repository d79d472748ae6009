"""Looks at finished shard directories: verify, info, who, diff, sample.

    from packing.verify import verify
    report = verify(Path("shards"))
    assert report.ok, report.faults
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packing.verify.diff import diff
    from packing.verify.faults import Fault, Report
    from packing.verify.info import info
    from packing.verify.sample import sample
    from packing.verify.verify import verify
    from packing.verify.who import who

# `verify.verify` and its like would hide the function behind the module of the same name: resolve by table
_HOME = {
    "Fault": "faults", "Report": "faults", "diff": "diff", "info": "info", "sample": "sample", "verify": "verify",
    "who": "who",
}  # fmt: skip

__all__ = ["Fault", "Report", "diff", "info", "sample", "verify", "who"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'packing.verify' has no attribute {name!r}")
    return getattr(import_module(f"packing.verify.{_HOME[name]}"), name)
