"""ScoreTable: one row an option of an item, with what every metric and test is computed from, and where it came from.

Rows of one item stand together, options in order.  `bytes` and `chars` are of the option without the joining space.
`truncated`: the context was cut to fit.  The header (schema metadata, key `curate.scores`, JSON) names model, items,
tokenizer, mode and versions, so that a table tells what it may be compared with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from proxy_model.evaluate.items import Item
from proxy_model.evaluate.scoring import Scored
from proxy_model.evaluate.split import Tokenised

HEADER = b"curate.scores"
SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("item", pa.string()),
        ("cluster", pa.string()),
        ("kind", pa.string()),
        ("choice", pa.int16()),
        ("gold", pa.bool_()),
        ("log_likelihood", pa.float64()),  # nats
        ("bytes", pa.int32()),
        ("chars", pa.int32()),
        ("tokens", pa.int32()),
        ("greedy", pa.bool_()),
        ("truncated", pa.bool_()),
        ("weight", pa.float64()),
    ]
)


def score_table(tokenised: Tokenised, scored: Sequence[Scored]) -> pa.Table:
    """`scored` stands in the order of the tokenised pairs."""
    rows = []
    answers = iter(scored)
    for item, pairs, cut in zip(tokenised.items, tokenised.pairs, tokenised.truncated, strict=True):
        for option, ((_, continuation), truncated) in enumerate(zip(pairs, cut, strict=True)):
            one = next(answers)
            rows.append(_row(item, option, one, len(continuation), truncated))
    return pa.table(
        dict(zip(SCHEMA.names, zip(*rows, strict=True), strict=True)) if rows else {n: [] for n in SCHEMA.names}, SCHEMA
    )


def _row(item: Item, option: int, one: Scored, tokens: int, truncated: bool) -> tuple[Any, ...]:
    text = item.choice(option)
    return (
        item.benchmark, item.id, item.cluster or item.id, item.kind, option, option == item.gold, one.nats,
        len(text.encode()), len(text), tokens, one.greedy, truncated, item.weight,
    )  # fmt: skip


def with_header(table: pa.Table, header: Mapping[str, Any]) -> pa.Table:
    """The table with its header; keys sorted, so that equal headers give equal bytes."""
    return table.replace_schema_metadata({HEADER: json.dumps(header, sort_keys=True, ensure_ascii=False).encode()})


def header_of(table: pa.Table) -> dict[str, Any]:
    """The header; empty for a table without one."""
    found = (table.schema.metadata or {}).get(HEADER)
    return dict(json.loads(found)) if found else {}


def write_table(table: pa.Table, path: Path) -> None:
    """Parquet, atomically."""
    from curation.pipeline.shards import write_atomic

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=["benchmark", "item", "cluster", "kind"])
    write_atomic(path, sink.getvalue().to_pybytes())


def read_table(path: Path) -> pa.Table:
    """A written table; raises ValueError for a Parquet file that is none."""
    table = pq.read_table(path)
    missing = [name for name in SCHEMA.names if name not in table.schema.names]
    if missing:
        raise ValueError(f"{path} is no table of scores: it lacks {', '.join(missing)}")
    return table


def common_items(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """The tables without items that any of them lacks: an item dropped for one model is dropped for all."""
    found = [set(zip(t["benchmark"].to_pylist(), t["item"].to_pylist(), strict=True)) for t in tables]
    shared = set.intersection(*found) if found else set()
    kept = []
    for table, own in zip(tables, found, strict=True):
        if own == shared:
            kept.append(table)
            continue
        names = zip(table["benchmark"].to_pylist(), table["item"].to_pylist(), strict=True)
        kept.append(table.filter(pa.array([name in shared for name in names])))
    return kept
