"""curate: from raw crawls to curated, traceable documents.

The names a user needs, resolved when first used, so that importing one never loads the rest:

    from curation import load, run, open_run
    summary = run(load(Path("examples/web.yaml")))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.catalog import Catalog, open_run
    from curation.pipeline.config import load
    from curation.pipeline.plan import Plan, build
    from curation.pipeline.run import run
    from curation.rules.language import identify, load_model
    from curation.rules.thresholds import RuleSet, Threshold
    from curation.text.normalize import content_hashes
    from curation.text.statistics import measure

_HOME = {
    "Catalog": "curation.catalog",
    "open_run": "curation.catalog",
    "load": "curation.pipeline.config",
    "Plan": "curation.pipeline.plan",
    "build": "curation.pipeline.plan",
    "run": "curation.pipeline.run",
    "identify": "curation.rules.language",
    "load_model": "curation.rules.language",
    "RuleSet": "curation.rules.thresholds",
    "Threshold": "curation.rules.thresholds",
    "content_hashes": "curation.text.normalize",
    "measure": "curation.text.statistics",
}

__all__ = [
    "Catalog",
    "Plan",
    "RuleSet",
    "Threshold",
    "build",
    "content_hashes",
    "identify",
    "load",
    "load_model",
    "measure",
    "open_run",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'curation' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
