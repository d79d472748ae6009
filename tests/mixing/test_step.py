"""Promises of the `mix:` section: a run ends in a mix that packing takes, and every copy can be explained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.catalog import open_run
from curation.commands.trace import trace_document
from curation.pipeline.config import sections
from curation.pipeline.errors import CurateError, UsageError
from mixing.inventory.assign import NOWHERE, cell_numbers
from mixing.sample.entry import entry_key
from mixing.trace import inventory_of
from tests.mixing.runs import Finished, executed, write


def copies_of(one: Finished) -> dict[int, int]:
    keys, counts = np.unique(one.table["doc_key"].to_numpy(), return_counts=True)
    return dict(zip(keys.tolist(), counts.tolist(), strict=True))


def test_it_stands_between_the_documents_and_packing() -> None:
    order = list(sections())
    assert order.index("tokenizer") < order.index("_documents") < order.index("mix") < order.index("pack")


def test_a_run_ends_in_the_mix_of_its_plan(one: Finished) -> None:
    copies, documents = copies_of(one), one.documents
    tokens = sum(n * (documents[key]["token_count"] + 1) for key, n in copies.items())
    longest = max(row["token_count"] for row in documents.values()) + 1
    assert tokens == one.plan["tokens"] and abs(tokens - 12_000) <= longest / 2
    assert max(copies.values()) > 1
    outside = [row for row in documents.values() if row["split"] == "holdout" or not row["token_count"]]
    assert len(outside) > 5 and not {row["doc_key"] for row in outside} & set(copies)
    assert open_run(one.folder).rows("select count(*) as n from mix") == [{"n": len(one.table)}]


def test_every_document_stands_as_often_as_its_entry_keys_say(one: Finished) -> None:
    inventory, copies = inventory_of(one.plan), copies_of(one)
    files = sorted((one.folder / "documents").glob("*.parquet"))
    cells = np.concatenate([cell_numbers(pq.read_table(file), inventory) for file in files])
    for cell, row in zip(cells.tolist(), one.documents.values(), strict=True):
        if cell == NOWHERE:
            continue
        about = one.plan["cells"][cell]
        draw = np.array([row["prio_sample"]], np.uint64)
        within = sum(
            float(entry_key(np.array([j]), draw, np.ones(1))[0]) <= about["reach"]
            for j in range(1, int(about["cap"]) + 1)
        )
        assert copies.get(row["doc_key"], 0) == within


def test_packing_takes_exactly_these_occurrences(one: Finished) -> None:
    from packing.layout.manifest import Manifest
    from packing.verify.directory import verify

    shards = one.folder / "shards"
    assert verify(shards).faults == []
    ledger = Manifest.read(shards).ledger
    assert ledger["occurrences"]["packed"] == one.plan["occurrences"]
    assert [queue.name for queue in Manifest.read(shards).queues] == ["notes", "sums", "tales"]


def test_trace_tells_copies_places_and_the_rule_that_decided(one: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    def told(id: str) -> dict[str, Any]:
        capsys.readouterr()
        trace_document(str(one.folder), id, as_json=True)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["mix"]
        return found

    copies = copies_of(one)
    by_id = {row["id"]: row for row in one.documents.values()}
    often = max(by_id, key=lambda id: copies.get(by_id[id]["doc_key"], 0))
    found, n = told(often), copies[by_id[often]["doc_key"]]
    places = sorted(row["order_key"] for row in one.table.to_pylist() if row["doc_key"] == by_id[often]["doc_key"])
    assert found["copies"] == n and found["decided"].startswith("sampled")
    for number, place in enumerate(places, 1):
        assert found[f"copy {number}"].startswith(f"at {place:.4f} of queue {often.split('/')[0]}")
    assert "documents of the crawl" in found["cluster"] and "cap" in found["cell"] and "of its" in found["ablation"]
    held = next(id for id, row in by_id.items() if row["split"] == "holdout")
    assert told(held) == {"decided": "held out: never sampled"}
    empty = next(id for id, row in by_id.items() if row["split"] == "train" and not row["token_count"])
    assert told(empty) == {"decided": "no tokens: nothing to sample"}
    never = next(
        id for id, row in by_id.items() if row["doc_key"] not in copies and id not in (held, empty)
        and row["split"] == "train" and row["token_count"]
    )  # fmt: skip
    assert "not reached by the budget" in told(never)["decided"] or "gets nothing" in told(never)["decided"]


def test_another_mix_shares_everything_before(one: Finished, base: Path) -> None:
    arm = executed(write(base, "arm", preset="proportional"))
    ran = {step["step"] for step in arm.summary["steps"] if step["reused"] < step["tasks"]}
    assert ran == {"mix"} and arm.plan["lambda"] == 0
    shared = set(copies_of(arm)) & set(copies_of(one))
    assert len(shared) > 0.6 * min(len(copies_of(arm)), len(copies_of(one)))


def everything(folder: Path) -> dict[str, bytes]:
    mix = folder / "mix"
    return {one.relative_to(mix).as_posix(): one.read_bytes() for one in sorted(mix.rglob("*")) if one.is_file()}


def test_no_byte_depends_on_the_folder_or_the_workers(one: Finished, base: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copytree(base, tmp_path / "a longer name", ignore=shutil.ignore_patterns("runs")))
    again = executed(write(elsewhere, "one", workers=2, pack=True, ablation={"tokens": 3_000}))
    assert again.summary["digest"] == one.summary["digest"]
    assert everything(again.folder) == everything(one.folder) and len(everything(one.folder)) == 4


def test_without_tags_every_document_is_untagged(base: Path) -> None:
    bare = executed(write(base, "bare", tags=False, budget=9_000))
    assert {row["category"] for row in bare.plan["cells"]} == {"untagged"}
    assert {row["cap"] for row in bare.plan["cells"]} == {2.0}


def test_without_token_counts_it_is_refused(base: Path) -> None:
    path = write(base, "counts")
    config = json.loads(path.read_text())
    del config["tokenizer"]
    path.write_text(json.dumps(config))
    with pytest.raises(UsageError, match="no token counts"):
        executed(path)


def test_a_budget_that_the_caps_forbid_fails_the_run_with_numbers(base: Path) -> None:
    with pytest.raises(CurateError, match=r"the caps allow [\d,]+: [\d,]+ short"):
        executed(write(base, "much", budget=10_000_000))
    less = executed(write(base, "less", budget=10_000_000, on_deficit="shrink"))
    assert less.plan["policy"] == "shrink" and less.plan["deficit"] > 9_000_000
    assert max(row["epochs"] - row["cap"] for row in less.plan["cells"]) <= 1e-9


def test_stages_of_the_mix_are_packed(base: Path) -> None:
    stages = [
        {"name": "first", "tokens": 4_000},
        {"name": "last", "tokens": 2_000, "sequence_length": 128, "rope_base": 5e6},
    ]
    staged = executed(write(base, "staged", pack=True, stages=stages))
    first, last = (json.loads((staged.folder / name / "manifest.json").read_bytes()) for name in ("shards", "shards-2"))
    assert [one["stages"][0]["name"] for one in (first, last)] == ["first", "last"]
    assert [one["sequence_length"] for one in (first, last)] == [64, 128]
    assert [one["name"] for one in staged.plan["stages"]] == ["first", "last"]


def test_stages_stand_in_one_place(base: Path) -> None:
    path = write(base, "twice", pack=True, stages=[{"name": "first", "tokens": 4_000}])
    config = json.loads(path.read_text())
    config["pack"]["tokens"] = 1_000
    path.write_text(json.dumps(config))
    with pytest.raises(UsageError, match="the run's mix has stages"):
        executed(path)
