"""The `dedup:` section of the YAML."""

from __future__ import annotations

from typing import Any

from curation.dedup.exact import EXACT, HASH, ExactConfig, plan_exact
from curation.dedup.minhash import MINHASH, MinHashConfig, plan_minhash
from curation.dedup.signatures import SIGNATURES
from curation.pipeline.config import Frozen
from curation.pipeline.step import PlanBuilder, Section


class DedupConfig(Frozen):
    """Which kinds of duplicates are removed."""

    exact: ExactConfig | None = None
    minhash: MinHashConfig | None = None


def plan(config: DedupConfig, builder: PlanBuilder) -> None:
    """Exact copies first: that leaves less for everything after."""
    if config.exact is not None:
        plan_exact(config.exact, builder)
    if config.minhash is not None:
        plan_minhash(config.minhash, builder)


def _config() -> Any:
    return DedupConfig


SECTION = Section(
    "dedup", "clean", plan, (HASH, EXACT, SIGNATURES, MINHASH), _config, "exact and near-duplicate removal"
)
