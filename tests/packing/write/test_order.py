"""Promises: documents keep the order they are given, queues interleave by their weights, nothing else decides."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from packing.layout import files
from packing.order.stages import Stage
from packing.verify.directory import verify
from packing.write import merge
from packing.write.occurrences import as_mixed
from packing.write.rules import Rules
from tests.packing.write.corpora import RULES, Documents, Packed, corpus, keys, pack


@pytest.mark.parametrize("pieces", [1, 2, 3, 8])
def test_one_root_for_any_division_and_order_of_the_documents(
    tmp_path: Path, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = corpus(sources=("a", "b", "c"))
    first = pack(documents, tmp_path / "first")
    shuffled = list(documents.items())
    random.Random(pieces).shuffle(shuffled)
    again = pack(dict(shuffled), tmp_path / "again", pieces=pieces, unit_tokens=500)
    assert again.manifest.root == first.manifest.root
    monkeypatch.setattr(merge, "AT_ONCE", 1)
    monkeypatch.setattr(merge.merged, "__kwdefaults__", {"at_once": 40})
    few_at_a_time = pack(documents, tmp_path / "few", pieces=pieces)
    assert few_at_a_time.manifest.root == first.manifest.root


def test_another_seed_gives_another_order_of_the_same_documents(tmp_path: Path) -> None:
    documents = corpus()
    first, other = pack(documents, tmp_path / "a"), pack(documents, tmp_path / "b", replace(RULES, seed=18))
    assert first.manifest.root != other.manifest.root and first.documents() == other.documents()


def mix_table(folder: Path, rows: list[dict[str, Any]], queues: Sequence[str] | None = None) -> Path:
    folder.mkdir()
    schema = {"doc_key": pa.uint64(), "copy": pa.uint16(), "order_key": pa.float64(), "queue": pa.uint16()}
    schema |= {"cell": pa.uint32(), "source": pa.string()}
    some = [{"cell": 0, "source": "x", **row} for row in rows]
    pq.write_table(pa.Table.from_pylist(some, pa.schema(schema)), folder / "part-0.parquet")
    if queues:
        (folder / "plan.json").write_bytes(orjson.dumps({"queues": queues}))
    return folder


def queue_order(made: Packed, queue: int) -> list[tuple[int, int]]:
    """(doc_key, copy) of a queue's fragments in the order of its rows."""
    return [(one["doc_key"], one["copy"]) for one in made.fragments() if one["queue"] == queue]


def test_the_mix_table_is_honoured_row_by_row(tmp_path: Path) -> None:
    documents: Documents = {f"web/{i}": [5 + i % 900] * (20 + i % 30) for i in range(120)}
    generator = random.Random(1)
    rows = [
        {"doc_key": hash64(id), "copy": copy, "order_key": generator.random(), "queue": copy % 2}
        for number, id in enumerate(documents)
        for copy in range(1, 1 + number % 4)  # never, once, twice, three times
    ]
    mix = mix_table(tmp_path / "mix", rows, ["even", "odd"])
    rules = replace(RULES, window=4)
    made = pack(documents, tmp_path, rules, pieces=3, occurrences=as_mixed(mix), mix=mix)
    whole = keys(documents)
    assert made.documents() == {(row["doc_key"], row["copy"]): whole[row["doc_key"]] for row in rows}
    assert [queue.name for queue in made.manifest.queues] == ["even", "odd"]
    for number in (0, 1):
        mine = sorted((row["order_key"], row["doc_key"], row["copy"]) for row in rows if row["queue"] == number)
        place = {(key, copy): i for i, (_, key, copy) in enumerate(mine)}
        found = [place[one] for one in queue_order(made, number)]
        assert sorted(found) == list(range(len(mine)))
        assert max(abs(i - at) for i, at in enumerate(found)) <= made.manifest.ledger["order"]["largest_displacement"]
    assert made.manifest.ledger["order"]["largest_displacement"] <= 2 * rules.window  # CONTRACTS: two windows
    assert made.manifest.ledger["documents"]["dropped"] == {"not in the mix": 30}
    assert verify(made.path).faults == []


def test_a_mix_table_of_other_documents_or_with_a_row_twice_is_refused(tmp_path: Path) -> None:
    documents: Documents = {"web/a": [5, 6], "web/b": [7]}
    row = {"doc_key": hash64("web/a"), "copy": 1, "order_key": 0.5, "queue": 0}
    strange = mix_table(tmp_path / "strange", [row, {**row, "doc_key": 99}])
    with pytest.raises(UsageError, match=r"1 occurrences of documents.*0x0000000000000063"):
        pack(documents, tmp_path / "1", occurrences=as_mixed(strange), mix=strange)
    twice = mix_table(tmp_path / "twice", [row, row])
    with pytest.raises(UsageError, match=r"copy 1 of 'web/a' twice"):
        pack(documents, tmp_path / "2", occurrences=as_mixed(twice), mix=twice)
    outside = mix_table(tmp_path / "outside", [{**row, "order_key": 1.0}])
    with pytest.raises(UsageError, match="order_key"):
        pack(documents, tmp_path / "3", occurrences=as_mixed(outside), mix=outside)


