"""Promises of the incremental index: a later crawl loses what is like the old, and nothing unfit is accepted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from curation.dedup.export import export_index
from curation.dedup.index import HEADER, settings
from curation.dedup.presets import PRESETS
from curation.pipeline.config import load
from curation.pipeline.errors import ConfigError, CurateError, UsageError
from curation.pipeline.hashing import hash64
from curation.pipeline.plan import Plan, build
from curation.text.shingles import shingles_reference
from tests.curation.dedup.test_minhash import Outcome, changed, in_this_process, join, prose, write_config

OLD = {"a": join(prose(1)), "b": join(prose(2)), "b-copy": join(changed(prose(2), 1)), "c": join(prose(3)), "d": "!"}


def old_index(folder: Path, texts: dict[str, str] = OLD, name: str = "old") -> Path:
    """The index of a run over `texts` whose source is called like the run."""
    (folder / name).mkdir()
    config = write_config(folder / name, {name: texts}, name=name)
    target = folder / f"index-{name}"
    export_index(Plan.read(_run(config) / "plan.json"), target)
    return target


def _run(config: Path) -> Path:
    build(load(config, [])).write()
    return in_this_process(config)


def dedup_against(
    folder: Path, texts: Any, indices: list[Path], name: str = "new", *, exact: bool = True, **more: Any
) -> Outcome:
    """A run held against indices."""
    sources = texts if isinstance(next(iter(texts.values())), dict) else {name: texts}
    (folder / name).mkdir()
    minhash = {"against": [str(one) for one in indices], **more}
    return Outcome(_run(write_config(folder / name, sources, minhash, exact=exact, name=name)))


def test_what_is_like_an_old_document_is_removed_with_its_id(tmp_path: Path) -> None:
    new = {
        "same": OLD["a"],
        "longer": join([*prose(2), "with", "more", "words"]),
        "fresh": join(prose(9)),
        "fresh-copy": join(changed(prose(9), 1)),
        "fresh-same": join(prose(9)),
    }
    found = dedup_against(tmp_path, new, [old_index(tmp_path)])
    assert found.ids() == {"fresh"}
    assert found.removed["new/same"]["removed_detail"] == "old/a"
    assert found.removed["new/longer"]["removed_detail"] == "old/b", "old documents stay, whatever is longer"
    assert found.removed["new/same"]["removed_by"] == "dedup.minhash"
    assert found.removed["new/same"]["cluster"] == hash64("old/a")
    ledger = {row["removed_id"]: row for row in found.ledger if row["rule"] == "dedup.minhash"}
    assert ledger["new/same"]["kept_id"] == "old/a" and ledger["new/same"]["jaccard"] == 1.0
    a, b = set(shingles_reference(new["longer"])), set(shingles_reference(OLD["b"]))
    assert ledger["new/longer"]["jaccard"] == len(a & b) / len(a | b)
    assert found.kept["new/fresh"]["duplicate_count"] == 3


def test_exact_copies_follow_to_the_old_document(tmp_path: Path) -> None:
    found = dedup_against(tmp_path, {"x": OLD["a"], "y": OLD["a"], "z": join(prose(4))}, [old_index(tmp_path)])
    assert found.ids() == {"z"}
    assert {row["cluster"] for row in found.removed.values()} == {hash64("old/a")}
    assert {(r["removed_id"], r["kept_id"]) for r in found.ledger} >= {("new/x", "old/a"), ("new/y", "old/a")}


def test_in_steps_the_same_texts_are_kept_as_at_once(tmp_path: Path) -> None:
    crawls = [{f"{crawl}-{i}": join(changed(prose(i), 2 * crawl, crawl)) for i in range(8)} for crawl in range(3)]
    crawls[2]["2-new"] = join(prose(99))
    first = old_index(tmp_path, crawls[0], "one")
    kept = dedup_against(tmp_path, crawls[1], [first], "two").ids()
    assert kept == set()
    second = tmp_path / "index-two"
    export_index(Plan.read(tmp_path / "two" / "runs" / "two" / "plan.json"), second)
    assert dedup_against(tmp_path, crawls[2], [first, second], "three").ids() == {"2-new"}


def test_a_scope_of_source_holds_for_indices(tmp_path: Path) -> None:
    index = old_index(tmp_path)
    sources = {"old": {"n1": OLD["a"]}, "other": {"n2": OLD["a"]}}
    assert dedup_against(tmp_path, sources, [index], "within", exact=False, scope="source").ids() == {"n2"}


def test_the_old_texts_are_not_needed_and_the_folder_may_move(tmp_path: Path) -> None:
    index = old_index(tmp_path)
    shutil.rmtree(tmp_path / "old")
    new = {"x": OLD["a"], "y": join(prose(4))}
    (tmp_path / "new").mkdir()
    config = write_config(tmp_path / "new", {"new": new}, {"against": [str(index)]})
    before = build(load(config, [])).fingerprint
    assert Outcome(_run(config)).ids() == {"y"}
    index.rename(tmp_path / "elsewhere")
    assert build(load(config, [f"dedup.minhash.against=[{tmp_path / 'elsewhere'}]"])).fingerprint == before


def _edit_header(index: Path, change: Callable[[dict[str, Any]], None]) -> None:
    header = orjson.loads((index / HEADER).read_bytes())
    change(header)
    (index / HEADER).write_bytes(orjson.dumps(header))


def _part(index: Path) -> Path:
    return max(index.glob("part-*"), key=lambda path: path.stat().st_size)


REFUSALS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another format": (lambda i: _edit_header(i, lambda h: h.update(format=2)), "index format 2, this curate reads 1"),
    "another shingle version": (lambda i: _edit_header(i, lambda h: h["settings"].update(shingle_version=0)),
                                "shingle_version = 0, this run has"),
    "another seed": (lambda i: _edit_header(i, lambda h: h["settings"].update(seed="x")), "seed = x, this run has"),
    "other permutations": (lambda i: _edit_header(i, lambda h: h["settings"].update(permutations="0")), "permutations"),
    "another preset": (lambda i: _edit_header(i, lambda h: h["settings"].update(bands=14)), "preset=fineweb-14x8"),
    "no header": (lambda i: (i / HEADER).unlink(), "never finished"),
    "a damaged header": (lambda i: (i / HEADER).write_text("{"), "damaged"),
    "another kind of JSON": (lambda i: (i / HEADER).write_text("[]"), "no header of"),
    "a missing part": (lambda i: _part(i).unlink(), "is missing"),
    "a truncated part": (lambda i: _part(i).write_bytes(_part(i).read_bytes()[:-9]), "truncated"),
    "nothing there": (lambda i: shutil.rmtree(i), "no index there"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSALS)
def test_an_unfit_index_is_refused_before_the_run_with_a_remedy(tmp_path: Path, kind: str) -> None:
    index = old_index(tmp_path)
    spoil, reason = REFUSALS[kind]
    spoil(index)
    config = write_config(tmp_path, {"new": {"x": "y"}}, {"against": [str(index)]}, name="new")
    with pytest.raises(UsageError, match=reason) as refusal:
        build(load(config, []))
    assert "→" in str(refusal.value) and "dedup-index" in str(refusal.value)


def test_a_part_with_changed_bytes_is_refused_when_it_is_read(tmp_path: Path) -> None:
    index = old_index(tmp_path)
    data = bytearray(_part(index).read_bytes())
    data[len(data) // 2] ^= 1
    _part(index).write_bytes(data)
    with pytest.raises(CurateError, match=r"damaged[\s\S]*dedup-index"):
        dedup_against(tmp_path, {"x": OLD["a"]}, [index])


def test_ids_that_exist_already_are_refused(tmp_path: Path) -> None:
    index = old_index(tmp_path)
    with pytest.raises(
        CurateError, match=r"'old/b' is in .*index-old already[\s\S]*→ give the new documents other ids"
    ):
        dedup_against(tmp_path, {"old": {"b": join(prose(7)), "z": join(prose(8))}}, [index])
    with pytest.raises(CurateError, match="already"):
        dedup_against(tmp_path, {"x": join(prose(7))}, [index, index], "twice")


def test_an_index_is_written_of_finished_runs_only_and_never_over_another(tmp_path: Path) -> None:
    index = old_index(tmp_path)
    plan = Plan.read(tmp_path / "old" / "runs" / "old" / "plan.json")
    with pytest.raises(UsageError, match="exists already"):
        export_index(plan, index)
    shutil.rmtree(tmp_path / "old" / "runs" / "documents")
    with pytest.raises(UsageError, match=r"not finished[\s\S]*curate run"):
        export_index(plan, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_edit_similarity_needs_texts_that_an_index_has_not(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"a": "x"}, {"against": ["i"], "edit_similarity": 0.8})
    with pytest.raises(ConfigError, match="an index has not"):
        load(config, [])


def test_the_format_is_pinned(tmp_path: Path) -> None:
    index = old_index(tmp_path)
    header = json.loads((index / HEADER).read_text())
    assert list(header) == ["kind", "format", "settings", "parts"]
    assert header["settings"] == settings(PRESETS["wide-32x8"]) == SETTINGS
    assert [list(part) for part in header["parts"]] == [["file", "source", "documents", "bytes", "digest"]] * 2
    tables = [pq.read_table(index / part["file"]) for part in header["parts"]]
    assert tables[0].schema.names == [
        "id",
        "doc_key",
        "shingle_count",
        "shingles",
        *(f"band_{i:03}" for i in range(32)),
    ]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["id"] for row in rows] == ["old/a", "old/b", "old/c"], "what was removed or has no word is not in it"
    one = rows[0]
    assert one["shingles"] == sorted(set(shingles_reference(OLD["a"]))) and one["shingle_count"] == len(one["shingles"])
    assert (one["doc_key"], one["shingles"][0], one["band_000"], one["band_031"]) == GOLDEN


SETTINGS = {
    "bands": 32,
    "rows": 8,
    "ngram": 5,
    "sketch_version": 1,
    "shingle_version": 1,
    "seed": "curate minhash permutation",
    "permutations": "28c67c310c31e0690521b6c8425e4dd3",
}
GOLDEN = (9463555802027693784, 7550657, 9193100063399980201, 8692671944317201255)
