"""Small runs that end in packed shards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.pipeline.config import load
from curation.pipeline.run import run
from packing.layout.manifest import Manifest
from tests.tokenizer.vocabularies import small_vocabulary
from tokenizer.formats.export import export

EXPORTED = ["megatron", "parquet"]  # the other formats: tests/packing/export
WORDS = ["river", "sand", "hills", "towns", "records", "floods", "sea", "along", "kept", "carries", "from", "and"]
PACK = {"sequence_length": 64, "min_fragment": 4}


def make_base(folder: Path) -> Path:
    """Two sources of 40 documents, some of them copies, and a tokenizer."""
    for source in ("notes", "tales"):
        with open(folder / f"{source}.jsonl", "w") as file:
            for i in range(40):
                words = [WORDS[(i * (k + 1) + k * k) % len(WORDS)] for k in range(3 + i * (1 + (source == "tales")))]
                text = f"{source} {i if i % 9 else 0}: " + " ".join(words if i % 9 else WORDS) if i != 7 else ""
                file.write(json.dumps({"id": f"{i}", "text": text}) + "\n")
    export(small_vocabulary(), folder / "tokenizer")
    return folder


def write(base: Path, name: str, workers: int = 1, tokenizer: bool = True, **pack: Any) -> Path:
    config: dict[str, Any] = {
        "run": name,
        "workdir": str(base / "runs"),  # shared: what one run made, another reuses
        "seed": 3,
        "executor": {"kind": "local", "workers": workers},
        "sources": {
            source: {"read": "jsonl", "paths": [f"{source}.jsonl"], "text": "text", "id": "id"}
            for source in ("notes", "tales")
        },
        "dedup": {"exact": {}},
        "pack": {**PACK, **pack},
    }
    if tokenizer:
        config["tokenizer"] = {"path": "tokenizer"}
    path = base / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


@dataclass(frozen=True)
class Finished:
    """A run, its summary and its shards."""

    folder: Path
    summary: dict[str, Any]
    manifest: Manifest

    @property
    def shards(self) -> Path:
        return self.folder / "shards"


def executed(path: Path) -> Finished:
    config = load(path, [])
    summary = run(config, quiet=True)
    folder = Path(config.core.workdir) / config.core.run
    return Finished(folder, summary, Manifest.read(folder / "shards"))