def even(count: int, size: int, *sources: str) -> Documents:
    return {f"{source}/{i}": [5] * (size - 1) for source in sources for i in range(count)}


def stages(*some: Stage, rules: Rules = RULES) -> Rules:
    return replace(rules, stages=some)


def test_weights_hold_at_every_prefix(tmp_path: Path) -> None:
    documents = {**even(200, 64, "a"), **even(200, 64, "b"), **even(100, 64, "c")}
    weights = {"a": 5.0, "b": 3.0, "c": 2.0}
    made = pack(documents, tmp_path, stages(Stage("main", 64 * 300, weights)))
    order = files.map_order(made.path, 0)
    given = np.cumsum(order[:, None] == np.arange(3), axis=0)
    ideal = np.arange(1, len(order) + 1)[:, None] * np.array([0.5, 0.3, 0.2])
    assert len(order) == 300 and np.abs(given - ideal).max() < 1
    assert made.manifest.ledger["rows"] == {"packed": 500, "scheduled": 300}
    assert made.manifest.ledger["order"]["prefix_deviation"][0] < 1


def test_without_weights_every_row_is_trained_on_once(tmp_path: Path) -> None:
    made = pack(corpus(sources=("a", "b", "c")), tmp_path)
    counts = np.bincount(files.map_order(made.path, 0), minlength=3).tolist()
    assert counts == [queue.rows for queue in made.manifest.queues]


def test_a_later_stage_goes_on_where_the_one_before_ended(tmp_path: Path) -> None:
    documents = even(100, 64, "a", "b")
    two = stages(Stage("first", 64 * 80, {"a": 3.0, "b": 1.0}), Stage("second", 64 * 80, {"a": 1.0}, {"b": 1.0}))
    made = pack(documents, tmp_path, two)
    used = [np.bincount(files.map_order(made.path, number), minlength=2) for number in (0, 1)]
    assert used[0].tolist() == [60, 20] and used[1].tolist() == [40, 40]
    assert verify(made.path).faults == []


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (stages(Stage("main", 64 * 240, {"a": 1.0})), r"'a' needs 2\.4 epochs: 15,360 tokens wanted, 6,400 there"),
        (stages(Stage("main", None, {"a": 6.0, "b": 4.0})), r"'a' needs 1\.2 epochs.*\n.*at most 10,66"),
        (stages(Stage("1", 64 * 99), Stage("2", 64 * 120, {"a": 1.0})), "stage 2: 'a' needs"),
        (stages(Stage("main", 64, {"aa": 1.0})), "no queue with tokens is called 'aa'"),
        (stages(Stage("main", 64, {"a": 0.0})), "one of them more"),
    ],
)
def test_too_few_tokens_for_a_weight_are_told_before_a_row_is_written(tmp_path: Path, rules: Rules, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        pack(even(100, 64, "a", "b"), tmp_path, rules)
    assert list((tmp_path / "shards" / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("queues", "names"), [("source", ["a", "b", "c"]), ("pool", ["pool"]), ({"x": ["a", "c"], "y": ["b"]}, ["x", "y"])]
)
def test_queues_are_sources_or_groups_of_them(tmp_path: Path, queues: Any, names: list[str]) -> None:
    documents = corpus(sources=("a", "b", "c"))
    made = pack(documents, tmp_path, queues=queues)
    assert [queue.name for queue in made.manifest.queues] == names
    assert made.documents() == {(key, 1): ids for key, ids in keys(documents).items()}


def test_a_source_in_no_queue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="source 'code' stands in no queue"):
        pack(corpus(), tmp_path, queues={"x": ["web"]})


def test_rows_and_what_is_in_them_are_shuffled(tmp_path: Path) -> None:
    """Best fit puts full rows first and short documents last; a model would learn it."""
    made = pack(corpus(3_000, 60, sources=("a",)), tmp_path, replace(RULES, window=10_000))
    lengths: dict[tuple[str, int], list[int]] = {}
    for one in made.fragments():
        lengths.setdefault((one["shard"], one["seq"]), []).append(one["len"])
    several = [some for some in lengths.values() if len(some) > 1]
    longest_first = sum(some[0] == max(some) for some in several) / len(several)
    expected = float(np.mean([sum(one == max(some) for one in some) / len(some) for some in several]))
    assert abs(longest_first - expected) < 0.1 < 1 - expected
    heads = np.array([max(some) for some in lengths.values()], float)
    assert abs(np.corrcoef(heads, np.arange(len(heads)))[0, 1]) < 0.15
