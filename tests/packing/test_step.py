"""Promises of the `pack:` section: a run ends in shards that verify, and every document can be found in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.catalog import open_run
from curation.commands.trace import trace_document
from curation.pipeline.config import load, sections
from curation.pipeline.errors import UsageError
from curation.pipeline.plan import build
from packing.layout import files
from packing.run_report import packed
from packing.trace import pieces, trace
from packing.verify.directory import verify
from tests.packing.runs import EXPORTED, Finished, executed, write
from tokenizer.encoding.encode import open_encoder


def test_it_comes_after_the_documents() -> None:
    order = list(sections())
    assert order.index("tokenizer") < order.index("_documents") < order.index("pack")


def test_a_run_ends_in_shards_that_verify(one: Finished) -> None:
    assert verify(one.shards).faults == []
    rows = open_run(one.folder).rows("select id, token_count from documents")
    packable = [row["token_count"] + 1 for row in rows if row["token_count"]]
    ledger = one.manifest.ledger
    assert ledger["documents"]["in"] == len(rows) and ledger["documents"]["packed"] == len(packable)
    assert ledger["documents"]["dropped"] == {"empty": len(rows) - len(packable)}
    assert ledger["tokens"]["in"] == ledger["tokens"]["packed"] == sum(packable)
    assert [queue.name for queue in one.manifest.queues] == ["notes", "tales"]


def test_every_document_is_where_trace_says(one: Finished, base: Path) -> None:
    catalog = open_run(one.folder)
    encoder = open_encoder(base / "tokenizer")
    rows = catalog.rows("select id, doc_key, text from documents where length(text) > 200 order by id limit 5")
    import pyarrow as pa

    for row in rows:
        ids, _ = encoder.encode(pa.array([row["text"]]))
        expected = [*ids.tolist(), one.manifest.eos_id]
        found = list(pieces(one.shards, one.manifest, row["doc_key"]))
        assert len(found) > 1  # longer than a row
        for piece in found:
            line = files.map_rows(one.shards, piece["shard"], 64)[piece["seq"]]
            begin = piece["doc_offset"]
            assert line[piece["token"] :][: piece["len"]].tolist() == expected[begin : begin + piece["len"]]
            assert files.map_order(one.shards, 0)[piece["sequence"]] == ["notes", "tales"].index(piece["queue"])
        (chapter,) = trace(catalog, catalog.document(row["id"]))
        assert chapter[0] == "packing" and len(chapter[1]) == len(found)


def test_trace_tells_shard_sequence_and_token_offset(one: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    trace_document(str(one.folder), "tales/39", as_json=True)
    told = json.loads(capsys.readouterr().out)["packing"]
    assert any("shard s0000" in value and "from token" in value and "sequence" in value for value in told.values())
    trace_document(str(one.folder), "notes/7", as_json=True)
    assert json.loads(capsys.readouterr().out)["packing"] == {"dropped": "empty"}


def test_the_report_has_a_chapter_on_packing(one: Finished) -> None:
    chapter = packed(open_run(one.folder))
    assert chapter is not None and one.manifest.root in chapter.body
    for told in ("padding", "notes", "Pieces", "Farthest", "64 ranks", "Dropped, empty", "place in the order"):
        assert told in chapter.body


def everything(folder: Path) -> dict[str, bytes]:
    """What a run shows of its packing, to the last byte."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for view in ("shards", *(f"shards-{one}" for one in EXPORTED))
        for path in sorted((folder / view).rglob("*"))
        if path.is_file()
    }


def test_no_byte_depends_on_the_folder_or_the_workers(one: Finished, base: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copytree(base, tmp_path / "a longer name", ignore=shutil.ignore_patterns("runs")))
    again = executed(write(elsewhere, "one", workers=2, export=EXPORTED))
    assert again.summary["digest"] == one.summary["digest"]
    first, second = everything(one.folder), everything(again.folder)
    assert first.keys() == second.keys() and len(first) >= 20
    assert [name for name in first if first[name] != second[name]] == []
    for name, content in first.items():
        assert str(base).encode() not in content, name


def test_exports_stand_beside_the_shards(one: Finished) -> None:
    from packing.export.registry import FORMATS as KNOWN
    from packing.step import FORMATS as PLANNED

    assert set(PLANNED) == set(KNOWN)
    rows = sum(path.stat().st_size for path in (one.folder / "shards-megatron").glob("*.bin")) // (4 * 64)
    assert rows == sum(queue.rows for queue in one.manifest.queues)
    assert any((one.folder / "shards-parquet").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("pack", "told"),
    [
        ({"sequence_length": 1}, "sequence_length"),
        ({"bos": "always"}, "bos"),
        ({"export": ["megatronn"]}, "megatron"),
        ({"stages": [{"name": "a"}], "tokens": 5}, "stages"),
        ({"queues": {"a": ["tales"], "b": ["tales"]}}, "two queues"),
        ({"mix": "nowhere"}, "no mix table"),
        ({"method": "crop"}, "long: truncate"),
        ({"method": "concat", "bos": "doc"}, "begin-of-document"),
        ({"method": "buckets", "sequence_length": 100}, "powers of two"),
        ({"method": "buckets", "sequence_length": 128}, "longer than a row"),
        ({"method": "bfd", "stages": [{"name": "a"}, {"name": "b", "sequence_length": 128}]}, "several lengths"),
        ({"stages": [{"name": "a", "lengths": {"huge": 1.0}}]}, "short, medium, long"),
        ({"stages": [{"name": "a", "lengths": {"long": 0.0}}]}, "more than 0"),
        ({"stages": [{"name": "a", "transition": 5}]}, "nothing comes before"),
        ({"stages": [{"name": "a", "tail": {"queue": "x", "share": 1.5}}]}, "share"),
        ({"stages": [{"name": "a"}, {"name": "a"}]}, "one name"),
        ({"stages": [{"name": str(i), "sequence_length": 64 + i} for i in range(5)]}, "4 lengths are the most"),
        ({"length_bounds": [9, 8]}, "must rise"),
    ],
)
def test_bad_sections_are_refused_before_anything_runs(base: Path, pack: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        build(load(write(base, "refused", **pack), []))


def test_a_tokenizer_is_needed(base: Path) -> None:
    with pytest.raises(UsageError, match="tokenizer"):
        build(load(write(base, "none", tokenizer=False), []))


@pytest.fixture
def size() -> Callable[[Any], int]:
    from packing.config import PackConfig

    return lambda tokens: PackConfig(tokens=tokens, weights={"a": 1.0}).tokens or 0


def test_sizes_are_numbers_or_words(size: Callable[[Any], int]) -> None:
    assert [size(some) for some in (5, "20M", "1.5B", "3k", "2T")] == [5, 20_000_000, 1_500_000_000, 3_000, 2 * 10**12]


def test_the_configs_of_the_documentation_are_valid() -> None:
    import yaml

    from packing.config import PackConfig

    page = (Path(__file__).parents[2] / "docs/packing.md").read_text()
    blocks = [yaml.safe_load(one.partition("```")[0]) for one in page.split("```yaml\n")[1:]]
    configs = [PackConfig.model_validate(one["pack"]) for one in blocks]
    assert [len(one.sets(0)) for one in configs] == [1, 4]
    assert [rules.before and rules.before.name for rules in configs[1].sets(0)] == [None, "main", "128K", "512K"]
