"""Promises of a run: nothing lost, same bytes for any worker count and after any kill, no stale output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from curation.commands.running import plan_rows
from curation.pipeline.config import load
from curation.pipeline.errors import StrictStop, TaskFailed, UsageError
from curation.pipeline.execute import execute
from curation.pipeline.plan import State, build
from curation.pipeline.run import run
from tests.curation.conftest import add_file

Corpus = Callable[..., Path]


def go(config: Path, *overrides: str, **options: Any) -> dict[str, Any]:
    return run(load(config, list(overrides)), quiet=True, **options)


def open_tasks(config: Path, *overrides: str) -> dict[str, str]:
    """Tasks that are not finished, with their state."""
    rows = plan_rows(build(load(config, list(overrides))))
    return {row["task"]: row["state"] for row in rows if row["state"] != "finished"}


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for view in ("documents", "removed") for p in (folder / view).iterdir()}


def test_every_record_ends_kept_removed_or_quarantined(corpus: Corpus, tmp_path: Path) -> None:
    summary = go(corpus(files=2))
    totals = summary["totals"]
    assert totals["records"] == 82  # 2 × (40 documents + 1 damaged line)
    assert totals["documents"] + totals["removed"] + totals["quarantined"] == totals["records"]
    assert totals["quarantined"] == 2
    assert summary["removed_by"]["gopher-quality.min_words"] == 8
    assert summary["removed_by"]["dedup.exact"] > 0
    kept = pq.read_table(tmp_path / "runs/test/documents")
    assert kept.num_rows == totals["documents"]
    assert len(set(kept["id"].to_pylist())) == kept.num_rows
    assert sum(kept["duplicate_count"].to_pylist()) == kept.num_rows + summary["removed_by"]["dedup.exact"]
    assert any("quarantine" in warning for warning in summary["warnings"])


def test_the_content_is_the_same_for_any_worker_count_and_executor(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=4, documents=25)
    seen = []
    for i, executor in enumerate(
        (
            "{kind: local, workers: 1}",
            "{kind: local, workers: 2}",
            "{kind: local, workers: 4}",
            "{kind: datatrove, workers: 2}",
        )
    ):
        summary = go(config, f"executor={executor}", f"workdir={tmp_path / f'w{i}'}")
        seen.append((summary["digest"], folder_bytes(tmp_path / f"w{i}" / "test")))
    assert all(one == seen[0] for one in seen)


def test_a_second_run_does_nothing(corpus: Corpus) -> None:
    config = corpus(files=2, documents=15)
    first = go(config)
    second = go(config)
    assert second["digest"] == first["digest"]
    assert all(step["reused"] == step["tasks"] for step in second["steps"])


def test_a_changed_threshold_reruns_only_what_depends_on_it(corpus: Corpus) -> None:
    config = corpus(files=3, documents=20)
    before = go(config)
    change = "clean.1.rules.override={gopher-quality.min_words: 1}"
    waiting = open_tasks(config, change)
    assert {name.split("/")[0] for name in waiting} == {"decide", "exact", "documents"}
    assert all(waiting[f"decide/web/{name}.jsonl"] == "run" for name in "abc")
    after = go(config, change)
    assert after["totals"]["documents"] > before["totals"]["documents"]
    reused = {step["step"]: step["reused"] for step in after["steps"]}
    assert (reused["read"], reused["measure"], reused["content_hash"], reused["decide"]) == (3, 3, 3, 0)


def test_one_more_input_file_runs_its_tasks_and_the_barriers_only(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=3, documents=20)
    go(config)
    (tmp_path / "data" / "d.jsonl").write_text(json.dumps({"text": "Something else that nobody wrote before."}) + "\n")
    after = go(config)
    ran = {step["step"]: step["tasks"] - step["reused"] for step in after["steps"]}
    assert ran == {"read": 1, "identity": 1, "measure": 1, "decide": 1, "content_hash": 1, "exact": 1, "documents": 1}


def test_a_changed_input_file_is_read_again(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=2, documents=20)
    before = go(config)
    add_file(tmp_path / "data" / "b.jsonl", 77, 21)
    after = go(config)
    assert after["totals"]["records"] == before["totals"]["records"] + 1
    assert {s["step"]: s["tasks"] - s["reused"] for s in after["steps"]}["read"] == 1


def block(config: Path, task: str, *overrides: str) -> Path:
    """Put a file where a task's folder should be, so that it fails as on a full disk; returns the file."""
    directory = State(build(load(config, list(overrides)))).directory(task)
    assert directory is not None
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.write_text("in the way")
    return directory


