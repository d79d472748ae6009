"""Promises of the `pack:` section: a run ends in shards that verify, and every document can be found in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from curation.catalog import open_run
from curation.commands.trace import trace_document
from curation.pipeline.config import load, sections
from curation.pipeline.errors import UsageError
from curation.pipeline.plan import build
from curation.pipeline.run import run
from packing.layout import files
from packing.layout.manifest import Manifest
from packing.run_report import packed
from packing.trace import pieces, trace
from packing.verify.directory import verify
from tests.tokenizer.vocabularies import small_vocabulary
from tokenizer.encoding.encode import open_encoder
from tokenizer.formats.export import export

WORDS = ["river", "sand", "hills", "towns", "records", "floods", "sea", "along", "kept", "carries", "from", "and"]
PACK = {"sequence_length": 64, "min_fragment": 4}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of 40 documents, and a tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    for source in ("notes", "tales"):
        with open(folder / f"{source}.jsonl", "w") as file:
            for i in range(40):
                words = [WORDS[(i * (k + 1) + k * k) % len(WORDS)] for k in range(3 + i * (1 + (source == "tales")))]
                text = f"{source} {i if i % 9 else 0}: " + " ".join(words if i % 9 else WORDS) if i != 7 else ""
                file.write(json.dumps({"id": f"{i}", "text": text}) + "\n")
    export(small_vocabulary(), folder / "tokenizer")
    return folder


def write(base: Path, name: str, workers: int = 1, tokenizer: bool = True, **pack: Any) -> Path:
    config: dict[str, Any] = {
        "run": name,
        "workdir": str(base / f"runs-{name}"),
        "seed": 3,
        "executor": {"kind": "local", "workers": workers},
        "sources": {
            source: {"read": "jsonl", "paths": [f"{source}.jsonl"], "text": "text", "id": "id"}
            for source in ("notes", "tales")
        },
        "dedup": {"exact": {}},
        "pack": {**PACK, **pack},
    }
    if tokenizer:
        config["tokenizer"] = {"path": "tokenizer"}
    path = base / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


@dataclass(frozen=True)
class Finished:
    """A run, its summary and its shards."""

    folder: Path
    summary: dict[str, Any]
    manifest: Manifest

    @property
    def shards(self) -> Path:
        return self.folder / "shards"


def executed(path: Path) -> Finished:
    config = load(path, [])
    summary = run(config, quiet=True)
    folder = Path(config.core.workdir) / config.core.run
    return Finished(folder, summary, Manifest.read(folder / "shards"))


@pytest.fixture(scope="module")
def one(base: Path) -> Finished:
    return executed(write(base, "one"))


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
    for told in ("padding", "notes", "Pieces", "Farthest", "64 ranks", "Dropped, empty"):
        assert told in chapter.body


def test_neither_workers_nor_a_second_run_change_it_and_another_length_encodes_nothing_again(
    one: Finished, base: Path
) -> None:
    assert executed(write(base, "two", workers=2)).manifest.root == one.manifest.root
    path = write(base, "one", sequence_length=128)
    again = executed(path)
    ran = {step["step"] for step in again.summary["steps"] if step["reused"] < step["tasks"]}
    assert ran == {"pack"} and again.manifest.sequence_length == 128
    assert executed(write(base, "one")).manifest.root == one.manifest.root


def test_exports_stand_beside_the_shards(one: Finished, base: Path) -> None:
    from packing.export.registry import FORMATS as KNOWN
    from packing.step import FORMATS

    assert set(FORMATS) == set(KNOWN)
    made = executed(write(base, "exported", export=["megatron", "parquet"]))
    assert made.manifest.root == one.manifest.root
    rows = sum(path.stat().st_size for path in (made.folder / "shards-megatron").glob("*.bin")) // (4 * 64)
    assert rows == sum(queue.rows for queue in one.manifest.queues)
    assert any((made.folder / "shards-parquet").rglob("*.parquet"))
    written = (made.folder / "shards-megatron" / "data_args.txt").read_text()
    assert ".tmp" not in written


@pytest.mark.parametrize(
    ("pack", "told"),
    [
        ({"weights": {"tales": 1.0, "notes": 9.0}}, r"'notes' needs \d\.\d epochs"),
        ({"weights": {"tale": 1.0}}, "tales"),
        ({"eos_token": "<|nope|>"}, "eos_token"),
        ({"queues": {"x": ["tales"]}}, "'notes' stands in no queue"),
    ],
)
def test_what_cannot_be_packed_is_told(base: Path, pack: dict[str, Any], told: str) -> None:
    from curation.pipeline.errors import CurateError

    with pytest.raises(CurateError, match=told):
        executed(write(base, "bad", **pack))


@pytest.mark.parametrize(
    ("pack", "told"),
    [
        ({"sequence_length": 1}, "sequence_length"),
        ({"bos": "always"}, "bos"),
        ({"export": ["megatronn"]}, "megatron"),
        ({"stages": [{"name": "a"}], "tokens": 5}, "stages"),
        ({"queues": {"a": ["tales"], "b": ["tales"]}}, "two queues"),
        ({"mix": "nowhere"}, "no mix table"),
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
