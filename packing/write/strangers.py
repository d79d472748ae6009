"""Which documents a mix table lists that are not packed here: for the error, by name where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curation.pipeline.barrier import spill_database
from curation.text.display import name as shown
from packing.write.occurrences import mix_files
from packing.write.unit import DOCUMENTS

TOLD = 5


def strangers(mix: Path, units: Sequence[Path], removed: Sequence[Path], scratch: Path) -> str:
    """How many occurrences, and the first of their documents; `removed`: Parquet with id, doc_key."""
    scratch.mkdir(parents=True, exist_ok=True)
    with spill_database(scratch) as database:
        database.execute(f"create view listed as from read_parquet({_list(mix_files(mix))})")
        _view(database, "kept", [unit / DOCUMENTS for unit in units])
        _view(database, "removed", list(removed))
        missing = "from listed where doc_key not in (select doc_key from kept)"
        (count,) = database.execute(f"select count(*) {missing}").fetchone() or (0,)
        found = database.execute(
            f"select m.doc_key, min(r.id) from (select distinct doc_key {missing}) m"
            " left join removed r using (doc_key)"
            f" group by m.doc_key order by m.doc_key limit {TOLD}"
        ).fetchall()
    if not count:
        return "documents of which the units know other occurrences: it was changed meanwhile"
    names = [f"document {key:#018x}" + (f" ({shown(one)!r}, removed)" if one else "") for key, one in found]
    more = ", …" if count > len(found) else ""
    return f"{count:,} occurrences of documents that are not among those kept: {', '.join(names)}{more}"


def _view(database: object, name: str, paths: Sequence[Path]) -> None:
    empty = "select null::ubigint as doc_key, null::varchar as id where false"
    source = f"select doc_key::ubigint as doc_key, id from read_parquet({_list(paths)})" if paths else empty
    database.execute(f"create view {name} as {source}")  # type: ignore[attr-defined]


def _list(paths: Sequence[Path]) -> str:
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths) + "]"
