"""The peers of minhash.py: datatrove, datasketch and Daft, run by their own interpreter (no imports of ours).

Reads one JSON array of texts from the file named on the command line, then answers each tool's name
on standard input with the CPU seconds of one pass over the texts.
"""

from __future__ import annotations

import json
import re
import sys
import time
from importlib.metadata import version

import daft
import datasketch
import numpy as np
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

WORDS, PERMUTATIONS = 5, 112
SIGNATURE = MinhashDedupSignature("/nonexistent", MinhashConfig(n_grams=WORDS, num_buckets=14, hashes_per_bucket=8))
WORD = re.compile(r"\w+")


def datatrove_pass(texts: list[str]) -> None:
    """What the signature stage does with each document: normalise, tokenise, hash, permute."""
    for text in texts:
        shingles = SIGNATURE.get_shingles(text)
        if shingles.size:
            SIGNATURE.get_signature(shingles)


def datasketch_pass(texts: list[str]) -> None:
    """Word 5-grams of lower-cased `\\w+`, then datasketch's own hashing and permutations."""
    for text in texts:
        words = WORD.findall(text.lower())
        grams = {" ".join(words[i : i + WORDS]).encode() for i in range(len(words) - WORDS + 1)}
        datasketch.MinHash(num_perm=PERMUTATIONS).update_batch(list(grams))


def daft_pass(texts: list[str], *, normalize: bool) -> None:
    column = daft.col("text")
    if normalize:
        column = column.normalize(remove_punct=True, lowercase=True, nfd_unicode=True, white_space=True)
    frame = daft.from_pydict({"text": texts})
    frame.select(column.minhash(num_hashes=PERMUTATIONS, ngram_size=WORDS, hash_function="xxhash")).collect()


PASSES = {
    "datatrove": datatrove_pass,
    "datasketch": datasketch_pass,
    "daft": lambda texts: daft_pass(texts, normalize=False),
    "daft_normalized": lambda texts: daft_pass(texts, normalize=True),
}


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        texts = json.load(file)
    for one in PASSES.values():
        one(texts[:5])  # load models and threads before the clock starts
    versions = {name: version(name) for name in ("datatrove", "spacy", "datasketch", "daft")}
    print(json.dumps({**versions, "numpy": np.__version__}), flush=True)
    for command in sys.stdin:
        start = time.process_time()
        PASSES[command.strip()](texts)
        print(json.dumps(time.process_time() - start), flush=True)


if __name__ == "__main__":
    main()
