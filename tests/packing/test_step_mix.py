"""Promises of `pack:` with a mix table, and with stages whose rows have other lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.catalog import open_run
from curation.commands.trace import trace_document
from curation.pipeline.context import TaskContext
from curation.pipeline.errors import CurateError, UsageError
from curation.pipeline.step import PlanBuilder, Step
from curation.pipeline.task import Input, Shard, Task
from packing.config import PackConfig
from packing.layout import files
from packing.layout.manifest import Manifest
from packing.run_report import packed
from packing.step import PACKS, SETS, encode_documents, pack, plan
from packing.trace import pieces
from packing.verify.directory import verify
from tests.packing.runs import Finished, executed, write
from tests.packing.write.test_order import mix_table

QUEUES = ["often", "seldom"]


def listed(one: Finished) -> list[dict[str, Any]]:
    """A mix: every third document not at all, others once or three times, in an order of its own."""
    kept = open_run(one.folder).rows("select doc_key, token_count from documents where token_count > 0 order by id")
    return [
        {"doc_key": row["doc_key"], "copy": copy, "order_key": (37 * number + 11 * copy) % 101 / 101, "queue": copy % 2}
        for number, row in enumerate(kept)
        for copy in range(1, 1 + (0, 1, 3)[number % 3])
    ]


@pytest.fixture(scope="module")
def mixed(base: Path, one: Finished) -> tuple[Finished, list[dict[str, Any]]]:
    rows = listed(one)
    mix_table(base / "mix", rows, QUEUES)
    return executed(write(base, "mixed", mix="mix", window=4)), rows


def test_copies_order_and_queues_arrive_as_listed(mixed: tuple[Finished, list[dict[str, Any]]]) -> None:
    one, rows = mixed
    assert verify(one.shards).faults == []
    manifest = one.manifest
    assert [queue.name for queue in manifest.queues] == QUEUES
    found: dict[int, list[tuple[int, int]]] = {0: [], 1: []}
    for shard in manifest.shards:
        table = pq.read_table(files.fragment_path(one.shards, shard.name)).to_pylist()
        found[shard.queue] += [(row["doc_key"], row["copy"]) for row in table if row["flags"] & files.FIRST]
    for queue, some in found.items():
        mine = sorted((row["order_key"], row["doc_key"], row["copy"]) for row in rows if row["queue"] == queue)
        place = {(key, copy): number for number, (_, key, copy) in enumerate(mine)}
        assert sorted(some) == sorted(place)
        away = np.abs(np.array([place[pair] for pair in some]) - np.arange(len(some)))
        assert away.max() <= manifest.ledger["order"]["largest_displacement"] <= 2 * 4


def test_trace_tells_every_copy(
    mixed: tuple[Finished, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    one, rows = mixed
    key = next(row["doc_key"] for row in rows if row["copy"] == 3)
    (row,) = open_run(one.folder).rows(f"select id, token_count from documents where doc_key = {key}")
    capsys.readouterr()
    trace_document(str(one.folder), row["id"], as_json=True)
    told = json.loads(capsys.readouterr().out)["packing"]
    assert any("copy 3" in where for where in told) and any("copy 2" in where for where in told)
    assert {"queue often", "queue seldom"} <= {part for what in told.values() for part in what.split("; ")}
    placed = list(pieces(one.shards, one.manifest, key))
    assert sum(piece["len"] for piece in placed) == 3 * (row["token_count"] + 1)


def test_a_mix_that_lists_a_removed_document_is_refused_with_its_name(
    base: Path, one: Finished, tmp_path: Path
) -> None:
    (row,) = open_run(one.folder).rows("select id, doc_key from removed order by id limit 1")
    strange = {"doc_key": row["doc_key"], "copy": 1, "order_key": 0.5, "queue": 0}
    mix_table(tmp_path / "mix", [*listed(one), strange], QUEUES)
    with pytest.raises(CurateError) as raised:
        executed(write(base, "bad", mix=str(tmp_path / "mix")))
    assert f"({row['id']!r}, removed)" in str(raised.value)
    assert "make the mix from the same documents" in str(raised.value)


def planned(folder: Path, **config: Any) -> PlanBuilder:
    """A plan of one shard in a run that makes its mix table itself."""
    builder = PlanBuilder(folder, 3, "mtime")
    builder.add(Step("tokenizer_given", 1, lambda context: None), "tokenizer_given", {})
    builder.add(Step("mix", 1, lambda context: None), "mix", {})
    builder.shards = [Shard("a", "a", "read/a", final="documents/a")]
    plan(PackConfig(**{"sequence_length": 64, "min_fragment": 4, **config}), builder)
    return builder


def test_the_runs_own_mix_task_is_what_is_packed(base: Path, one: Finished, tmp_path: Path) -> None:
    kept = sorted((one.folder / "documents").rglob("*.parquet"))
    documents = pa.concat_tables([pq.read_table(one) for one in kept])
    pq.write_table(documents, tmp_path / "documents.parquet")
    rows = listed(one)
    mix_table(tmp_path / "mix", rows, QUEUES)
    places = {
        ("tokenizer_given", "tokenizer"): base / "tokenizer", ("mix", "mix"): tmp_path / "mix",
        ("documents/a", "documents"): tmp_path / "documents.parquet",
        ("documents/a", "removed"): tmp_path / "documents.parquet",
        ("pack_units/a", "units"): tmp_path / "pack_units/units",
    }  # fmt: skip
    builder = planned(base)
    for name, step in (("pack_units/a", encode_documents), ("pack", pack)):
        task: Task = builder.tasks[name]
        assert task.inputs["mix"] == (Input("mix"),)
        folder = tmp_path / task.step
        folder.mkdir()
        context = TaskContext(task, folder, lambda name, output: places[name, output])
        step(context)
        context.close()
    made = Manifest.read(tmp_path / "pack/shards")
    assert made.ledger["occurrences"]["packed"] == len(rows) and [one.name for one in made.queues] == QUEUES


@pytest.mark.parametrize(
    ("config", "told"),
    [({"queues": "pool"}, "queues of its own"), ({"method": "bfd"}, "does not keep the order")],
)
def test_what_does_not_go_with_the_runs_mix_is_refused(tmp_path: Path, config: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        planned(tmp_path, **config)


def test_stages_with_other_lengths_are_sets_of_their_own_and_encode_nothing_again(base: Path, one: Finished) -> None:
    stages = [
        {"name": "short", "tokens": 1200, "weights": {"tales": 2.0, "notes": 1.0}},
        {"name": "long", "sequence_length": 128, "tokens": 900, "lengths": {"short": 0.2, "medium": 0.8},
         "weights": {"tales": 1.0}, "transition": 200, "rope_base": 5e6},
    ]  # fmt: skip
    made_of = {"pack", "pack_2", "pack_export_megatron", "pack_2_export_megatron"}
    one = executed(write(base, "sets", stages=stages, length_bounds=[60, 400], export=["megatron"]))
    assert {step["step"] for step in one.summary["steps"] if step["reused"] < step["tasks"]} == made_of
    second = one.folder / SETS[1]
    assert PACKS[1].views == (SETS[1],)
    assert verify(one.shards).faults == verify(second).faults == []
    made = Manifest.read(second)
    assert (one.manifest.sequence_length, made.sequence_length) == (64, 128)
    assert [stage.name for stage in one.manifest.stages] == ["short"] and made.hints["rope_base"] == {"long": 5e6}
    assert {name.rpartition("/")[2] for name in (queue.name for queue in made.queues)} <= {"short", "medium", "long"}
    assert (one.folder / "shards-megatron").is_dir() and (one.folder / "shards-2-megatron").is_dir()
    chapter = packed(open_run(one.folder))
    assert chapter is not None and one.manifest.root in chapter.body and made.root in chapter.body
