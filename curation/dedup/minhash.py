"""Verified MinHash: near-duplicates keep the longest, and each removed one is compared with what stands for it.

Bands only say what to compare; the decision is exact and made in survivor order (`stars`).  In order:
signatures of every shard, `buckets` (a task for each group of bands), `rebanding` of hot ones, then one
barrier: `components`, `judging`, `ledger`, `guard`.  Rule, formulas and figures: docs/dedup.md; sizes: docs/scale.md.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from curation.dedup.band_buckets import BUCKETS
from curation.dedup.components import Candidates, find_candidates
from curation.dedup.guard import measure_losses
from curation.dedup.index import index_files, open_index
from curation.dedup.index_check import INDEX_CHECK
from curation.dedup.inputs import old_parts, scratch_folder
from curation.dedup.judging import REMOVALS, judge
from curation.dedup.ledger import follow_copies, write_verdicts
from curation.dedup.presets import DEFAULT, PRESETS, Banding
from curation.dedup.rebanding import REBANDED
from curation.dedup.signatures import COUNT, SIGNATURES
from curation.pipeline.barrier import MEMORY_LIMIT, spill_database, with_positions
from curation.pipeline.config import Frozen
from curation.pipeline.confirm import CONFIRM, CONFIRM_SCHEMA
from curation.pipeline.context import TaskContext
from curation.pipeline.registry import suggest
from curation.pipeline.step import PlanBuilder, Step
from curation.pipeline.task import Shard

BESIDE_JUDGING = "64MB"  # memory of the database: the partitions need some beside it
INPUT_A_GROUP = 4 << 30  # bytes of input, compressed, for which the bands are split among one task more
DUPLICATE_COUNT = "duplicate_count"


class MinHashConfig(Frozen):
    """Near-duplicate removal: candidates by MinHash, decisions by exact comparison."""

    preset: str = Field(DEFAULT, description="banding that finds candidates: " + ", ".join(PRESETS))
    jaccard: float = Field(0.8, gt=0, le=1, description="near-duplicates share this part of all their shingles, or …")
    containment: float = Field(0.95, gt=0, le=1, description="… the longer has this part of the shorter's shingles")
    scope: Literal["global", "source"] = Field("global", description="compare across sources, or within each")
    edit_similarity: float | None = Field(
        None, gt=0, le=1, description="a pair by Jaccard must also have this similarity of word sequences, e.g. 0.8"
    )
    against: list[str] = Field(
        [], description="indices of earlier runs (`curate dedup-index`): what is like theirs goes"
    )
    groups: int | Literal["auto"] = Field(
        "auto", description="tasks that the bands are split among; auto: by input size"
    )
    max_cluster: int = Field(1000, ge=2, description="ask before going on when one document stands for more texts")
    max_source_loss: float = Field(0.5, ge=0, le=1, description="ask before going on when a source loses more")

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PRESETS:
            raise ValueError(f"there is no preset {name!r}; {suggest(name, list(PRESETS))}")
        return name

    @model_validator(mode="after")
    def _texts(self) -> MinHashConfig:
        if self.against and self.edit_similarity is not None:
            raise ValueError("edit_similarity compares texts, which an index has not: leave out one of the two")
        return self


def find_near_duplicates(context: TaskContext) -> None:
    """Barrier: components, verdicts, ledger, and what may need confirmation."""
    with scratch_folder(context) as folder:
        candidates = find_candidates(context)
        context.counts["candidates"] = candidates.members.size
        with spill_database(context.directory) as database:
            database.execute(f"set memory_limit='{BESIDE_JUDGING}'")
            database.execute(f"create table removals ({REMOVALS})")
            for rows in judge(context, candidates, folder):
                database.register("batch", rows)
                database.execute("insert into removals select * from batch")
            _copies(context, database, candidates)
            del candidates
            pa.default_memory_pool().release_unused()
            database.execute(f"set memory_limit='{MEMORY_LIMIT}'")
            follow_copies(context, database, old_parts(context))
            write_verdicts(context, database)
            writer = context.writer(CONFIRM, CONFIRM_SCHEMA)
            writer.write(measure_losses(context, database))


def _copies(context: TaskContext, database: duckdb.DuckDBPyConnection, candidates: Candidates) -> None:
    """Fill `documents` (position, copies): for how many input documents each candidate stands so far."""
    database.execute("create table documents (position bigint, copies bigint)")
    for number, _, _, batches in context.all_shards([COUNT, DUPLICATE_COUNT]):
        for table in with_positions(number, batches):
            part = table.filter(pa.array(candidates.members.holds(table["position"].to_numpy())))
            alone = pa.repeat(pa.scalar(1, pa.int64()), len(part))
            copies = pc.coalesce(part[DUPLICATE_COUNT], alone) if DUPLICATE_COUNT in part.column_names else alone
            database.register("batch", pa.table({"position": part["position"], "copies": copies}))
            database.execute("insert into documents select * from batch")


MINHASH = Step("minhash", 2, find_near_duplicates, reads_text=False, views=("clusters",))


def plan_minhash(config: MinHashConfig, builder: PlanBuilder) -> None:
    """Signatures of each shard's text, buckets, one barrier.  The limits are no part of any."""
    banding = PRESETS[config.preset]

    def signature(shard: Shard) -> dict[str, Any]:
        return {"bands": banding.bands, "rows": banding.rows}

    builder.add_layer(SIGNATURES, signature)
    if not builder.shards:
        return
    indices = [open_index(builder.base / path, banding, config.scope) for path in config.against]
    files = index_files(indices)
    checks = [builder.add_reader(INDEX_CHECK, INDEX_CHECK.name, {}, files=files)] if files else []
    tasks = []
    for first, last in _split(banding, config.groups, builder):
        scope = {"first": first, "last": last, "scope": config.scope}
        tasks.append(builder.add_reader(BUCKETS, f"{BUCKETS.name}/{first}-{last - 1}", scope, also=checks, files=files))
    second = {"scope": config.scope, "buckets": list(tasks)}
    tasks.append(builder.add_reader(REBANDED, REBANDED.name, second, also=list(tasks), files=files))
    decided = config.model_dump(mode="json", include={"jaccard", "containment", "scope", "edit_similarity"})
    task = builder.add_global(MINHASH, {**decided, "buckets": tasks}, also=tasks, files=files)
    limits = {"max_source_loss": config.max_source_loss, "max_cluster": config.max_cluster}
    builder.facts.setdefault(CONFIRM, {})[task] = {"key": "dedup.minhash", "limits": limits}


def _split(banding: Banding, groups: int | str, builder: PlanBuilder) -> list[tuple[int, int]]:
    """The bands in groups of about the same size: (first, last) of each, last excluded."""
    size = sum(builder.tasks[shard.read].input_bytes for shard in builder.shards)
    wanted = 1 + size // INPUT_A_GROUP if isinstance(groups, str) else groups
    count = max(1, min(wanted, banding.bands))
    borders = [banding.bands * i // count for i in range(count + 1)]
    return list(itertools.pairwise(borders))
