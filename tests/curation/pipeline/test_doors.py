"""Promises of the doors: a third party's step works like ours, and one that kills its worker costs only its task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODULE = '''
"""A third party's cleaning item: removes documents with a word; dies on another word."""
import os, signal
import pyarrow as pa
import pyarrow.compute as pc
from curation.rules.item import CleanItem, Limited

class WordConfig(Limited):
    word: str

def measure(text, measured):
    if pc.any(pc.match_substring(text, "DEADLY")).as_py():
        os.kill(os.getpid(), signal.SIGKILL)
    return {"has_word": pc.match_substring(text, measured["word"])}

def decide(columns, decided):
    hit = pc.fill_null(columns["has_word"], False)
    label, none = pa.scalar("word.found"), pa.scalar(None, pa.string())
    return pc.if_else(hit, label, none), pc.if_else(hit, pa.scalar(decided["word"]), none)

ITEM = CleanItem(
    key="word", version=1, config=WordConfig, decided=lambda c: {"word": c.word}, decide=decide,
    measured=lambda c: [{"word": c.word}], measure=measure, columns=lambda m: [pa.field("has_word", pa.bool_())],
)
'''


@pytest.fixture
def curate(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs curate with a third-party package on the path."""
    site = tmp_path / "site"
    info = site / "third_party-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "third_party_word.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[curate.steps]\nclean.word = third_party_word:ITEM\n")
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "curation.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return call


def config(tmp_path: Path, texts: dict[str, list[str]]) -> str:
    data = tmp_path / "data"
    data.mkdir()
    for name, some in texts.items():
        (data / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in some))
    value: dict[str, Any] = {
        "run": "doors",
        "workdir": str(tmp_path / "runs"),
        "executor": {"workers": 2},
        "sources": {"s": {"read": "jsonl", "paths": ["data/*.jsonl"]}},
        "clean": [{"word": {"word": "spam"}}],
    }
    path = tmp_path / "doors.yaml"
    path.write_text(json.dumps(value))
    return str(path)


def test_a_third_partys_item_is_a_yaml_key_like_ours(curate: Any, tmp_path: Path) -> None:
    done = curate("run", config(tmp_path, {"a": ["good text", "spam text"]}), "--json", "--no-report")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["removed_by"] == {"word.found": 1}
    assert "word" in json.loads(curate("schema").stdout)["$defs"]["CleanEntry"]["properties"]


def test_a_task_that_kills_its_worker_is_named_and_the_others_are_finished(curate: Any, tmp_path: Path) -> None:
    path = config(tmp_path, {"a": ["one"], "b": ["DEADLY"], "c": ["three"], "d": ["four"]})
    done = curate("run", path, "--quiet", "--no-report")
    assert done.returncode == 1
    assert "measure/s/b.jsonl: its worker process died" in done.stderr
    assert "1 task(s) failed" in done.stderr
    plan = json.loads(curate("plan", path, "--json").stdout)
    state = {row["task"]: row["state"] for row in plan["tasks"]}
    assert [state[f"measure/s/{x}.jsonl"] for x in "abcd"] == ["finished", "run", "finished", "finished"]
    (tmp_path / "data" / "b.jsonl").write_text(json.dumps({"text": "mended"}) + "\n")
    assert curate("run", path, "--quiet", "--no-report").returncode == 0