def test_a_config_change_never_shows_old_output(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=1, documents=20)
    go(config)
    folder = tmp_path / "runs" / "test"
    assert (folder / "run.json").exists()
    change = "clean.0.language.min_score=0.1"
    obstacle = block(config, "decide/web/a.jsonl", change)
    with pytest.raises(TaskFailed):
        go(config, change)
    assert not (folder / "run.json").exists()
    assert not (folder / "documents").exists()
    obstacle.unlink()
    assert go(config, change)["config"]["clean"][0]["language"]["min_score"] == 0.1


def test_kill_minus_nine_at_any_moment_then_the_same_command_gives_the_same_bytes(
    corpus: Corpus, tmp_path: Path
) -> None:
    config = corpus(files=6, documents=200)
    expected = go(config, f"workdir={tmp_path / 'calm'}")
    command = [sys.executable, "-m", "curation.cli", "run", str(config), "--quiet", "--no-report"]
    killed, left = 0, 0
    for finished in (0, 3, 9):  # kill as soon as more tasks than that are done: at other moments in each run
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(list((tmp_path / "runs").glob("*/*/_manifest.json"))) <= finished:
            time.sleep(0.005)
        if process.poll() is None:
            killed += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        left = max(left, len(open_tasks(config)))
    assert killed >= 1
    assert left > 0, "no kill hit a run with work left"
    resumed = go(config)
    assert resumed["digest"] == expected["digest"]
    assert folder_bytes(tmp_path / "runs" / "test") == folder_bytes(tmp_path / "calm" / "test")
    assert not list((tmp_path / "runs").rglob("*.tmp"))


@pytest.mark.parametrize("empty", ["a.jsonl", "a.warc.gz", "a.parquet", "a.txt"])
def test_an_empty_input_file_costs_nothing_else(tmp_path: Path, empty: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / empty).touch()
    add_file(tmp_path / "data" / "good.jsonl", 0, 20)
    kind = {"jsonl": "jsonl", "gz": "warc", "parquet": "parquet", "txt": "text"}[empty.rsplit(".", 1)[-1]]
    sources = {
        "empty": {"read": kind, "paths": [f"data/{empty}"]},
        "good": {"read": "jsonl", "paths": ["data/good.jsonl"]},
    }
    path = tmp_path / "web.yaml"
    clean = [{"rules": {"presets": ["gopher-quality"], "sources": ["good"]}}]
    path.write_text(
        json.dumps(
            {"run": "e", "workdir": str(tmp_path / "runs"), "sources": sources, "clean": clean, "dedup": {"exact": {}}}
        )
    )
    summary = go(path)
    assert summary["sources"]["good"]["records"] == 21
    assert summary["sources"]["empty"]["documents"] == 0
    schemas = {str(pq.read_schema(file)) for file in (tmp_path / "runs/e/documents").iterdir()}
    assert len(schemas) == 1  # shards without rules or rows have the same columns


def test_two_runs_may_share_a_work_directory_at_the_same_time(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=3, documents=60)
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps(json.loads(config.read_text()) | {"run": "other"}))
    command = [sys.executable, "-m", "curation.cli", "run", "--quiet", "--no-report"]
    both = [subprocess.Popen([*command, str(path)], stdout=subprocess.DEVNULL) for path in (config, other)]
    assert [process.wait() for process in both] == [0, 0]
    digests = {json.loads((tmp_path / "runs" / run / "run.json").read_text())["digest"] for run in ("test", "other")}
    assert len(digests) == 1


