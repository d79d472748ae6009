"""Runs of the cutting steps over a few texts, for their tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation.pipeline.config import load
from curation.pipeline.execute import execute
from curation.pipeline.plan import State, build
from curation.pipeline.run import link_outputs

Sources = dict[str, list[str]]


class Outcome:
    """A finished run; documents by id (`<source>/<number>`)."""

    def __init__(self, folder: Path, given: Sources) -> None:
        self.texts = {row["id"]: row["text"] for row in pq.read_table(folder / "documents").to_pylist()}
        self.removed = {row["id"]: row for row in pq.read_table(folder / "removed").to_pylist()}
        self.edits: dict[str, list[dict[str, Any]]] = {}
        for row in pq.read_table(folder / "edits").to_pylist():
            self.edits.setdefault(row["id"], []).append(row)
        self._given = {f"{source}/{i}": text for source, texts in given.items() for i, text in enumerate(texts)}

    def check(self, rule: str) -> None:
        """Every document is accounted for, and the edits turn each given text into the new one and back."""
        assert self.texts.keys() | self.removed.keys() == self._given.keys()
        assert not self.texts.keys() & self.removed.keys()
        for id, given in self._given.items():
            if id in self.removed:
                assert self.removed[id]["text"] == given and id not in self.edits
                continue
            data, out, done = given.encode(), b"", 0
            undone, shift = self.texts[id].encode(), 0
            for edit in self.edits.get(id, []):
                assert edit["rule"] == rule
                start, stop = edit["start"], edit["start"] + edit["length"]
                before, after = edit["before"].encode(), edit["after"].encode()
                assert data[start:stop] == before
                out += data[done:start] + after
                done = stop
                undone = undone[:start] + before + undone[start + len(after) :]
                shift += len(before) - len(after)
            assert out + data[done:] == self.texts[id].encode()
            assert undone == data

    def kept(self, source: str = "web") -> list[str | None]:
        """Texts in order, None for a removed one."""
        count = sum(id.startswith(f"{source}/") for id in self._given)
        return [self.texts.get(f"{source}/{i}") for i in range(count)]


def write_config(folder: Path, sources: Sources, dedup: dict[str, Any], workers: int = 1) -> Path:
    """Sources of two files each, so that what repeats lies in different shards."""
    for source, texts in sources.items():
        lines = [json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)]
        (folder / source).mkdir(exist_ok=True, parents=True)
        half = (len(lines) + 1) // 2
        (folder / source / "a.jsonl").write_text("".join(lines[:half]))
        (folder / source / "b.jsonl").write_text("".join(lines[half:]))
    config = {
        "run": "test",
        "workdir": str(folder / "runs"),
        "executor": {"kind": "local", "workers": workers},
        "sources": {s: {"read": "jsonl", "paths": [f"{s}/*.jsonl"], "id": "id", "text": "text"} for s in sources},
        "dedup": dedup,
    }
    path = folder / "test.yaml"
    path.write_text(json.dumps(config))
    return path


def execute_plan(config: Path) -> tuple[Path, list[str]]:
    """The run's folder, and the tasks that were not finished before, executed one after the other in this process."""
    state = State(build(load(config, [])))
    ran = []
    for task in state.plan.tasks:
        if not state.finished(task.name):
            execute(state, task.name)
            ran.append(task.name)
    link_outputs(state)
    return state.plan.directory, ran


def run_texts(folder: Path, texts: list[str] | Sources, **dedup: Any) -> Outcome:
    """Run one cutting step over the texts and check what every outcome must fulfil."""
    sources = texts if isinstance(texts, dict) else {"web": texts}
    outcome = Outcome(execute_plan(write_config(folder, sources, dedup))[0], sources)
    (step,) = dedup
    outcome.check({"lines": "dedup.line", "substring": "dedup.substring"}[step])
    return outcome
