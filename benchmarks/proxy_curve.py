"""A real learning curve on a CPU: bits per byte of held-out text against a unigram and 5-grams.

    python benchmarks/proxy_curve.py FOLDER --data DIR

English texts of DIR/text are cleaned, deduplicated, tokenized (4,000 ids) and packed (4M tokens, rows of 1,024); pico
with d = 128 reads them twice.  The 5-grams (interpolated Kneser-Ney) are counted on the same rows and scored on the
same tokens of documents that the run holds out.  About 17 minutes on one thread; a second call resumes.
Writes benchmarks/results/proxy_curve.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from results import write_result

SOURCES = {
    "academic": ("academic", "textbooks"),
    "encyclopedia": ("encyclopedia",),
    "nonfiction": ("nonfiction",),
    "qa": ("qa_dialogue",),
    "tech": ("tech_docs", "tech_docs_2"),
}


def packed(folder: Path, data: Path) -> dict[str, Any]:
    sources = {
        name: {
            "read": "jsonl", "paths": [str(data / "text" / f"{one}.jsonl.zst") for one in files], "text": "text",
            "id": "id",
        }
        for name, files in SOURCES.items()
    }  # fmt: skip
    return {
        "run": "text", "workdir": str(folder), "seed": 17, "executor": {"kind": "local", "workers": 2},
        "sources": sources, "clean": [{"language": {"keep": ["en"], "min_score": 0.5}}],
        "dedup": {"exact": {}, "minhash": {}}, "quality": {"model": "default"},
        "tokenizer": {"train": {"vocab_size": 4000}, "evaluate": False},
        "mix": {"budget": "4M", "preset": "proportional"}, "pack": {"sequence_length": 1024},
    }  # fmt: skip


def trained(folder: Path) -> dict[str, Any]:
    return {
        "run": "text-pico", "out": str(folder), "shards": str(folder / "text"),
        "model": {"preset": "pico", "vocab_size": 4096, "width": 128, "heads": 4, "expert_width": 256},
        "epochs": 2, "batch": 4096, "lr": 0.004, "decay": 0.5, "seeds": {"init": 0, "order": 0},
        "evaluate": {"every": 100, "holdout": "run"}, "checkpoint": {"every": 100, "keep": 2},
    }  # fmt: skip


def curate(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "curation.cli", *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name, config in (("run", packed(folder, arguments.data.resolve())), ("train", trained(folder))):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    curate("run", str(folder / "run.yaml"))
    curate("proxy", "train", str(folder / "train.yaml"), "--resume")
    run = folder / "text-pico"
    rows = [one for one in pq.read_table(run / "sources.parquet").to_pylist() if one["set"] == "held_out"]
    curve = [[one["tokens"], round(one["bits_per_byte"], 4)] for one in rows if one["kind"] == "all"]
    last = max(one["step"] for one in rows)
    steps = pq.read_table(run / "steps.parquet").to_pydict()
    result = {
        "held_out_bytes": next(one["bytes"] for one in rows if one["kind"] == "all"),
        "model": {one["name"] or "all": one["bits_per_byte"] for one in rows if one["step"] == last},
        "baselines": {
            one["name"]: {score["name"] or "all": score["bits_per_byte"] for score in one["scores"]}
            for one in json.loads((run / "baselines.json").read_text())
        },
        "curve": curve,
        "steps": len(steps["step"]),
        "tokens": steps["tokens"][-1],
        "median_tokens_per_s": sorted(steps["tokens_per_s"])[len(steps["step"]) // 2],
        "skipped": sum(steps["skipped"]),
        "spikes": sum(steps["spike"]),
    }
    print(json.dumps({name: result[name] for name in ("model", "baselines")}, indent=1))
    write_result("proxy_curve", result)


if __name__ == "__main__":
    main()
