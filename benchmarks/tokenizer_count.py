"""Counting words for a vocabulary against the feed of Hugging Face's trainer: CPU time over the same real texts.

    python benchmarks/tokenizer_count.py --data DIR [--megabytes 40] [--rounds 3]

DIR holds text/*.jsonl.zst (all of them are used, in equal parts).  Ours: Arrow texts → sorted Parquet table,
clip 10, one thread.  Peer: `train_from_iterator` of `tokenizers` to 256 tokens (no merge), one thread, over a
Python list: split and count; its start-up work on the distinct words is measured apart and taken off in
`ratio_without_pair_counts`.  Both cut the same texts: the words and counts of one document in eight are compared
in the same run.  Also: share of the text's bytes, merge of shards, two threads, peak memory.
Writes benchmarks/results/tokenizer_count.json.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import zstandard
from peer_process import Peer
from results import write_result

from tokenizer.counting.count import count_to_file, count_words, merge_counts, word_counts
from tokenizer.splitting.patterns import PATTERNS

O200K = PATTERNS["o200k"]
BATCH = 512  # documents
SHARDS = 4
COMPARED = 8  # one document in so many


def load(data: Path, megabytes: float) -> pa.Table:
    """text, language, domain of about `megabytes` MB, the same from each file (short files give all they have)."""
    files = sorted((data / "text").glob("*.jsonl.zst"))
    rows: list[tuple[str, str, str]] = []
    for path in files:
        left = megabytes * 1e6 / len(files)
        with path.open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
                record = json.loads(line)
                rows.append((record["text"], record.get("lang") or "und", path.name.split(".")[0]))
                left -= len(record["text"].encode())
                if left <= 0:
                    break
    text, language, domain = zip(*rows, strict=True)
    return pa.table({"text": pa.array(text, pa.large_string()), "language": language, "domain": domain})


def batches(table: pa.Table, part: int = 0, parts: int = 1) -> list[pa.RecordBatch]:
    """Every `parts`-th batch of the documents."""
    return table.combine_chunks().to_batches(BATCH)[part::parts]


def write_texts(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        for batch in batches(table):
            writer.write_batch(batch)


def cpu(function: Any) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def wall(function: Any) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def hash_blocks(threads: int) -> None:
    """Work that is known to run in threads side by side."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: hashlib.sha256(bytes(1 << 28)).digest(), range(2)))


def digest(sample: pa.Table) -> str:
    """Of the unclipped words and counts, as the peer computes it."""
    counted = word_counts(count_words(batches(sample), O200K, clip=None))
    state = hashlib.sha256()
    for word, n in zip(counted.words.to_pylist(), counted.counts.tolist(), strict=True):
        state.update(b"%d %d " % (len(word), n) + word)
    return state.hexdigest()


MEMORY_CODE = """
import json, re, sys
from pathlib import Path
import pyarrow as pa, pyarrow.ipc
from tokenizer.counting.count import count_to_file
from tokenizer.splitting.patterns import PATTERNS
batches = pa.ipc.open_file(sys.argv[1]).read_all().to_batches()
target = Path(sys.argv[2])
count_to_file([batches[0].slice(0, 2)], target, PATTERNS["o200k"])  # loads the kernels
def peak():
    return int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what is held now
before = peak()
count_to_file(batches, target, PATTERNS["o200k"], memory=int(sys.argv[3]))
print(json.dumps(round(peak() - before)))
"""


def extra_memory(texts: Path, target: Path, limit: int) -> int:
    """MB that counting adds to the peak of a fresh process that holds the texts."""
    command = [sys.executable, "-c", MEMORY_CODE, str(texts), str(target), str(limit)]
    return int(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = load(arguments.data, arguments.megabytes)
    size = sum(len(text.encode()) for text in table["text"].to_pylist())
    everything = load(arguments.data, 10_000)
    count_words(batches(table.slice(0, 4)), O200K)  # compile or load the kernels before the clock starts

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = folder / "texts.arrow"
        write_texts(table, texts)
        peer = Peer(sys.executable, "tokenizer_count_peer.py", texts)
        sample = table.take(np.arange(0, len(table), COMPARED))
        if digest(sample) != peer.ask(f"digest {COMPARED}"):
            raise SystemExit("the words differ from Hugging Face's")
        rounds: list[dict[str, float]] = []
        for _ in range(arguments.rounds):
            ours = cpu(lambda: count_to_file(batches(table), folder / "ours", O200K))
            rounds.append({"ours": ours, **peer.ask("feed")})
        one = {
            "documents": len(table),
            "megabytes": round(size / 1e6, 2),
            "ours_mb_per_s": round(size / 1e6 / median(r["ours"] for r in rounds), 1),
            "peer_mb_per_s": round(size / 1e6 / median(r["feed"] for r in rounds), 2),
            "ratio": round(median(r["feed"] / r["ours"] for r in rounds), 1),
            "ratio_without_pair_counts": round(median((r["feed"] - r["pairs"]) / r["ours"] for r in rounds), 1),
            "table_share_of_text": round((folder / "ours").stat().st_size / size, 4),
            "words_identical_on_documents": len(sample),
            "extra_memory_mb": {
                "ours": extra_memory(texts, folder / "memory", 1 << 30),
                "peer": round(peer.ask("memory")),
            },
        }
        result = {**one, "all": shards(everything, folder, arguments.rounds), "rounds": rounds}
    print(json.dumps({key: value for key, value in result.items() if key != "rounds"}, indent=1))
    write_result("tokenizer_count", result, peer.versions)


def shards(table: pa.Table, folder: Path, rounds: int) -> dict[str, Any]:
    """All texts in SHARDS tables: one thread and two in turn, then their merge."""
    parts = [batches(table, k, SHARDS) for k in range(SHARDS)]
    paths = [folder / f"{k}.parquet" for k in range(SHARDS)]
    size = sum(len(text.encode()) for text in table["text"].to_pylist())

    def count(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda k: count_to_file(parts[k], paths[k], O200K), range(SHARDS)))

    walls: dict[int, list[float]] = {1: [], 2: []}
    counting, merging, control = [], [], []
    for _ in range(rounds):
        counting.append(cpu(lambda: walls[1].append(wall(lambda: count(1)))))
        walls[2].append(wall(lambda: count(2)))
        control.append(wall(lambda: hash_blocks(1)) / wall(lambda: hash_blocks(2)))
        merging.append(cpu(lambda: merge_counts(paths, folder / "merged")))
    rows = sum(pq.ParquetFile(path).metadata.num_rows for path in paths)
    texts = folder / "all.arrow"
    write_texts(table, texts)
    return {
        "shards": SHARDS,
        "megabytes": round(size / 1e6, 1),
        "table_share_of_text": round(sum(path.stat().st_size for path in paths) / size, 4),
        "count_cpu_s": round(median(counting), 2),
        "merge_cpu_s": round(median(merging), 2),
        "merge_share_of_count": round(median(m / c for m, c in zip(merging, counting, strict=True)), 3),
        "merge_rows_per_cpu_s": round(rows / median(merging)),
        "extra_memory_mb": {
            "one_table": extra_memory(texts, folder / "memory", 1 << 34),
            "tables_of_64_mb": extra_memory(texts, folder / "memory", 64 << 20),
        },
        # meaningful where the control gets near 2 only (a machine that others use gives a process a fixed share)
        "two_threads_control_sha256": [round(one, 2) for one in control],
        "two_threads_speedup_rounds": [round(a / b, 2) for a, b in zip(walls[1], walls[2], strict=True)],
        "load_average": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
