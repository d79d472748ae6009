"""`curate inspect`, `sql` and `report`: looking at a finished run."""

from __future__ import annotations

from typing import Any

from curation.catalog import Catalog, open_run
from curation.commands.output import find_run, print_json, print_line, print_table
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from curation.pipeline.registry import suggest
from curation.text.display import block, line, name, prefix, raw

ROWS_SHOWN = 1_000


def inspect_run(
    text: str, *, rule: str | None, kept: bool, quarantine: bool, n: int, seed: int, chars: int, as_json: bool
) -> None:
    """Sampled documents, the same ones for the same seed; texts masked, clipped and safe to show."""
    with open_run(find_run(text)) as catalog:
        if quarantine:
            rows = catalog.rows("select * from quarantine order by source, file, record limit $1", [n])
            shown = [{**row, "sample": raw(row["sample"] or b"", chars), "detail": line(row["detail"])} for row in rows]
        elif kept:
            rows = catalog.rows(
                "select id, source, url, text from documents order by xor(doc_key, $1::ubigint), id limit $2",
                [hash64(f"kept {seed}"), n],
            )
            shown = [{**row, "text": block(row["text"] or "", chars)} for row in rows]
        else:
            if rule is not None:
                _check_rule(rule, catalog)
            rows = catalog.samples(rule, n, seed).to_pylist()
            shown = [{**row, "text": prefix(row["text"] or "", row.pop("characters") or 0, chars)} for row in rows]
    shown = [{key: _safe(key, value) for key, value in row.items()} for row in shown]
    if as_json:
        print_json(shown)
        return
    for row in shown:
        long_text = row.pop("text", None)
        if long_text is None:
            long_text = row.pop("sample", "")
        head = row.pop("id", None) or f"{row.get('source')}/{row.get('file')}#{row.get('record')}"
        print_line(name(str(head)))
        print_line("  " + "  ".join(f"{key}={value}" for key, value in row.items() if value is not None))
        print_line("  | " + long_text.replace("\n", "\n  | "))
        print_line()
    more = f"; another sample: --seed {seed + 1}" if len(shown) == n and not quarantine else ""
    print_line(f"{len(shown)} shown{more}")


def _safe(key: str, value: Any) -> Any:
    """Names stay whole, so that they can be looked up; everything else that is text is masked as well."""
    if not isinstance(value, str) or key in ("text", "sample", "detail"):
        return value
    return name(value) if key in ("id", "source", "file", "removed_by", "reason") else line(value)


def _check_rule(rule: str, catalog: Catalog) -> None:
    """A rule that removed nothing is fine; one that the run does not know is a mistake."""
    known = {*catalog.info["removed_by"], *(threshold.key for threshold in catalog.thresholds)}
    if rule not in known:
        raise UsageError(f"this run has no rule {rule!r}", suggest(rule, sorted(known)))


def query_run(text: str, query: str, *, as_json: bool) -> None:
    """Print the result of one SELECT statement."""
    with open_run(find_run(text)) as catalog:
        table = catalog.sql(query)
    if as_json:
        print_json(table.to_pylist())
        return
    rows = table.slice(0, ROWS_SHOWN).to_pylist()
    texts = [field.name for field in table.schema if field.name in ("text", "metadata", "url", "sample", "detail")]
    print_table(table.column_names, [list(row.values()) for row in rows], texts=texts)
    if table.num_rows > ROWS_SHOWN:
        print_line(f"{ROWS_SHOWN:,} of {table.num_rows:,} rows; use --json or a limit")


def write_report(text: str, *, samples: bool, as_json: bool) -> None:
    """Write report.html and say where."""
    from curation.report import write

    path = write(find_run(text), samples=samples)
    if as_json:
        print_json({"report": str(path)})
    else:
        print_line(f"report  {path}")
