"""The `dedup:` section of the YAML."""

from __future__ import annotations

from typing import Any

from curation.dedup.exact import EXACT, HASH, ExactConfig, plan_exact
from curation.pipeline.config import Frozen
from curation.pipeline.step import PlanBuilder, Section


class DedupConfig(Frozen):
    """Which kinds of duplicates are removed."""

    exact: ExactConfig | None = None


def plan(config: DedupConfig, builder: PlanBuilder) -> None:
    """Exact copies first: that leaves less for everything after."""
    if config.exact is not None:
        plan_exact(config.exact, builder)


def _config() -> Any:
    return DedupConfig


SECTION = Section("dedup", "clean", plan, (HASH, EXACT), _config, "exact and near-duplicate removal")
