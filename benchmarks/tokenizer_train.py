"""Raw text to vocabulary against Hugging Face tokenizers, rustbpe and bpeasy: CPU time and memory, one thread each.

    python benchmarks/tokenizer_train.py --data DIR --peer-python PATH [--megabytes 100] [--rounds 2]
    python benchmarks/tokenizer_train.py --peer-python PATH --proofs

DIR holds text/*.jsonl.zst; PATH is the interpreter of an environment with the peers.  Every run is a process of
its own over the same JSON lines, in turn; extra memory = peak − resident before the first text.  Ours: count,
table, merges; `retrain` repeats the merges from the table with other language weights.  Our merges must equal
Hugging Face's in the same run.  `--proofs`: one long word, and pair counts beyond 32 bits (11 GB of letters through
Hugging Face's trainer).  Writes benchmarks/results/tokenizer_train.json or tokenizer_train_proofs.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import zstandard
from results import write_result
from tokenizer_train_peer import LETTERS, RUN, digest, memory

from curation.pipeline.hashing import hash64
from tokenizer.counting.count import count_words, word_counts
from tokenizer.splitting.patterns import pattern_of
from tokenizer.training.train import train
from tokenizer.vocabulary import Vocabulary
from tokenizer.words import WordCounts, word_counts_of

O200K = pattern_of("o200k")
BATCH_BYTES = 4 << 20
PEER_SCRIPT = Path(__file__).with_name("tokenizer_train_peer.py")
ONE_THREAD = {**os.environ, "RAYON_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# pair counts that Hugging Face's 32 bits cannot hold, and a rarer pair that it takes for the more frequent one
OVERFLOWS = ((2**31 + 1_000, 1_000_000), (3_000_000_000, 1_000_000), (5_000_000_000, 800_000_000))
WORDS = (50_000, 100_000, 200_000, 400_000)  # letters
QUADRATIC_UP_TO = 200_000  # letters given to Hugging Face's trainer


def batches(path: str) -> Iterator[pa.RecordBatch]:
    rows: list[list[str]] = []
    size = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            rows.append(json.loads(line))
            size += len(line)
            if size > BATCH_BYTES:
                yield batch_of(rows)
                rows, size = [], 0
    if rows:
        yield batch_of(rows)


def batch_of(rows: list[list[str]]) -> pa.RecordBatch:
    texts, languages = zip(*rows, strict=True)
    columns = [pa.array(texts, pa.large_string()), pa.array(languages), pa.array([""] * len(rows))]
    return pa.record_batch(columns, ["text", "language", "domain"])


def merge_digest(words: WordCounts, size: int) -> tuple[str, int]:
    found = train(words, size)
    tokens = Vocabulary(O200K, found.merges).tokens()
    return digest([(tokens[left], tokens[right]) for left, right in found.merges.tolist()]), found.vocab_size


def ours(path: str, size: int) -> dict[str, Any]:
    """One run in this process: the clock covers all from the first line read to the last merge."""
    warm = count_words([batch_of([["a b", "en"]])], O200K)
    train(word_counts(warm, {"en": 1.0}), 300)  # compile or load the kernels
    before, start = memory("VmRSS"), time.process_time()
    table = count_words(batches(path), O200K, clip=None)
    words = word_counts(table)
    counted = time.process_time()
    found = train(words, size)
    trained, peak = time.process_time(), memory("VmHWM")
    languages = sorted(set(table["language"].unique().to_pylist()))
    again = time.process_time()
    train(word_counts(table, {name: 1.0 + i % 3 for i, name in enumerate(languages)}), size)
    retrained = time.process_time() - again
    tokens = Vocabulary(O200K, found.merges).tokens()
    return {
        "cpu_s": trained - start,
        "count_s": counted - start,
        "merge_s": trained - counted,
        "retrain_s": retrained,
        "extra_mb": peak - before,
        "tokens": found.vocab_size,
        "words": len(words),
        "bytes_of_words": int(words.offsets[-1]),
        "merges": digest([(tokens[left], tokens[right]) for left, right in found.merges.tolist()]),
    }


def run(python: str, script: Path, *arguments: object) -> dict[str, Any]:
    command = [python, str(script), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ONE_THREAD)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(*arguments[:1], *arguments[2:3], {key: value for key, value in found.items() if key != "merges"}, flush=True)
    return found


def write_texts(data: Path, megabytes: float, target: Path) -> tuple[int, int]:
    """Documents of all files in hash order until there is enough; returns (documents, bytes)."""
    rows = []
    for path in sorted((data / "text").glob("*.jsonl.zst")):
        with open(path, "rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
                record = json.loads(line)
                rows.append((hash64(record["id"]), record["text"], record["lang"]))
    written = documents = 0
    with open(target, "w", encoding="utf-8") as file:
        for _, text, language in sorted(rows):
            if written >= megabytes * 1e6:
                break
            file.write(json.dumps([text, language], ensure_ascii=False) + "\n")
            written += len(text.encode())
            documents += 1
    return documents, written


def compare(data: Path, python: str, megabytes: float, rounds: int) -> dict[str, Any]:
    plan = [(size, ("tokenizers",), 1) for size in (32_000, 64_000)]
    plan.append((200_000, ("tokenizers", "rustbpe", "bpeasy"), rounds))
    sizes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.jsonl"
        documents, written = write_texts(data, megabytes, texts)
        for size, peers, times in plan:
            found: list[dict[str, Any]] = []
            for _ in range(times):
                one = {"ours": run(sys.executable, Path(__file__), "--ours", texts, size)}
                for peer in peers:
                    one[peer] = run(python, PEER_SCRIPT, peer, texts, size, O200K.stages[0])
                if one["ours"]["merges"] != one["tokenizers"]["merges"]:
                    raise SystemExit(f"the merges differ from Hugging Face's at {size}")
                found.append(one)
            cpu = {peer: round(median(r[peer]["cpu_s"] / r["ours"]["cpu_s"] for r in found), 2) for peer in peers}
            extra = {
                peer: round(median(r["ours"]["extra_mb"] / r[peer]["extra_mb"] for r in found), 3) for peer in peers
            }
            again = median(r["tokenizers"]["cpu_s"] / r["ours"]["retrain_s"] for r in found)
            sizes[str(size)] = {
                "times_our_cpu": cpu,
                "our_share_of_extra_memory": extra,
                "hugging_face_cpu_over_our_retraining": round(again, 2),
                "merges_equal_hugging_faces": True,
                "runs": found,
            }
    return {"documents": documents, "megabytes": round(written / 1e6, 1), "sizes": sizes}


def proofs(python: str) -> dict[str, Any]:
    train(word_counts_of({b"ab": 1}), 300)
    words = {}
    for letters in WORDS:
        counts = word_counts_of({"".join(random.Random(letters).choices(LETTERS, k=letters)).encode(): 1})
        times = []
        for _ in range(3):
            start = time.process_time()
            train(counts, 2_000)
            times.append(time.process_time() - start)
        one: dict[str, Any] = {"ours_cpu_s": min(times)}
        if letters <= QUADRATIC_UP_TO:
            peer = run(python, PEER_SCRIPT, "word", letters)
            equal = peer["merges"] == merge_digest(counts, 2_000)[0]
            one |= {"tokenizers_cpu_s": peer["cpu_s"], "ratio": peer["cpu_s"] / min(times), "merges_equal": equal}
        words[letters] = one
    overflows = []
    for count, rival in OVERFLOWS:
        wanted = {letter * RUN: n // (RUN - 1) for letter, n in ((b"a", count), (b"c", rival))}
        wanted |= {letter * (n % (RUN - 1) + 1): 1 for letter, n in ((b"a", count), (b"c", rival))}
        found = train(word_counts_of(wanted), 257)
        pair = [Vocabulary(O200K, found.merges).tokens()[i].decode() for i in found.merges[0]]
        theirs = run(python, PEER_SCRIPT, "overflow", count, rival)["first_merge"]
        overflows.append(
            {"aa": count, "cc": rival, "ours": pair, "our_count": int(found.pair_counts[0]), "tokenizers": theirs}
        )
    return {"one_word_to_2000_tokens": words, "first_merge": overflows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peer-python")
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--proofs", action="store_true")
    parser.add_argument("--ours", nargs=2, metavar=("FILE", "SIZE"), help="one run of ours, for the comparison itself")
    arguments = parser.parse_args()
    if arguments.ours:
        print(json.dumps(ours(arguments.ours[0], int(arguments.ours[1]))))
        return
    if not arguments.peer_python or not (arguments.proofs or arguments.data):
        parser.error("--peer-python is needed, and --data or --proofs")
    versions = run(arguments.peer_python, PEER_SCRIPT, "versions")
    if arguments.proofs:
        result, name = proofs(arguments.peer_python), "tokenizer_train_proofs"
        print(json.dumps(result, indent=1))
    else:
        result = compare(arguments.data, arguments.peer_python, arguments.megabytes, arguments.rounds)
        name = "tokenizer_train"
    write_result(name, result, versions)


if __name__ == "__main__":
    main()
