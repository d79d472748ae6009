"""The `dedup:` section of the YAML."""

from __future__ import annotations

from typing import Any

from curation.dedup.band_buckets import BUCKETS
from curation.dedup.exact import EXACT, HASH, ExactConfig, plan_exact
from curation.dedup.index_check import INDEX_CHECK
from curation.dedup.line_hashes import LINE_HASHES
from curation.dedup.lines import LINE_CUTS, REPEATED_LINES, LinesConfig, plan_lines
from curation.dedup.minhash import MINHASH, MinHashConfig, plan_minhash
from curation.dedup.rebanding import REBANDED
from curation.dedup.signatures import SIGNATURES
from curation.dedup.substring import (
    REPEATED_PASSAGES,
    SUBSTRING_ANCHORS,
    SUBSTRING_CUTS,
    SubstringConfig,
    plan_substring,
)
from curation.pipeline.config import Frozen
from curation.pipeline.step import PlanBuilder, Section


class DedupConfig(Frozen):
    """Which kinds of duplicates are removed."""

    exact: ExactConfig | None = None
    minhash: MinHashConfig | None = None
    lines: LinesConfig | None = None
    substring: SubstringConfig | None = None


def plan(config: DedupConfig, builder: PlanBuilder) -> None:
    """Exact copies first: that leaves less for everything after."""
    if config.exact is not None:
        plan_exact(config.exact, builder)
    if config.minhash is not None:
        plan_minhash(config.minhash, builder)
    if config.lines is not None:
        plan_lines(config.lines, builder)
    if config.substring is not None:
        plan_substring(config.substring, builder)


def _config() -> Any:
    return DedupConfig


STEPS = (HASH, EXACT, SIGNATURES, INDEX_CHECK, BUCKETS, REBANDED, MINHASH)
CUTTING = (LINE_HASHES, REPEATED_LINES, LINE_CUTS, SUBSTRING_ANCHORS, REPEATED_PASSAGES, SUBSTRING_CUTS)
SECTION = Section(
    "dedup",
    "clean",
    plan,
    (HASH, EXACT, SIGNATURES, INDEX_CHECK, BUCKETS, REBANDED, MINHASH, *CUTTING),
    _config,
    "exact and near-duplicate removal",
)
