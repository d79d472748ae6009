"""Conservation: every document's tokens once for each copy, the list of documents, and the ledger.

One query over all fragment tables in DuckDB, which spills to disk where memory ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from packing.layout import files
from packing.layout.manifest import Manifest
from packing.verify.faults import Fault

DOCS, DROPPED = "docs.parquet", "dropped.parquet"
MEMORY = "1GB"

# A copy's fragments in the order of their offsets: `gap` where one does not begin at the end of the one before.
# bos: 1 where the fragment begins with an id that is no token of the document.
_COPIES = f"""
with fragment as (
    select doc_key, "copy", doc_offset, flags, source,
        "len" - (case when $bos = 'fragment' or ($bos = 'doc' and flags & {files.FIRST} > 0) then 1 else 0 end) as n
    from read_parquet($tables)
), placed as (
    select *, lag(doc_offset + n, 1, 0) over (partition by doc_key, "copy" order by doc_offset, n) <> doc_offset as gap,
        lead(doc_offset) over (partition by doc_key, "copy" order by doc_offset, n) is null as final
    from fragment
)
select doc_key, "copy", count(*) as fragments, sum(n)::bigint as tokens, bool_or(gap) as gap,
    min(source) as source, max(source) as other_source,
    bool_or((flags & {files.LAST | files.TRUNCATED} > 0) <> final) as end_elsewhere,
    bool_or(flags & {files.TRUNCATED} > 0) as truncated
from placed group by doc_key, "copy"
"""


def document_faults(directory: Path, manifest: Manifest) -> list[Fault]:
    """Faults of documents, their lists and the ledger.  Shards without rows are left out."""
    tables = [str(files.fragment_path(directory, shard.name)) for shard in manifest.shards if shard.fragments]
    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as database:
        database.execute("set threads = 2")
        database.execute(f"set memory_limit = '{MEMORY}'")
        database.execute("set temp_directory = $1", [spill])
        try:
            return list(_faults(database, directory, manifest, tables))
        except duckdb.Error as error:
            return [Fault(DOCS, f"the fragment tables or lists cannot be read: {str(error).splitlines()[0]}")]


def _faults(
    database: duckdb.DuckDBPyConnection, directory: Path, manifest: Manifest, tables: list[str]
) -> Iterator[Fault]:
    bos = str(manifest.policy.get("bos", "none"))
    if tables:
        database.execute(f"create temp table piece as {_COPIES}", {"tables": tables, "bos": bos})
    else:
        database.execute(
            'create temp table piece (doc_key ubigint, "copy" usmallint, fragments bigint, tokens bigint, gap boolean,'
            " source usmallint, other_source usmallint, end_elsewhere boolean, truncated boolean)"
        )
    for name in (DOCS, DROPPED):
        table = name.removesuffix(".parquet")
        database.execute(f"create temp table {table} as from read_parquet($1)", [str(directory / name)])
    database.execute("create temp table source (number integer, name varchar)")
    for number, source in enumerate(manifest.sources):
        database.execute("insert into source values ($1, $2)", [number, source])
    yield from _pieces(database)
    yield from _copies(database)
    yield from _lists(database)
    yield from _ledger(database, manifest)


# (file, condition on `piece p left join docs d left join source s`, what it means)
_CHECKS = (
    ("index", "p.gap", "tokens of a document are missing, doubled or out of place"),
    ("index", "p.end_elsewhere", "a document's end is not at its last fragment, or it has none"),
    ("index", "p.source <> p.other_source", "fragments of one document name several sources"),
    (DOCS, "d.doc_key is null", "packed documents are not listed"),
    (DOCS, "not p.truncated and p.tokens <> d.tokens", "the list says another number of tokens than was packed"),
    (DOCS, "p.truncated and p.tokens >= d.tokens", "a truncated document lost nothing"),
    (DOCS, "s.name is distinct from d.source and d.doc_key is not null", "the list says another source"),
)


def _pieces(database: duckdb.DuckDBPyConnection) -> Iterator[Fault]:
    joined = "from piece p left join docs d using (doc_key) left join source s on s.number = p.source"
    for file, condition, what in _CHECKS:
        count, example = _one(database, f"select count(*), min(p.doc_key) {joined} where {condition}")
        if count:
            yield Fault(file, f"{what}: {count} copies, for example doc_key {example}")


def _copies(database: duckdb.DuckDBPyConnection) -> Iterator[Fault]:
    """Copies of a document count from 1 on (CONTRACTS, Mix table → packing)."""
    count, example = _one(
        database,
        "select count(*), min(doc_key)"
        ' from (select doc_key from piece group by doc_key having max("copy") <> count(*))',
    )
    if count:
        yield Fault("index", f"{count} documents lack a copy between the first and the last, for example {example}")


def _lists(database: duckdb.DuckDBPyConnection) -> Iterator[Fault]:
    count, example = _one(
        database, "select count(*), min(doc_key) from docs where doc_key not in (select doc_key from piece)"
    )
    if count:
        yield Fault(DOCS, f"{count} listed documents are in no row, for example doc_key {example}")
    count, example = _one(
        database, "select count(*), min(doc_key) from (select doc_key from docs group by doc_key having count(*) > 1)"
    )
    if count:
        yield Fault(DOCS, f"{count} documents are listed more than once, for example doc_key {example}")


def _ledger(database: duckdb.DuckDBPyConnection, manifest: Manifest) -> Iterator[Fault]:
    """The ledger closes in itself, and says what is there."""
    ledger, name = manifest.ledger, files.MANIFEST
    rows = sum(shard.rows for shard in manifest.shards)
    tokens = sum(shard.tokens for shard in manifest.shards)
    copies, documents, truncated = _one(
        database, "select count(*), count(distinct doc_key), count(*) filter (where truncated) from piece"
    )
    by_reason = dict(database.execute("select reason, count(*)::bigint from dropped group by reason").fetchall())
    claimed = ledger.get("documents", {})
    dropped = dict(claimed.get("dropped", {}))
    if claimed.get("in") != claimed.get("packed", 0) + sum(dropped.values()):
        yield Fault(name, f"the ledger's documents do not add up: {claimed}")
    packed = documents if "occurrences" in ledger else copies
    if claimed.get("packed") != packed:
        yield Fault(name, f"the ledger says {claimed.get('packed')} packed documents, the rows hold {packed}")
    if by_reason != {reason: count for reason, count in dropped.items() if count}:
        yield Fault(DROPPED, f"lists {by_reason}, the ledger says {dropped}")
    occurrences = ledger.get("occurrences")
    if occurrences is not None and (
        occurrences["in"] != occurrences["packed"] + occurrences["dropped"] or occurrences["packed"] != copies
    ):
        yield Fault(name, f"the ledger says {occurrences} copies, the rows hold {copies}")
    account = ledger.get("tokens", {})
    lost = account.get("truncated", 0) + account.get("dropped", 0)
    if account.get("in") != account.get("packed", 0) + lost:
        yield Fault(name, f"the ledger's tokens do not add up: {account}")
    if account.get("packed", 0) + account.get("bos", 0) != tokens:
        yield Fault(name, f"the ledger says {account.get('packed'):,} packed tokens, the rows hold {tokens:,}")
    if account.get("padding", rows * manifest.sequence_length - tokens) != rows * manifest.sequence_length - tokens:
        yield Fault(name, f"the ledger says {account['padding']:,} tokens of padding")
    if bool(account.get("truncated", 0)) != bool(truncated):
        yield Fault(name, f"{truncated} truncated copies, but {account.get('truncated', 0):,} truncated tokens")


def _one(database: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = database.execute(query).fetchone()
    assert row is not None
    return row
