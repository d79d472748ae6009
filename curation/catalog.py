"""The catalog of a finished run: what was kept, removed and quarantined, as SQL views and as ready questions.

`curate sql`, `inspect`, `trace` and the report all look through it.  Only single SELECT statements
pass: DuckDB's lock (`catalog_views`) still lets COPY overwrite a file that may be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import duckdb
import orjson
import pyarrow as pa

from curation.catalog_views import VIEWS, locked_database
from curation.histogram import Histogram, StoredThreshold, choose_scale, identifier
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from curation.pipeline.registry import door

RUN_FILE = "run.json"
MEMORY_LIMIT = "2GB"
SAMPLE_CHARACTERS = 4_000  # of a sampled text; more is shown nowhere


@dataclass(frozen=True)
class Fate:
    """What became of one input record: its row, and its lines in the duplicate ledger."""

    outcome: Literal["kept", "removed", "quarantined"]
    row: dict[str, Any]
    ledger: list[dict[str, Any]]


@dataclass(frozen=True)
class RuleCount:
    """How often a threshold decides: first of all rules, at all, and as the only threshold."""

    threshold: StoredThreshold
    first: int
    fails: int
    only: int


def open_run(path: Path | str, *, memory: str = MEMORY_LIMIT) -> Catalog:
    """Open a finished run's folder (`runs/<run>`).

    memory: DuckDB's limit; nothing is spilled to disk.
    Raises UsageError when there is no finished run, or its step outputs are gone.
    """
    directory = Path(path)
    try:
        info = orjson.loads((directory / RUN_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        if (directory / "plan.json").exists():
            raise UsageError(f"{directory}: this run is not finished", "run `curate run` again: it resumes") from None
        raise UsageError(
            f"{directory}: no run here", "give the folder of a finished run, e.g. runs/web-demo (see `curate status`)"
        ) from None
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{directory / RUN_FILE}: damaged ({error})", "run `curate run` again") from None
    files = {name: _parquet_files(directory / name) for name in VIEWS}
    for name, point in sorted(door("curate.views").items()):
        find: Callable[[Path], dict[str, list[Path]]] = point.load()
        for view, paths in find(directory).items():
            if view in files:
                raise UsageError(f"the extension {name!r} wants a view {view!r}, which exists", "uninstall it")
            files[view] = [_real(one) for one in paths]
    return Catalog(directory, info, files, memory)


def _parquet_files(folder: Path) -> list[Path]:
    return [_real(one) for one in sorted(folder.glob("*.parquet"))] if folder.is_dir() else []


def _real(path: Path) -> Path:
    """Where a link leads: DuckDB compares real paths with the allowed ones."""
    try:
        return path.resolve(strict=True)
    except FileNotFoundError:
        raise UsageError(
            f"{path}: the step output it points to is gone", "run `curate run` again: it makes what is missing"
        ) from None


class Catalog:
    """A finished run, open for queries; close it, or use it as a context manager."""

    def __init__(self, directory: Path, info: dict[str, Any], files: dict[str, list[Path]], memory: str) -> None:
        self.directory, self.info, self.files = directory, info, files
        self._database = locked_database(files, memory)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Release the database; the run's files are only read."""
        self._database.close()

    def sql(self, query: str, parameters: list[Any] | None = None) -> pa.Table:
        """The result of one SELECT statement over the views, as an Arrow table.

        Raises UsageError for anything but one SELECT, for SQL errors, for access outside the run, and
        when the result needs more memory than the limit.
        """
        try:
            statements = self._database.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError("only one SELECT statement at a time", "views: " + ", ".join(sorted(self.files)))
            return self._database.sql(query, params=parameters).to_arrow_table()
        except duckdb.OutOfMemoryException as error:
            raise UsageError(f"out of memory: {error}", "select fewer columns or rows, or raise the limit") from None
        except duckdb.Error as error:
            raise UsageError(str(error), "views: " + ", ".join(sorted(self.files))) from None

    def rows(self, query: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
        """The result of `sql` as one dictionary a row."""
        found: list[dict[str, Any]] = self.sql(query, parameters).to_pylist()
        return found

    @cached_property
    def columns(self) -> dict[str, list[str]]:
        """The columns of each view."""
        return {view: self.sql(f'select * from "{view}" limit 0').column_names for view in self.files}

    @cached_property
    def thresholds(self) -> list[StoredThreshold]:
        """The thresholds of the run, in the order in which they were applied."""
        return [StoredThreshold.from_json(row) for row in self.info.get("thresholds", [])]

    def funnel(self) -> pa.Table:
        """source, outcome (kept | removed | quarantined), rule (or quarantine reason), records, bytes of text."""
        return self.sql(
            """select source, 'kept' as outcome, null::varchar as rule, count(*) as records,
                      sum(byte_count)::bigint as bytes from documents group by source
               union all
               select source, 'removed', removed_by, count(*), sum(byte_count)::bigint
               from removed group by source, removed_by
               union all
               select source, 'quarantined', reason, count(*), null::bigint from quarantine group by source, reason
               order by all"""
        )

    def samples(self, rule: str | None, n: int, seed: int = 0) -> pa.Table:
        """Up to n documents that `rule` (None: each rule) removed, at random but the same ones every time.

        The n whose doc_key is nearest, by xor, to the seed's point: keys are uniform hashes, so this is a
        fair draw on every machine.  Columns: removed_by id source url language removed_detail characters
        text (its first SAMPLE_CHARACTERS, unmasked: show it through `curation.text.display`).
        """
        return self.sql(
            f"""with chosen as (
                    select id, doc_key, xor(doc_key, $1::ubigint) as distance from removed
                    where $2 is null or removed_by = $2
                    qualify row_number() over (partition by removed_by order by distance, id) <= $3
                )
                select removed_by, id, source, url, language, removed_detail, length(text) as characters,
                       left(text, {SAMPLE_CHARACTERS}) as text
                from removed join chosen using (doc_key, id) order by removed_by, distance, id""",
            [hash64(f"catalog samples {seed}"), rule, n],
        )

    def document(self, id: str) -> Fate:
        """The fate of one record: kept, removed, or quarantined (id `<source>/<file>#<record>`).

        Raises UsageError when no record of the run has this id.
        """
        ledger = self.rows("select * from clusters where removed_id = $1 or kept_id = $1 order by all", [id])
        for outcome, view in (("kept", "documents"), ("removed", "removed")):
            if found := self.rows(f"select * from {view} where id = $1", [id]):
                return Fate(outcome, found[0], ledger)  # type: ignore[arg-type]
        at = "source || '/' || file || coalesce('#' || record, '')"
        if found := self.rows(f"select * from quarantine where {at} = $1", [id]):
            return Fate("quarantined", found[0], [])
        near = self.rows(
            "select id from (select id from documents union all select id from removed) "
            "where contains(id, $1) order by id limit 1", [id],
        )  # fmt: skip
        raise UsageError(f"no record {id!r} in this run", f"did you mean {near[0]['id']!r}?" if near else None)

    def rule_counts(self) -> list[RuleCount]:
        """For every threshold: documents it was the first to remove, it fails at all, only it fails."""
        if not self.thresholds or not self._measured:
            return []
        fails = ", ".join(f"coalesce({one.fails}, false) as f{i}" for i, one in enumerate(self.thresholds))
        total = " + ".join(f"f{i}::integer" for i in range(len(self.thresholds)))
        counts = ", ".join(
            f"count(*) filter (f{i}) as fails{i}, count(*) filter (f{i} and hits = 1) as only{i}"
            for i in range(len(self.thresholds))
        )
        row = self.rows(
            f"with failed as (select {fails} from {self._measured}), "
            f"counted as (select *, {total} as hits from failed) select {counts} from counted"
        )[0]
        first = Counter[str]()
        for found in self.rows("select removed_by, source, count(*) as n from removed group by all"):
            for one in self.thresholds:
                if one.key == found["removed_by"] and one.looks_at(found["source"]):
                    first[one.label] += found["n"]
        return [
            RuleCount(one, first[one.label], row[f"fails{i}"], row[f"only{i}"]) for i, one in enumerate(self.thresholds)
        ]

    def histogram(self, threshold: StoredThreshold) -> Histogram | None:
        """Counts around a threshold, over kept and removed documents; None when no document has a value."""
        return self.histograms([threshold])[0]

    def histograms(self, thresholds: list[StoredThreshold]) -> list[Histogram | None]:
        """The `histogram` of each threshold, from two scans of the statistics in all."""
        if not self._measured or not thresholds:
            return [None] * len(thresholds)
        extremes = ", ".join(
            f"max({one.general}) as largest{i}, count(*) - count({one.general}) as undefined{i}"
            for i, one in enumerate(thresholds)
        )
        facts = self.rows(f"select {extremes} from {self._measured}")[0]
        scales = [choose_scale(one, facts[f"largest{i}"] or 0.0) for i, one in enumerate(thresholds)]
        columns = ", ".join(f'{scale.bin(thresholds[i])} as "{i}"' for i, scale in enumerate(scales))
        found: dict[int, Counter[tuple[int, bool]]] = {}
        for row in self.rows(  # unpivot leaves out the nulls: documents without a value
            f"""with binned as (select kept, {columns} from {self._measured})
                select name::integer as i, bin, kept, count(*) as n
                from (unpivot binned on columns(* exclude (kept)) into name name value bin) group by all"""
        ):
            found.setdefault(row["i"], Counter())[row["bin"], row["kept"]] = row["n"]
        return [
            Histogram(one, scales[i], scales[i].bins(one, found[i]), facts[f"largest{i}"], facts[f"undefined{i}"])
            if i in found
            else None
            for i, one in enumerate(thresholds)
        ]

    @cached_property
    def _measured(self) -> str:
        """SQL for all documents with statistics, kept or removed; empty where there are none."""
        columns = sorted({one.column for one in self.thresholds})
        parts = []
        for view, kept in (("documents", "true"), ("removed", "false")):
            there = [identifier(name) for name in columns if name in self.columns[view]]
            if there:
                filled = " or ".join(f"{name} is not null" for name in there)
                parts.append(f"select source, language, {', '.join(there)}, {kept} as kept from {view} where {filled}")
        return f"({' union all by name '.join(parts)})" if parts else ""
