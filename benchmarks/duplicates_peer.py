"""The peers of duplicates.py: datatrove's MinHash pipeline and datasketch's LSH (no imports of ours).

    python duplicates_peer.py DOCUMENTS.jsonl WORK_FOLDER

Prints one JSON object: for each tool the ids that it keeps, and versions.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

from datasketch import MinHash, MinHashLSH
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

WORDS = 5
CONFIG = MinhashConfig(n_grams=WORDS, num_buckets=14, hashes_per_bucket=8)


def datatrove_keeps(documents: Path, work: Path) -> list[str]:
    """The four stages of datatrove's example, one task."""
    folder = {name: str(work / name) for name in ("signatures", "buckets", "remove", "kept")}
    reader = JsonlReader(str(documents.parent), glob_pattern=documents.name)
    stages = [
        [reader, MinhashDedupSignature(folder["signatures"], CONFIG)],
        [MinhashDedupBuckets(folder["signatures"], folder["buckets"], config=CONFIG)],
        [MinhashDedupCluster(folder["buckets"], folder["remove"], config=CONFIG)],
        [reader, MinhashDedupFilter(folder["remove"]), JsonlWriter(folder["kept"], compression=None)],
    ]
    for i, stage in enumerate(stages):
        tasks = CONFIG.num_buckets if i == 1 else 1
        LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=str(work / f"logs{i}")).run()
    return [json.loads(line)["id"] for file in Path(folder["kept"]).iterdir() for line in file.open()]


def datasketch_keeps(documents: Path) -> list[str]:
    """Threshold 0.8, 256 permutations, word 5-grams: a document that finds a kept one is a duplicate."""
    index = MinHashLSH(threshold=0.8, num_perm=256)
    kept = []
    for line in documents.open():
        record = json.loads(line)
        words = re.findall(r"\w+", record["text"].lower())
        grams = {" ".join(words[i : i + WORDS]).encode() for i in range(max(len(words) - WORDS + 1, 1))}
        sketch = MinHash(num_perm=256)
        sketch.update_batch(list(grams))
        if not index.query(sketch):
            index.insert(record["id"], sketch)
            kept.append(record["id"])
    return kept


def main() -> None:
    documents, work = Path(sys.argv[1]), Path(sys.argv[2])
    result = {
        "datatrove 14x8": datatrove_keeps(documents, work),
        "datasketch 0.8": datasketch_keeps(documents),
    }
    versions = {name: version(name) for name in ("datatrove", "datasketch")}
    (work / "peers.json").write_text(json.dumps({"kept": result, "versions": versions}))


if __name__ == "__main__":
    main()
