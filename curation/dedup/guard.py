"""What a person should see before near-duplicates are really gone: losses per source, the largest clusters.

The barrier measures; whether it is too much is decided where the run goes on (`curation.pipeline.confirm`),
so that a changed limit computes nothing anew.
"""

from __future__ import annotations

from collections import Counter

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from curation.pipeline.barrier import ROW_BITS
from curation.pipeline.confirm import CONFIRM_SCHEMA
from curation.pipeline.context import TaskContext
from curation.pipeline.schema import REMOVED_BY, REMOVED_DETAIL
from curation.text.display import name

EXAMPLES = 20
LARGEST = 20  # clusters listed
SMALLEST_SOURCE = 20  # documents; half of fewer is no alarm
SECTION = "dedup."  # removals by this section count as its loss


def measure_losses(context: TaskContext, database: duckdb.DuckDBPyConnection) -> pa.RecordBatch:
    """One row per source (part of its documents that dedup removes, copies included), one per large cluster."""
    rows = [*_sources(context, database), *_clusters(database)]
    return pa.RecordBatch.from_pylist(rows, CONFIRM_SCHEMA)


def _sources(context: TaskContext, database: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """Exact copies count here: a source that loses half of itself to them was perhaps read twice."""
    kept: Counter[str] = Counter()
    copies: Counter[str] = Counter()
    near: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    by_shard = dict(
        database.sql(f"select position >> {ROW_BITS} as shard, count(*) from removals group by shard").fetchall()
    )
    for number, _, source, batches in context.all_shards(["id", REMOVED_BY, REMOVED_DETAIL]):
        near[source] += by_shard.get(number, 0)
        shown = examples.setdefault(source, [])
        if number in by_shard and len(shown) < EXAMPLES:
            shown += _near_examples(database, number, EXAMPLES - len(shown))
        for batch in batches:
            by_dedup = pc.fill_null(pc.starts_with(batch[REMOVED_BY], SECTION), False)
            kept[source] += batch[REMOVED_BY].null_count
            copies[source] += int(pc.sum(by_dedup).as_py() or 0)
            if len(shown) < EXAMPLES:
                part = batch.filter(by_dedup).slice(0, EXAMPLES - len(shown))
                pairs = zip(part["id"].to_pylist(), part[REMOVED_DETAIL].to_pylist(), strict=True)
                shown += [f"{name(id)} is a copy of {name(kept_id)}" for id, kept_id in pairs]
    rows: list[dict[str, object]] = []
    for source in examples:
        total, removed = kept[source] + copies[source], near[source] + copies[source]
        if removed and total >= SMALLEST_SOURCE:
            message = (
                f"source {source}: dedup removes {removed:,} of its {total:,} documents ({removed / total:.1%}): "
                f"{copies[source]:,} exact copies, {near[source]:,} near-duplicates"
            )
            rows.append(
                {"limit": "max_source_loss", "value": removed / total, "message": message}
                | {"examples": examples[source]}
            )
    return rows


_PAIRS = """select own.value, jaccard, containment, kept_ids.value
            from removals r join ids own using (position) join ids kept_ids on kept_ids.position = r.kept"""


def _near_examples(database: duckdb.DuckDBPyConnection, shard: int, wanted: int) -> list[str]:
    span = [shard << ROW_BITS, (shard + 1) << ROW_BITS]
    query = f"{_PAIRS} where r.position >= ? and r.position < ? order by r.position limit {wanted}"
    return [_line(*row) for row in database.execute(query, span).fetchall()]


def _clusters(database: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """Exact copies do not count here: they are equal, whatever their number."""
    largest = database.sql(
        f"""select kept, value, count(*) + 1 as size from removals r join ids on ids.position = r.kept
            group by kept, value having count(*) > 1 order by size desc, kept limit {LARGEST}"""
    ).fetchall()
    rows: list[dict[str, object]] = []
    for kept, id, size in largest:
        query = f"{_PAIRS} where r.kept = ? order by r.position limit {EXAMPLES}"
        examples = [_line(*row) for row in database.execute(query, [kept]).fetchall()]
        message = f"{name(id)} stands for {size:,} different texts (itself included)"
        rows.append({"limit": "max_cluster", "value": float(size), "message": message, "examples": examples})
    return rows


def _line(removed: str, jaccard: float, containment: float, kept: str) -> str:
    return f"{name(removed)} is like {name(kept)} (jaccard {jaccard:.3f}, containment {containment:.3f})"