def test_an_output_that_was_deleted_or_damaged_is_made_again(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=2, documents=20)
    before = go(config)
    (next((tmp_path / "runs/measure").iterdir()) / "layer.parquet").unlink()
    (next((tmp_path / "runs/decide").iterdir()) / "_manifest.json").write_text("")
    assert len(open_tasks(config)) == 2
    assert go(config)["digest"] == before["digest"]


def test_removed_and_quarantined_texts_are_private(corpus: Corpus, tmp_path: Path) -> None:
    go(corpus(files=1, documents=20))
    folder = tmp_path / "runs" / "test"
    for view in ("removed", "quarantine"):
        assert (folder / view).stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o077 for file in (folder / view).iterdir()} == {0}


def test_a_file_that_changes_after_the_plan_is_not_taken_for_the_planned_one(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=1, documents=20, verify_inputs="digest")
    plan = build(load(config))
    file = tmp_path / "data" / "a.jsonl"
    file.write_text(file.read_text().replace("Paper", "Japer"))  # same size
    with pytest.raises(TaskFailed, match="not the file that was planned"):
        execute(State(plan), plan.tasks[0].name)


def test_two_runs_in_one_folder_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=1)
    folder = tmp_path / "runs" / "test"
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(UsageError, match="another process"):
        go(config)


def test_strict_stops_at_the_first_damaged_record(corpus: Corpus) -> None:
    config = corpus(files=1)
    with pytest.raises(StrictStop):
        go(config, strict=True)
    go(config)
    with pytest.raises(StrictStop):  # and does not accept results that were made without it
        go(config, strict=True)


def test_until_stops_after_a_section_and_goes_on_later(corpus: Corpus) -> None:
    config = corpus(files=1)
    partly = go(config, until="clean")
    assert "dedup.exact" not in partly["removed_by"]
    wholly = go(config)
    assert wholly["removed_by"]["dedup.exact"] > 0
    assert {s["step"]: s["reused"] for s in wholly["steps"]}["measure"] == 1


def test_a_missing_file_or_pattern_is_refused_before_anything_runs(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=1, sources={"web": {"read": "jsonl", "paths": ["data/a.jsonl", "data/nothing*.jsonl"]}})
    with pytest.raises(UsageError, match=r"nothing\*\.jsonl"):
        go(config)
    assert not (tmp_path / "runs").exists()


def test_a_task_that_fails_leaves_the_others_finished_and_is_redone(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(files=3, documents=20)
    obstacle = block(config, "measure/web/b.jsonl")
    with pytest.raises(TaskFailed, match=r"measure/web/b\.jsonl"):
        go(config)
    assert set(open_tasks(config)) >= {"measure/web/b.jsonl"}
    assert "measure/web/a.jsonl" not in open_tasks(config)
    obstacle.unlink()
    assert go(config)["totals"]["records"] == 63


def test_repeated_user_ids_get_a_suffix_and_are_counted(corpus: Corpus, tmp_path: Path) -> None:
    config = corpus(
        files=0, sources={"web": {"read": "jsonl", "paths": ["data/*.jsonl"], "id": "key"}}, clean=[], dedup={}
    )
    for name, keys in (("a", ["x", "y"]), ("b", ["x", "z", "x"])):
        lines = [json.dumps({"key": key, "text": f"text {name} {i}"}) for i, key in enumerate(keys)]
        (tmp_path / "data" / f"{name}.jsonl").write_text("\n".join(lines))
    summary = go(config)
    assert summary["renamed_ids"] == 2
    assert any("renamed" in warning for warning in summary["warnings"])
    ids = pq.read_table(tmp_path / "runs/test/documents")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 5
    assert {"web/x", "web/y", "web/z"} <= set(ids)
