"""Promises of the `quality:` section: tags for every kept document, ranks among all, the same for any worker count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from curation.catalog import Catalog, open_run
from curation.cli import build as cli
from curation.pipeline.config import load
from curation.pipeline.errors import CurateError, UsageError
from curation.pipeline.plan import State, build
from curation.pipeline.run import run
from curation.report.page import page
from quality.tagging.tag import DRAW_SCHEMA, TAG_SCHEMA
from tests.quality.tagging.fake import Fake, installed

WORDS = [
    "river",
    "sand",
    "hills",
    "mathematics",
    "records",
    "food",
    "sea",
    "travel",
    "kept",
    "extraordinarily",
    "a",
    "7",
]


def write(folder: Path, name: str, *, workers: int = 1, **section: Any) -> Path:
    """A config over three files in two sources, 180 documents with a few exact copies."""
    for f in range(0 if (folder / "data").exists() else 3):
        (folder / "data").mkdir(exist_ok=True)
        with open(folder / "data" / f"{f}.jsonl", "w") as file:
            for i in range(60):
                words = [WORDS[(i * (k + 1) + f * 5 + k * k) % len(WORDS)] for k in range(5 + i)]
                text = "copy" if i % 29 == 28 else f"Note {i} of {f}: " + "\n".join(words)
                file.write(json.dumps({"id": f"{f}-{i}", "text": text}) + "\n")
    config = {
        "run": name,
        "workdir": str(folder / f"runs-{name}"),
        "seed": 3,
        "executor": {"kind": "local", "workers": workers},
        "sources": {
            "notes": {"read": "jsonl", "paths": ["data/0.jsonl", "data/1.jsonl"], "text": "text", "id": "id"},
            "more": {"read": "jsonl", "paths": ["data/2.jsonl"], "text": "text", "id": "id"},
        },
        "dedup": {"exact": {}},
        "quality": {"model": "fake:one", **section},
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


def executed(path: Path, *changes: str) -> tuple[dict[str, Any], Path]:
    config = load(path, list(changes))
    return run(config, quiet=True), Path(config.core.workdir) / config.core.run


@dataclass(frozen=True)
class Tagged:
    base: Path
    config: Path
    summary: dict[str, Any]
    folder: Path
    catalog: Catalog


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tagged]:
    base = tmp_path_factory.mktemp("tagged")
    with installed(base / "site"):
        config = write(base, "one")
        summary, folder = executed(config)
        with open_run(folder) as catalog:
            yield Tagged(base, config, summary, folder, catalog)


def test_every_kept_document_has_the_labelers_tags_and_no_removed_one_has(tagged: Tagged) -> None:
    rows = tagged.catalog.rows("select * from documents")
    assert len(rows) > 150
    for row in rows:
        (depth, practical), p, _ = Fake._one(row["text"])
        assert row["knowledge_depth"] == pytest.approx(depth, abs=1e-5)
        assert row["practicality"] == pytest.approx(practical, abs=1e-5)
        assert row["category"] == Fake().categories[int(np.argmax(p))] and row["quality_model"] == "fakeone"
        assert row["knowledge_depth_lo"] <= row["knowledge_depth"] <= row["knowledge_depth_hi"]
        assert row["byte_count"] == len(row["text"].encode())
    removed = tagged.catalog.rows("select category, mix_score, prio_sample from removed")
    assert removed and not any(value is not None for row in removed for value in row.values())


def test_ranks_agree_with_a_sort_of_the_whole(tagged: Tagged) -> None:
    rows = tagged.catalog.rows("select * from documents")
    for name in ("knowledge_depth", "practicality"):
        steps = np.rint(np.array([row[name] for row in rows]) * 8192)
        for row, value in zip(rows, steps, strict=True):
            below, same = (steps < value).sum(), (steps == value).sum()
            assert row[f"{name}_pct"] == pytest.approx((below + same / 2) / len(rows), abs=1e-6)
            mine = steps[[other["category"] == row["category"] for other in rows]]
            within = ((mine < value).sum() + (mine == value).sum() / 2) / len(mine)
            assert row[f"{name}_pct_category"] == pytest.approx(within, abs=1e-6)
    ordered = sorted(rows, key=lambda row: row["mix_score"])
    buckets = [row["bucket"] for row in ordered]
    assert buckets == sorted(buckets) and set(buckets) == set(range(5))
    sizes = np.bincount(buckets, weights=[row["byte_count"] for row in ordered])
    assert (sizes / sizes.sum()).tolist() == pytest.approx([0.2] * 5, abs=0.03)


def test_no_tag_depends_on_workers_or_on_the_order_of_sources(tagged: Tagged) -> None:
    path = write(tagged.base, "turned", workers=2)
    config = json.loads(path.read_text())
    config["sources"] = dict(reversed(config["sources"].items()))
    path.write_text(json.dumps(config))
    _, folder = executed(path)
    query = "select * exclude (bucket) from tags"  # of copies another one is kept: its bytes move the cuts a little
    with open_run(folder) as other:
        rows = [{row["id"]: row for row in one.rows(query)} for one in (tagged.catalog, other)]
    same = rows[0].keys() & rows[1].keys()
    assert len(same) > 150 and all(rows[0][one] == rows[1][one] for one in same)


def test_another_r_ranks_anew_but_neither_tags_nor_trains_a_tokenizer_anew(tagged: Tagged) -> None:
    path = write(tagged.base, "tokenized")
    config = json.loads(path.read_text())
    config["tokenizer"] = {"train": {"vocab_size": 300, "holdout": 0.0, "dev": 0.0}}
    path.write_text(json.dumps(config))
    first, folder = executed(path)
    with open_run(folder) as catalog:
        assert catalog.rows("select min(token_count) as n from tags")[0]["n"] > 0
    second, _ = executed(path, "quality.r=0.0")
    reused = {step["step"]: step["reused"] == step["tasks"] for step in second["steps"]}
    assert first["digest"] != second["digest"] and not reused["rank"] and not reused["documents"]
    assert all(reused[name] for name in ("tag", "quality_labeler", "word_counts", "tokenizer", "token_count"))


def test_a_model_travels_with_the_run(tagged: Tagged) -> None:
    """What is tagged with a folder is tagged the same when the folder has moved."""
    import shutil

    from quality.student.files import DEFAULT

    if not (DEFAULT / "card.json").is_file():
        pytest.skip("no tagger ships yet")
    for place in ("here", "there"):
        shutil.copytree(DEFAULT, tagged.base / place / "tagger")
    _, folder = executed(write(tagged.base, "model", model="here/tagger"))
    assert (folder / "quality_labeler" / "model" / "model.safetensors").is_file()
    with open_run(folder) as catalog:
        assert len(catalog.rows("select distinct quality_model from tags")) == 1
    plans = [State(build(load(write(tagged.base, "model", model=f"{place}/tagger")))) for place in ("here", "there")]
    marks = [[plan.fingerprint(task.name) for task in plan.plan.tasks if task.step == "tag"] for plan in plans]
    assert marks[0] == marks[1] and None not in marks[0]


def test_the_view_tags_has_all_but_the_text(tagged: Tagged) -> None:
    columns = set(tagged.catalog.columns["tags"])
    assert {*TAG_SCHEMA.names, *DRAW_SCHEMA.names, "mix_score", "bucket", "source", "doc_key"} <= columns
    assert "text" not in columns
    count = tagged.catalog.rows("select count(*) as n from tags join documents using (doc_key)")[0]["n"]
    assert count == tagged.summary["totals"]["documents"]


def test_splits_and_priorities_follow_from_id_and_seed(tagged: Tagged) -> None:
    from tokenizer.counting.splits import split_of

    rows = tagged.catalog.rows("select id, split, prio_sample, prio_ablate from tags")
    assert all(row["split"] == split_of(row["id"], 3, holdout=0.02) for row in rows)
    for name in ("prio_sample", "prio_ablate"):
        assert len({row[name] for row in rows}) == len(rows)
    first, second = (np.argsort([row[name] for row in rows]).argsort() for name in ("prio_sample", "prio_ablate"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.25


def test_the_report_shows_scores_and_examples_and_leaves_texts_out_when_asked(tagged: Tagged) -> None:
    whole = page(tagged.catalog)
    assert (
        "Quality tags" in whole and "Documents of each quality bucket" in whole and "knowledge_depth by source" in whole
    )
    without = page(tagged.catalog, samples=False)
    assert "Quality tags" in without and "Documents of each quality bucket" not in without


def test_trace_tells_a_documents_tags(tagged: Tagged) -> None:
    from quality.trace import trace

    one = tagged.catalog.rows("select id, category from tags order by id limit 1")[0]
    chapter = dict(trace(tagged.catalog, tagged.catalog.document(one["id"]))[0][1])
    assert chapter["category"].startswith(one["category"]) and "of all documents" in chapter["knowledge_depth"]
    removed = tagged.catalog.rows("select id from removed limit 1")[0]["id"]
    assert trace(tagged.catalog, tagged.catalog.document(removed)) == []


def test_a_gate_stops_the_run_and_says_why(tagged: Tagged) -> None:
    with pytest.raises(CurateError, match=r"quality.gates: sd of knowledge_depth in more is"):
        executed(write(tagged.base, "gate", gates={"min_source_sd": 3.0}))
    with pytest.raises(UsageError, match=r"min_within_category.*does not tell it"):
        build(load(write(tagged.base, "card", gates={"min_within_category": 0.3})))


@pytest.mark.parametrize(("model", "told"), [("fak:one", "did you mean 'fake'"), ("no/such/model", "does not exist")])
def test_an_unknown_labeler_is_refused_before_anything_runs(tagged: Tagged, model: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        build(load(write(tagged.base, "unknown", model=model)))


def test_a_run_without_the_section_has_no_tags(tagged: Tagged) -> None:
    path = write(tagged.base, "plain")
    config = json.loads(path.read_text())
    del config["quality"]
    path.write_text(json.dumps(config))
    assert not {"tag", "rank", "tags", "quality_labeler"} & {task.step for task in build(load(path)).tasks}


def test_curate_sql_knows_the_view(tagged: Tagged) -> None:
    done = CliRunner().invoke(cli(), ["sql", str(tagged.folder), "select count(*) as n from tags", "--json"])
    assert json.loads(done.stdout)[0]["n"] == tagged.summary["totals"]["documents"]
