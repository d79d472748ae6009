"""Encoding speed of every engine against Hugging Face's encode_batch_fast: CPU time over the same real texts.

    python benchmarks/tokenizer_encode.py --data DIR

DIR holds text/*.jsonl.zst; needs the extra `encode`.  A vocabulary of 200,000 is trained on most of the texts;
other documents are measured.  In every round each engine is opened anew and encodes the texts of the training
first (engines keep the words they have seen), then the measured ones ("new"), then those again ("again": all
words seen, as engines are usually compared).  A corpus of many gigabytes lies between the two.
Ours is the whole call of `Encoder.encode` with its guards, from an Arrow column to one array of ids; Hugging
Face gets a list of Python strings and gives lists.  Ids are compared in every round.
Writes benchmarks/results/tokenizer_encode.json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

os.environ["RAYON_NUM_THREADS"] = "1"  # before any engine is loaded: figures are per core

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from results import write_result
from tokenizers import Tokenizer

from curation.pipeline.hashing import hash64
from tokenizer.counting.count import count_words
from tokenizer.counting.weights import word_counts
from tokenizer.encoding.corpus import encode_shard
from tokenizer.encoding.encode import SPEED_ORDER, open_encoder
from tokenizer.formats.export import export
from tokenizer.splitting.patterns import pattern_of
from tokenizer.training.train import train
from tokenizer.vocabulary import Vocabulary

ENGLISH = ("academic", "books", "encyclopedia", "speeches", "tech_docs", "textbooks")
TRAIN, MEASURED = range(2)
ENGINES = tuple(name for name in SPEED_ORDER if name != "tokenizers")  # that is encode_batch_fast itself
WITH_MEMORY = ("gigatoken", "fastokens")


def texts_of(data: Path, use: int, megabytes: float, names: tuple[str, ...] = ()) -> list[str]:
    """Texts of one use, at most `megabytes` of each file; uses are told apart by the hash of the id."""
    found = []
    for path in sorted((data / "text").glob("*.jsonl.zst")):
        if names and path.name.split(".")[0] not in names:
            continue
        budget = megabytes * 1e6
        for name, text in records(path):
            if (MEASURED if hash64(name) % 8 == 1 else TRAIN) == use and budget > 0:
                budget -= len(text.encode())
                found.append(text)
    return found


def records(path: Path) -> Iterator[tuple[str, str]]:
    with open(path, "rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
            record = json.loads(line)
            yield record["id"], record["text"]


def trained(texts: list[str], directory: Path, vocab_size: int) -> Path:
    """A tokenizer directory, trained on the texts."""
    unknown = pa.array([None] * len(texts), pa.string())
    batch = pa.RecordBatch.from_arrays(
        [pa.array(texts, pa.large_string()), unknown, unknown], ["text", "language", "domain"]
    )
    pattern = pattern_of("o200k")
    training = train(word_counts(count_words([batch], pattern)), vocab_size)
    return export(Vocabulary(pattern, training.merges), directory)


def cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def measure(tokenizer: Path, warm_up: list[str], texts: list[str]) -> dict[str, float]:
    """CPU seconds of each engine over `texts`; raises where one gives other ids than Hugging Face."""
    column = pa.array(texts, pa.large_string())
    reference = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    reference.encode_special_tokens = True
    reference.encode_batch_fast(warm_up[:20])
    seconds = {}
    seconds["encode_batch_fast"], lists = cpu(
        lambda: [one.ids for one in reference.encode_batch_fast(texts, add_special_tokens=False)]
    )
    wanted = np.concatenate([np.array(one, np.uint32) for one in lists if one])
    for name in ENGINES:
        encoder = open_encoder(tokenizer, name)
        encoder.token_counts(pa.array(warm_up if name in WITH_MEMORY else warm_up[:20], pa.large_string()))
        for state in ("new", "again"):
            seconds[f"{name}, {state}"], (ids, _) = cpu(lambda encoder=encoder: encoder.encode(column))
            if not np.array_equal(ids, wanted):
                raise SystemExit(f"{name} gives other ids than Hugging Face")
    return seconds


def shard_seconds(tokenizer: Path, warm_up: list[str], texts: list[str], folder: Path) -> float:
    """CPU seconds from a Parquet shard of documents to a written shard of ids, by the best engine."""
    source = folder / "documents.parquet"
    rows = {"id": [f"d{i}" for i in range(len(texts))], "text": pa.array(texts, pa.large_string())}
    pq.write_table(pa.table(rows), source, compression="zstd", row_group_size=500)
    encoder = open_encoder(tokenizer)
    encoder.token_counts(pa.array(warm_up, pa.large_string()))
    (folder / "out").mkdir(exist_ok=True)
    seconds, manifest = cpu(lambda: encode_shard(source, folder / "out", encoder))
    if manifest.wall_s == 0:
        raise SystemExit("the shard was there already")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vocab-size", type=int, default=200_000)
    parser.add_argument("--train-megabytes", type=float, default=8, help="of each file (default 8)")
    parser.add_argument("--megabytes", type=float, default=0.5, help="of each file, measured (default 0.5)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"vocab_size": arguments.vocab_size}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm_up = texts_of(arguments.data, TRAIN, arguments.train_megabytes)
        tokenizer = trained(warm_up, folder / "tokenizer", arguments.vocab_size)
        for kind, files in (("mixed", ()), ("english", ENGLISH)):
            texts = texts_of(arguments.data, MEASURED, arguments.megabytes, files)
            megabytes = sum(len(text.encode()) for text in texts) / 1e6
            rounds = []
            for number in range(arguments.rounds):
                seconds = measure(tokenizer, warm_up, texts)
                (folder / f"{kind}{number}").mkdir()
                seconds["shard_with_best_engine"] = shard_seconds(tokenizer, warm_up, texts, folder / f"{kind}{number}")
                rounds.append(seconds)
                print(kind, {key: round(megabytes / value, 1) for key, value in seconds.items()}, flush=True)
            result[kind] = {
                "documents": len(texts),
                "megabytes": round(megabytes, 2),
                "mb_per_cpu_s": {key: round(megabytes / median(r[key] for r in rounds), 1) for key in rounds[0]},
                "times_encode_batch_fast": {
                    key: round(median(r["encode_batch_fast"] / r[key] for r in rounds), 1) for key in rounds[0]
                },
                "ids_equal": True,  # otherwise `measure` ended the program
                "rounds": rounds,
            }
    peers = {name: version(name) for name in ("gigatoken", "fastokens", "tiktoken", "tokenizers")}
    write_result("tokenizer_encode", result, peers)


if __name__ == "__main__":
    main()
