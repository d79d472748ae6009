"""The barrier of near-duplicates on many documents with a hot template: CPU time and peak memory of its worker.

    python benchmarks/dedup_scale.py

Made texts of about 100 words: 40 % in stars of four, 30 % pages of one template that are candidates of each
other but no near-duplicates (Jaccard 0.6), 30 % unlike anything.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

from results import write_result

from curation.pipeline.config import load
from curation.pipeline.run import run

DOCUMENTS, FILES = 240_000, 4


def write_texts(folder: Path) -> None:
    chance = random.Random(1)
    words = [f"w{i}" for i in range(20_000)]
    template, base = chance.choices(words, k=80), words[:100]
    folder.mkdir()
    for number in range(FILES):
        with open(folder / f"{number}.jsonl", "w") as file:
            for i in range(DOCUMENTS // FILES):
                if i % 10 == 0:
                    base = chance.choices(words, k=100)
                if i % 10 < 4:
                    text = list(base)
                    text[chance.randrange(100)] = f"x{i}"
                elif i % 10 < 7:
                    text = template + [f"u{number}_{i}_{j}" for j in range(25)]
                else:
                    text = chance.choices(words, k=100)
                file.write(json.dumps({"text": " ".join(text)}) + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_texts(folder / "x")
        config = {
            "run": "scale",
            "workdir": str(folder / "runs"),
            "executor": {"kind": "local", "workers": 1},
            "sources": {"x": {"read": "jsonl", "paths": ["x/*.jsonl"]}},
            "dedup": {"minhash": {}},
        }
        (folder / "scale.yaml").write_text(json.dumps(config))
        run(load(folder / "scale.yaml", []), yes=True, quiet=True)
        # once more with another threshold: only the barrier and what follows, in a fresh worker
        summary = run(load(folder / "scale.yaml", ["dedup.minhash.jaccard=0.81"]), yes=True, quiet=True)
        manifests = sorted((folder / "runs" / "minhash").glob("*/_manifest.json"), key=lambda p: p.stat().st_mtime)
        manifest = json.loads(manifests[-1].read_text())
    result = {key: manifest[key] for key in ("counts", "cpu_s", "max_rss_mb")}
    result |= {"documents": DOCUMENTS, "removed_by": summary["removed_by"]}
    print(json.dumps(result, indent=1))
    write_result("dedup_scale", result)


if __name__ == "__main__":
    main()
