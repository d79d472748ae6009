"""Small runs that end in a mix of tagged documents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.config import load
from curation.pipeline.run import run
from tests.tokenizer.vocabularies import small_vocabulary
from tokenizer.formats.export import export

SUBJECTS = {
    "tales": "The old king walked along the river with his daughter and told her of the war in the hills",
    "notes": "Install the package then set the variable and run the server with python to test the database",
    "sums": "Let the integral of a continuous function over a compact interval be bounded by the theorem above",
}
MIX = {"budget": 12_000, "floors": 0.5}


def make_base(folder: Path, documents: int = 60) -> Path:
    """Three sources of documents of many lengths, one without a word, and a tokenizer."""
    for source, subject in SUBJECTS.items():
        words = subject.split()
        with open(folder / f"{source}.jsonl", "w") as file:
            for i in range(documents):
                length = 4 + (i * 17) % (20 + 40 * (i % 3))
                text = " ".join(words[(i * (k + 1) + k * k) % len(words)] for k in range(length))
                file.write(json.dumps({"id": f"{i}", "text": "" if i == 11 else f"{text} {i}."}) + "\n")
    export(small_vocabulary(), folder / "tokenizer")
    return folder


def write(base: Path, name: str, workers: int = 1, tags: bool = True, pack: bool = False, **mix: Any) -> Path:
    config: dict[str, Any] = {
        "run": name,
        "workdir": str(base / "runs"),  # shared: what one run made, another reuses
        "seed": 3,
        "executor": {"kind": "local", "workers": workers},
        "sources": {
            one: {"read": "jsonl", "paths": [f"{one}.jsonl"], "text": "text", "id": "id"} for one in sorted(SUBJECTS)
        },
        "dedup": {"exact": {}},
        "tokenizer": {"path": "tokenizer"},
        "mix": {**MIX, **mix},
    }
    if tags:
        config["quality"] = {"model": "default", "holdout": 0.1}
    if pack:
        config["pack"] = {"sequence_length": 64, "min_fragment": 4, "window": 8}
    path = base / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


@dataclass(frozen=True)
class Finished:
    """A run, its summary and its mix."""

    folder: Path
    summary: dict[str, Any]

    @cached_property
    def plan(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads((self.folder / "mix/plan.json").read_bytes())
        return found

    @cached_property
    def table(self) -> pa.Table:
        return pa.concat_tables(pq.read_table(one) for one in sorted((self.folder / "mix").glob("*.parquet")))

    @cached_property
    def documents(self) -> dict[int, dict[str, Any]]:
        """Kept documents by doc_key, without their texts."""
        rows = [
            row
            for path in sorted((self.folder / "documents").glob("*.parquet"))
            for row in pq.read_table(path).drop_columns(["text"]).to_pylist()
        ]
        return {row["doc_key"]: row for row in rows}


def executed(path: Path) -> Finished:
    config = load(path, [])
    summary = run(config, quiet=True)
    return Finished(Path(config.core.workdir) / config.core.run, summary)
