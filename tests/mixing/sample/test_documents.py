"""Promises of reading and writing: any order and cut of the rows gives the same bytes; what does not fit is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, hash64
from mixing.config import MixConfig
from mixing.inventory.inventory import read_inventory
from mixing.sample.documents import collect, draws, read_batches
from mixing.sample.make import ABLATION, Made, make_mix
from mixing.sample.overlap import copies_in, overlap
from mixing.sample.table import SCHEMA, parts, rows_of

numbers = itertools.count()
FEW = {"low": 0.1, "high": 0.1}


def table(n: int = 600, seed: int = 0, **changed: Any) -> pa.Table:
    draw = np.random.default_rng(seed)
    ids = [f"web/{i}" for i in range(n)]
    columns: dict[str, Any] = {
        "id": ids,
        "doc_key": pa.array([hash64(one) for one in ids], pa.uint64()),
        "source": pa.array(["web", "books"]).take(pa.array((draw.random(n) < 0.2).astype(np.int64))),
        "category": pa.array(["science", "law", "games"]).take(pa.array(draw.integers(0, 3, n))),
        "bucket": pa.array(draw.integers(0, 5, n), pa.int8()),
        "mix_score": pa.array(draw.standard_normal(n), pa.float32()),
        "split": pa.array(["train", "holdout"]).take(pa.array((draw.random(n) < 0.1).astype(np.int64))),
        "token_count": pa.array(draw.integers(0, 400, n), pa.int64()),
        "duplicate_count": pa.array(draw.choice([1, 1, 2, 7, 5000], n), pa.int64()),
        "prio_sample": pa.array([hash64(one, derive_seed(3, Purpose.SAMPLE)) for one in ids], pa.uint64()),
        "prio_ablate": pa.array([hash64(one, derive_seed(3, Purpose.ABLATE)) for one in ids], pa.uint64()),
    }
    return pa.table({name: one for name, one in (columns | changed).items() if one is not None})


def made(base: Path, rows: pa.Table, shards: int = 1, seed: int = 3, **mix: Any) -> tuple[Path, Made]:
    """A mix of the rows, cut into shards."""
    folder = base / f"mix{next(numbers)}"
    for name in ("in", "out", "scratch"):
        (folder / name).mkdir(parents=True)
    step = -(-len(rows) // shards)
    for i in range(shards):
        pq.write_table(rows.slice(i * step, step), folder / "in" / f"{i}.parquet")
    config = MixConfig(**{"budget": 60_000, "ablation": {"tokens": 9_000}, **mix})
    files = sorted((folder / "in").glob("*"))
    return folder / "out", make_mix(files, config, folder / "out", seed=seed, scratch=folder / "scratch")


def content(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


@pytest.mark.parametrize("duplicates", ["none", "log2"])
def test_p9_shuffled_rows_in_other_shards_give_the_same_bytes(tmp_path: Path, duplicates: str) -> None:
    rows = table()
    first, _ = made(tmp_path, rows, duplicates=duplicates)
    order = pa.array(np.random.default_rng(8).permutation(len(rows)))
    second, _ = made(tmp_path, rows.take(order), shards=7, duplicates=duplicates)
    assert content(first) == content(second) and len(content(first)) == 4
    assert content(made(tmp_path, rows, seed=4, duplicates=duplicates)[0]) != content(first)


def test_the_table_lists_what_the_plan_says(tmp_path: Path) -> None:
    rows = table()
    folder, mix = made(tmp_path, rows)
    found = pq.read_table(parts(folder)[0])
    assert found.schema.equals(SCHEMA)
    plan = orjson.loads((folder / "plan.json").read_bytes())
    sizes = dict(zip(rows["doc_key"].to_pylist(), rows["token_count"].to_pylist(), strict=True))
    longest = max(sizes.values()) + 1
    assert sum(sizes[key] + 1 for key in found["doc_key"].to_pylist()) == plan["tokens"] == mix.sample.total
    assert abs(plan["tokens"] - 60_000) <= longest / 2
    by_key: dict[int, list[int]] = {}
    for row in found.to_pylist():
        by_key.setdefault(row["doc_key"], []).append(row["copy"])
        about = plan["cells"][row["cell"]]
        assert (row["source"], plan["queues"][row["queue"]]["name"]) == (about["source"], about["source"])
    assert all(copies == list(range(1, len(copies) + 1)) for copies in by_key.values())
    assert len(by_key) == plan["documents"] and len(found) == plan["occurrences"]
    key, copies = max(by_key.items(), key=lambda one: len(one[1]))
    assert [one["copy"] for one in rows_of(folder, key)] == copies
    for about in plan["cells"]:
        assert abs(about["sampled"] - about["planned"]) <= longest
        assert about["epochs"] <= about["cap"] + 1e-9


def test_p15_held_out_and_empty_documents_are_never_sampled(tmp_path: Path) -> None:
    rows = table()
    folder, _ = made(tmp_path, rows, on_deficit="shrink", budget=10**9)  # all that the caps allow
    taken = set(copies_in(folder)[0].tolist())
    for row in rows.to_pylist():
        outside = row["split"] == "holdout" or row["token_count"] == 0
        assert (row["doc_key"] in taken) != outside


def test_p10_the_ablation_has_all_copies_at_the_same_places(tmp_path: Path) -> None:
    folder, mix = made(tmp_path, table(3_000), budget=900_000, ablation={"share": 0.2})
    whole, kept = (pq.read_table(parts(one)[0]).to_pylist() for one in (folder, folder / ABLATION))
    keys = {row["doc_key"] for row in kept}
    assert kept == [row for row in whole if row["doc_key"] in keys] and 0 < len(kept) < len(whole)
    repeats = mix.record["repeats"]
    assert repeats["distance"]["matched"] < 0.05 < 0.2 < repeats["distance"]["ordinary"]
    ordinary, _ = made(tmp_path, table(3_000), budget=900_000, ablation={"share": 0.2, "matched": False})
    copies = copies_in(ordinary / ABLATION)[1]
    assert (copies <= 4).all() and copies.mean() < copies_in(folder / ABLATION)[1].mean()


def test_two_budgets_are_nested_and_two_mixes_share_most(tmp_path: Path) -> None:
    rows = table(4_000)
    small, large = (copies_in(made(tmp_path, rows, budget=one)[0]) for one in (300_000, 600_000))
    both = overlap(small, large)
    assert both.nested and both.share == 1.0
    other, _ = made(tmp_path, rows, budget=600_000, preset="proportional")
    arms = overlap(large, copies_in(other))
    assert not arms.nested and arms.share > 0.7
    stranger, _ = made(tmp_path, rows, budget=600_000, preset="proportional", seed=99)
    rows_without = rows.drop_columns(["prio_sample", "prio_ablate"])
    again, _ = made(tmp_path, rows_without, budget=600_000, preset="proportional", seed=3)
    assert content(again) == content(other)  # draws from ids are those of the tags
    unlike, _ = made(tmp_path, rows_without, budget=600_000, preset="proportional", seed=99)
    assert overlap(large, copies_in(unlike)).share < arms.share
    assert copies_in(stranger)[0].tolist() == copies_in(other)[0].tolist()  # stored draws do not follow the seed


def test_draws_are_the_stored_ones_and_else_from_ids() -> None:
    batch = table(5).to_batches()[0]
    expected = batch["prio_sample"].to_pylist()
    assert draws(batch, "prio_sample", 0).tolist() == expected
    bare = pa.RecordBatch.from_arrays([batch["id"]], ["id"])
    assert draws(bare, "prio_sample", 3).tolist() == expected
    some = pa.array([None, *expected[1:]], pa.uint64())
    assert (
        draws(pa.RecordBatch.from_arrays([batch["id"], some], ["id", "prio_sample"]), "prio_sample", 3).tolist()
        == expected
    )
    with pytest.raises(UsageError, match="neither prio_sample nor id"):
        draws(pa.RecordBatch.from_arrays([batch["doc_key"]], ["doc_key"]), "prio_sample", 0)


def test_documents_without_tags_are_one_category_or_an_error(tmp_path: Path) -> None:
    bare = table().drop_columns(["category", "bucket", "mix_score", "split"])
    folder, mix = made(tmp_path, bare)
    assert {one["category"] for one in mix.record["cells"]} == {"untagged"} and parts(folder)
    with pytest.raises(UsageError, match="have no quality tags"):
        made(tmp_path, bare, untagged="error")
    some = table(category=pa.array(["law"] * 599 + [None]))
    assert "untagged" in {one["category"] for one in made(tmp_path, some)[1].record["cells"]}


def test_other_documents_than_were_counted_are_refused(tmp_path: Path) -> None:
    for name, rows in (("a", table()), ("b", table(700))):
        pq.write_table(rows, tmp_path / name)
    inventory = read_inventory([tmp_path / "b"])
    for rows in (tmp_path / "a", tmp_path / "b"):
        (tmp_path / f"{rows.name}.cells").mkdir()
    with pytest.raises(UsageError, match=r"not as many documents|belong to no cell"):
        collect(read_batches([tmp_path / "a"]), inventory, seed=1, scratch=tmp_path / "a.cells")
    assert len(collect(read_batches([tmp_path / "b"]), inventory, seed=1, scratch=tmp_path / "b.cells")) > 0


@pytest.mark.parametrize(
    ("changed", "mix", "told"),
    [
        ({"mix_score": pa.array([float("nan")] * 600)}, {}, "not a finite number"),
        ({"token_count": pa.array([None] * 600, pa.int64())}, {}, "without a token_count"),
        ({"token_count": None}, {}, "token_count"),
        ({}, {"budget": 10**9}, "the caps allow"),
        ({}, {"ceilings": {"wep": 0.4}}, "did you mean 'web'"),
        ({}, {"floors": {"lav": 0.1}}, "did you mean 'law'"),
        ({}, {"preset": "fixed", "weights": {"web": 1.0}}, "no weight for source 'books'"),
        ({"duplicate_count": None}, {"duplicates": "log2"}, "duplicate_count"),
        ({}, {"caps": {"low": 0, "high": 0}}, "not one token"),
        ({}, {"ablation": {"tokens": 50_000}, "on_deficit": "shrink", "caps": FEW}, "fewer tokens"),
        ({}, {"ablation": None, "budget": 1}, "take not one document"),
    ],
)  # fmt: skip
def test_bad_input_is_told(tmp_path: Path, changed: dict[str, Any], mix: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        made(tmp_path, table(**changed), **mix)


@pytest.mark.parametrize("policy", ["shrink", "relax_caps", "relax_low_first"])
def test_a_budget_above_the_caps_follows_the_policy(tmp_path: Path, policy: str) -> None:
    _, mix = made(tmp_path, table(), budget=500_000, on_deficit=policy)
    assert mix.record["policy"] == policy
    assert (mix.record["deficit"] > 0) == (policy == "shrink")
    assert abs(mix.sample.total - mix.record["planned"]) <= 200
    assert mix.record["shortage"]["deficit"] > 0


def test_a_source_of_one_document_is_a_cell_like_others(tmp_path: Path) -> None:
    rows = table()
    sources = pa.array(["lone", *rows["source"].to_pylist()[1:]])
    counts = pa.array([300, *rows["token_count"].to_pylist()[1:]])
    splits = pa.array(["train", *rows["split"].to_pylist()[1:]])
    changed = table(source=sources, token_count=counts, split=splits)
    _, mix = made(tmp_path, changed, budget=130_000)
    (cell,) = (one for one in mix.record["cells"] if one["source"] == "lone")
    assert cell["documents"] == 1
    told = any("lone" in line for line in mix.warnings) or any("lone" in one["name"] for one in mix.record["folded"])
    assert cell["sampled_documents"] == 1 or told


def test_stages_are_handed_over_with_what_they_need(tmp_path: Path) -> None:
    stages = [
        {"name": "base", "tokens": "40K", "weights": {"web": 0.7, "books": 0.3}},
        {"name": "long", "tokens": "30K", "lengths": {"short": 0.1, "medium": 0.9}, "transition": "5K"},
    ]
    _, mix = made(tmp_path, table(), stages=stages, length_edges=[390, 10_000])
    assert [one["name"] for one in mix.record["stages"]] == ["base", "long"]
    needs = mix.record["stage_needs"]
    medium = next(one for one in needs["classes"] if one["length"] == "medium")
    assert not needs["fits"] and medium["epochs"] > 4 and 2 <= medium["cap"] <= 4
    assert any(line.startswith("stages: medium") for line in mix.warnings)
    with pytest.raises(ValidationError, match="leave out `queues`"):
        MixConfig.model_validate({"budget": 1, "stages": stages, "queues": "pool"})
