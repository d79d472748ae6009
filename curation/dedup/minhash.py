"""Verified MinHash: near-duplicates keep the longest, and each removed one is compared with what stands for it.

MinHash bands only say what to compare (`candidates`); the decision is exact (`verify`) and made in
survivor order (`stars`): most distinct shingles first, ties by config, file and record order.
Rule, formulas and figures: docs/dedup.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, field_validator
from rapidfuzz.distance import Levenshtein

from curation.dedup.candidates import Chunk, chunks, collect_keys, find_components, signature_file
from curation.dedup.guard import measure_losses
from curation.dedup.ledger import follow_copies, write_verdicts
from curation.dedup.lists import ListFile
from curation.dedup.presets import DEFAULT, PRESETS
from curation.dedup.signatures import LAYER_SCHEMA, SHINGLES, SIGNATURES
from curation.dedup.stars import resolve
from curation.dedup.verify import Scores, compare
from curation.pipeline.barrier import ROW_BITS, spill_database, with_positions
from curation.pipeline.config import Frozen
from curation.pipeline.confirm import CONFIRM, CONFIRM_SCHEMA
from curation.pipeline.context import TaskContext
from curation.pipeline.registry import suggest
from curation.pipeline.schema import TEXT
from curation.pipeline.shards import row_groups, temporary_name
from curation.pipeline.step import PlanBuilder, Step
from curation.pipeline.task import Shard
from curation.text.shingles import shingle_hashes

REMOVALS = "position bigint, kept bigint, jaccard double, containment double, bands integer"
MEMORY_LIMIT = "100MB"  # of the database: the chunks and lists need memory beside it
EDIT_WORDS = 50_000  # longer documents are judged without their edit similarity: its cost is quadratic


class MinHashConfig(Frozen):
    """Near-duplicate removal: candidates by MinHash, decisions by exact comparison."""

    preset: str = Field(DEFAULT, description="banding that finds candidates: " + ", ".join(PRESETS))
    jaccard: float = Field(0.8, gt=0, le=1, description="near-duplicates share this part of all their shingles, or …")
    containment: float = Field(0.95, gt=0, le=1, description="… the longer has this part of the shorter's shingles")
    scope: Literal["global", "source"] = Field("global", description="compare across sources, or within each")
    edit_similarity: float | None = Field(
        None, gt=0, le=1, description="a pair by Jaccard must also have this similarity of word sequences, e.g. 0.8"
    )
    max_cluster: int = Field(1000, ge=2, description="ask before going on when one document stands for more texts")
    max_source_loss: float = Field(0.5, ge=0, le=1, description="ask before going on when a source loses more")

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PRESETS:
            raise ValueError(f"there is no preset {name!r}; {suggest(name, list(PRESETS))}")
        return name


def find_near_duplicates(context: TaskContext) -> None:
    """Barrier: candidates, verification, stars; verdicts, ledger, and what may need confirmation."""
    with spill_database(context.directory) as database, _scratch(context) as lists:
        database.execute(f"set memory_limit='{MEMORY_LIMIT}'")
        collect_keys(context, database)
        context.counts["candidates"] = find_components(database)
        _copy_lists(context, database, lists)
        pa.default_memory_pool().release_unused()
        database.execute(f"create table removals ({REMOVALS})")
        for chunk in chunks(database):
            rows = _decide(context, chunk, lists)
            database.register("batch", rows)
            database.execute("insert into removals select * from batch")
        follow_copies(context, database)
        write_verdicts(context, database)
        writer = context.writer(CONFIRM, CONFIRM_SCHEMA)
        writer.write(measure_losses(context, database))


def _decide(context: TaskContext, chunk: Chunk, lists: ListFile) -> pa.Table:
    """The removals of one chunk (schema of the table `removals`)."""
    wanted = context.config

    def judge(shorter: int, longer: int) -> Scores | None:
        a, b = (lists.read(int(chunk.start[i]), int(chunk.length[i])) for i in (shorter, longer))
        scores = compare(a, b)
        if scores.containment >= wanted["containment"]:
            return scores
        if scores.jaccard < wanted["jaccard"]:
            return None
        if wanted["edit_similarity"] is not None and max(chunk.words[shorter], chunk.words[longer]) > EDIT_WORDS:
            context.counts["too_long_for_edit_similarity"] += 1
        elif wanted["edit_similarity"] is not None:
            x, y = (lists.read(int(chunk.words_start[i]), int(chunk.words[i])).tolist() for i in (shorter, longer))
            if Levenshtein.normalized_similarity(x, y) < wanted["edit_similarity"]:
                return None
        return scores

    found = list(resolve(chunk, judge, context.counts))
    removed, kept = (np.array([getattr(r, name) for r in found], np.int64) for name in ("removed", "kept"))
    return pa.table(
        {
            "position": chunk.position[removed],
            "kept": chunk.position[kept],
            "jaccard": pa.array([r.scores.jaccard for r in found], pa.float64()),
            "containment": pa.array([r.scores.containment for r in found], pa.float64()),
            "bands": pa.array([r.bands for r in found], pa.int32()),
        }
    )


@contextmanager
def _scratch(context: TaskContext) -> Iterator[ListFile]:
    path = temporary_name(context.directory / "lists")  # swept like any temporary file when its process is gone
    lists = ListFile(path)
    try:
        yield lists
    finally:
        lists.close()
        path.unlink(missing_ok=True)


def _copy_lists(context: TaskContext, database: duckdb.DuckDBPyConnection, lists: ListFile) -> None:
    """Copy the candidates' shingles (and words) to the scratch file; fill `lists` with where they are."""
    database.execute("create table lists (position bigint, start bigint, words bigint, words_start bigint)")
    texts = context.config["edit_similarity"] is not None
    for number, name, _, batches in context.all_shards([TEXT] if texts else list(LAYER_SCHEMA.names)):
        first, last = number << ROW_BITS, (number + 1) << ROW_BITS
        wanted = database.execute(
            "select position from candidates where position >= ? and position < ? order by position", [first, last]
        ).fetchnumpy()["position"]
        if not len(wanted):
            continue
        groups = row_groups(signature_file(context, name, SHINGLES))
        for rows, group in zip(with_positions(number, batches), groups, strict=True):
            begin = rows["position"][0].as_py() if len(rows) else 0
            low, high = wanted.searchsorted([begin, begin + len(rows)])
            if low == high:
                continue
            positions = wanted[low:high]
            index = pa.array(positions - begin)
            starts, lengths = _append(lists, group[SHINGLES].take(index))
            del lengths  # the candidates table has them
            words_start = words = np.zeros(len(positions), np.int64)
            if texts:
                hashes = shingle_hashes(rows[TEXT].combine_chunks().take(index), 1)
                ends = np.concatenate([[0], hashes.ends])
                words_start, words = lists.append(hashes.values) + ends[:-1], np.diff(ends)
            table = pa.table({"position": positions, "start": starts, "words": words, "words_start": words_start})
            database.register("batch", table)
            database.execute("insert into lists select * from batch")
    lists.seal()


def _append(lists: ListFile, column: pa.LargeListArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(index, length) of each list of the column in the scratch file."""
    lengths = np.asarray(pc.list_value_length(column)).astype(np.int64)
    return lists.append(np.asarray(column.flatten())) + np.cumsum(lengths) - lengths, lengths


MINHASH = Step("minhash", 1, find_near_duplicates, reads_text=False, views=("clusters",))


def plan_minhash(config: MinHashConfig, builder: PlanBuilder) -> None:
    """Signatures of each shard's text, then one barrier.  The limits are no part of either."""
    banding = PRESETS[config.preset]

    def signature(shard: Shard) -> dict[str, Any]:
        return {"bands": banding.bands, "rows": banding.rows}

    builder.add_layer(SIGNATURES, signature)
    decided = config.model_dump(mode="json", exclude={"preset", "max_cluster", "max_source_loss"})
    if builder.shards:
        task = builder.add_global(MINHASH, decided)
        limits = {"max_source_loss": config.max_source_loss, "max_cluster": config.max_cluster}
        builder.facts.setdefault(CONFIRM, {})[task] = {"key": "dedup.minhash", "limits": limits}
