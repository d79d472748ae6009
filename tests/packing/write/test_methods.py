"""Promises of the methods beside best fit, of classes of lengths, and of stages with rows of another length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packing.layout import files
from packing.layout.manifest import Manifest
from packing.order.stages import Stage, Tail
from packing.verify.directory import verify
from packing.write.pack import pack_units
from packing.write.rules import Rules
from tests.packing.write.corpora import IDS, RULES, WITH_BOS, Documents, Packed, corpus, keys, pack, units


def order_of(made: Packed) -> list[int]:
    """Documents in the order in which they begin in the rows."""
    return [one["doc_key"] for one in made.fragments() if one["flags"] & files.FIRST]


def test_concat_cuts_where_a_row_ends_and_pads_only_the_last(tmp_path: Path) -> None:
    documents = corpus(sources=("web",))
    made = pack(documents, tmp_path, replace(RULES, method="concat"), pieces=3, unit_tokens=700)
    assert verify(made.path).faults == []
    whole = keys(documents)
    assert made.documents() == {(key, 1): ids for key, ids in whole.items()}
    joined = np.concatenate([np.array(whole[key]) for key in order_of(made)])
    rows = np.concatenate([np.array(row) for row in made.rows()])
    assert rows[: len(joined)].tolist() == joined.tolist() and (rows[len(joined) :] == IDS.pad).all()
    assert len(rows) - len(joined) < 64
    windowed = pack(documents, tmp_path / "w", replace(RULES, window=1))  # one document a window: the queue's order
    assert order_of(made)[0] in [one["doc_key"] for one in windowed.fragments()]


def test_crop_fills_every_row_and_says_what_it_threw_away(tmp_path: Path) -> None:
    documents = corpus(sources=("web",))
    made = pack(documents, tmp_path, replace(RULES, method="crop", long="truncate"))
    assert verify(made.path).faults == []
    assert all(IDS.pad not in row for row in made.rows()[:-1])
    whole, ledger = keys(documents), made.manifest.ledger["tokens"]
    for (key, _), tokens in made.documents().items():
        assert tokens == whole[key][: len(tokens)]
    assert len(made.documents()) == len(documents)
    assert ledger["truncated"] == sum(map(len, whole.values())) - ledger["packed"] > 0
    assert all(row.fragments for row in made.manifest.shards)


@pytest.mark.parametrize("bos", ["none", "doc"])
def test_buckets_are_queues_of_pieces_of_one_length(tmp_path: Path, bos: str) -> None:
    documents = corpus(sources=("code", "web"))
    rules = replace(RULES, method="buckets", smallest_bucket=8, bos=bos)
    made = pack(documents, tmp_path, rules, pieces=2, ids=WITH_BOS if bos == "doc" else IDS)
    assert verify(made.path).faults == []
    before = int(bos == "doc")
    for one in made.fragments():
        name = made.manifest.queues[one["queue"]].name
        assert one["len"] == int(name.rpartition("/")[2])
    whole = keys(documents)
    kept = {key: (len(ids) + before) // 8 * 8 - before for key, ids in whole.items()}
    assert made.documents() == {(key, 1): whole[key][:count] for key, count in kept.items() if count > 0}
    short = sum(count <= 0 for count in kept.values())
    assert made.manifest.ledger["documents"]["dropped"] == {"shorter than the smallest bucket": short} and short
    assert made.manifest.policy["smallest_bucket"] == 8


def classes(made: Packed, bounds: tuple[int, int]) -> None:
    """Every queue holds documents of its class only."""
    sizes = {key: len(ids) for (key, _), ids in made.documents().items()}
    for one in made.fragments():
        kind = made.manifest.queues[one["queue"]].name.rpartition("/")[2]
        size = sizes[one["doc_key"]]
        assert kind == ("short" if size < bounds[0] else "medium" if size <= bounds[1] else "long")


def test_shares_of_length_classes_a_transition_and_a_tail_hold_at_every_prefix(tmp_path: Path) -> None:
    def some(source: str, sizes: tuple[int, int, int], count: int) -> Documents:
        return {f"{source}/{n}-{i}": [5] * (n - 1) for n in sizes for i in range(count)}

    documents = {**some("web", (16, 32, 64), 400), **some("books", (32, 32, 64), 150), **some("qa", (64, 64, 64), 20)}
    stages = (
        Stage("first", 64 * 60, {"web": 1.0}, lengths={"short": 0.5, "long": 0.5}),
        Stage(
            "second", 64 * 100, {"web": 1.0, "books": 1.0}, transition=64 * 20, tail=Tail("qa", 0.1, 0.2),
            lengths={"short": 0.2, "medium": 0.3, "long": 0.5}, rope_base=5e6,
        ),
    )  # fmt: skip
    rules = replace(RULES, stages=stages, length_bounds=(20, 40))
    made = pack(documents, tmp_path, rules)
    assert verify(made.path).faults == []
    classes(made, (20, 40))
    assert max(made.manifest.ledger["order"]["prefix_deviation"]) < 1
    names = [queue.name for queue in made.manifest.queues]
    assert names == ["books/medium", "books/long", "qa/long", "web/short", "web/medium", "web/long"]
    second = np.array([names[one] for one in files.map_order(made.path, 1)])
    assert not np.char.startswith(second[:80], "qa").any() and np.char.startswith(second[80:], "qa").sum() == 2
    assert abs(np.char.endswith(second[20:80], "medium").sum() - 18) <= 1
    assert np.char.startswith(second[:20], "books").sum() < np.char.startswith(second[20:40], "books").sum()
    hints = made.manifest.hints
    assert hints["rope_base"] == {"second": 5e6} and [knot[0] for knot in hints["weights"]["second"]] == [
        0.0, 64 * 20, 64 * 80, 64 * 80, 64 * 100
    ]  # fmt: skip


def sets(documents: Documents, folder: Path, rules: list[Rules]) -> list[Packed]:
    """Sets of rows of the same units, each after those before it."""
    paths = units(documents, folder / "units", 2)
    made: list[Packed] = []
    for number, one in enumerate(rules):
        out = folder / f"shards{number}"
        out.mkdir()
        before = [earlier.path for earlier in made]
        made.append(Packed(out, pack_units(paths, out, folder / f"plans{number}", one, IDS, before=before)))
    return made


def taken(made: Packed) -> set[int]:
    """Documents in the rows that the stages take."""
    left = sum((np.bincount(files.map_order(made.path, i), minlength=9) for i in range(len(made.manifest.stages))), 0)
    rows: list[tuple[str, int]] = []
    for queue in range(len(made.manifest.queues)):
        mine = [(s.name, row) for s in made.manifest.shards if s.queue == queue for row in range(s.rows)]
        rows += mine[: left[queue]]
    wanted = set(rows)
    return {one["doc_key"] for one in made.fragments() if (one["shard"], one["seq"]) in wanted}


def test_rows_of_another_length_go_on_with_documents_that_were_not_trained_on(tmp_path: Path) -> None:
    documents = {f"{source}/{i}": [7] * (7 + i % 9) for source in ("a", "b") for i in range(400)}
    tokens = sum(len(ids) + 1 for ids in documents.values())
    first = replace(RULES, window=8, stages=(Stage("short", tokens // 3, {"a": 1.0, "b": 1.0}),))
    second = replace(
        RULES, sequence_length=128, window=8, before=first.stages[-1],
        stages=(Stage("long", tokens // 3, {"a": 1.0, "b": 3.0}, transition=tokens // 9),),
    )  # fmt: skip
    third = replace(first, sequence_length=256, stages=(Stage("last", tokens // 8, {"a": 1.0}),), length_bounds=(9, 12))
    made = sets(documents, tmp_path, [first, second, third])
    for one in made:
        assert verify(one.path).faults == []
        assert len(one.documents()) == len(documents)  # each set holds them all
    seen = [taken(one) for one in made]
    assert len(seen[0] & seen[1]) <= 2 * 8 * 2  # two windows of each queue
    assert len(seen[2] & (seen[0] | seen[1])) <= 2 * 8 * 2 * 3
    weights = Manifest.read(made[1].path).stages[0]
    assert weights.weights == pytest.approx([0.5, 0.5]) and weights.end_weights == pytest.approx([0.25, 0.75])
    again = sets(documents, tmp_path / "again", [first, second, third])
    assert [one.manifest.checksum for one in again] == [one.manifest.checksum for one in made]
