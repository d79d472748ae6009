"""Duplicate truth sets: what verified MinHash removes and leaves, beside datatrove and datasketch.

    python benchmarks/duplicates.py --data DIR --peer-python PATH

DIR holds duplicates/{controlled,real}_docs.jsonl.zst; PATH is the interpreter of an environment with
datatrove and datasketch.  Truth is exact: all pairs of documents, sets of word 5-grams as strings, under
our own word definition (its plain-Python reference) and under `\\w+`.  Runs the real steps.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from results import write_result

from curation.pipeline.config import load
from curation.pipeline.run import run
from curation.text.shingles import WORDS, distinct, shingle_hashes, words_reference

SETS = ("controlled", "real")
PRESETS = ("wide-32x8", "fineweb-14x8", "refinedweb-450x20")
JACCARD, CONTAINMENT = 0.8, 0.95
DEFINITIONS: dict[str, Callable[[str], list[str]]] = {
    "own": words_reference,
    "\\w+": lambda text: re.findall(r"\w+", text.lower()),
}


@dataclass
class Truth:
    """Every pair of documents that shares a shingle."""

    a: np.ndarray
    b: np.ndarray
    jaccard: np.ndarray
    containment: np.ndarray  # of the shorter in the longer


def all_pairs(texts: list[str], split: Callable[[str], list[str]]) -> Truth:
    """Exact scores of all pairs; a text of fewer than five words is one shingle."""
    known: dict[tuple[str, ...], int] = {}
    documents, shingles, sizes = [], [], []
    for number, text in enumerate(texts):
        words = split(text)
        grams = {tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)} or ({tuple(words)} - {()})
        sizes.append(len(grams))
        documents += [number] * len(grams)
        shingles += [known.setdefault(gram, len(known)) for gram in grams]
    return join(np.array(documents), np.array(shingles), np.array(sizes))


def join(documents: np.ndarray, shingles: np.ndarray, size: np.ndarray) -> Truth:
    """Scores of all pairs that share a shingle; `size` is each document's number of shingles."""
    table = pa.table({"document": documents, "shingle": shingles})
    with duckdb.connect() as database:
        database.register("occurrences", table)
        pairs = database.sql(
            """select x.document as a, y.document as b, count(*) as common from occurrences x
               join occurrences y on x.shingle = y.shingle and x.document < y.document group by all order by a, b"""
        ).fetchnumpy()
    common = pairs["common"]
    of_a, of_b = size[pairs["a"]], size[pairs["b"]]
    return Truth(pairs["a"], pairs["b"], common / (of_a + of_b - common), common / np.minimum(of_a, of_b))


def hash_error(texts: list[str], truth: Truth) -> dict[str, Any]:
    """What 32-bit hashes change against 5-grams as strings (`truth`, own definition)."""
    values, ends = distinct(shingle_hashes(pa.array(texts, pa.large_string())))
    size = np.diff(np.concatenate([[0], ends]))
    hashed = join(np.repeat(np.arange(len(texts)), size), values, size)
    exact, found = (dict(zip(zip(t.a.tolist(), t.b.tolist(), strict=True), t.jaccard.tolist(), strict=True))
                    for t in (truth, hashed))  # fmt: skip
    both = [(exact.get(pair, 0.0), found.get(pair, 0.0)) for pair in exact.keys() | found.keys()]
    return {
        "pairs": len(both),
        "largest_error_of_jaccard": max(abs(x - y) for x, y in both),
        "pairs_that_cross_0.8": sum((x >= JACCARD) != (y >= JACCARD) for x, y in both),
    }


def judge(truth: Truth, kept: np.ndarray) -> dict[str, Any]:
    """What a method's set of kept documents (bool by document) did, held against the truth."""
    alike = (truth.jaccard >= JACCARD) | (truth.containment >= CONTAINMENT)
    covered = kept.copy()
    for x, y in ((truth.a, truth.b), (truth.b, truth.a)):
        covered[x[alike & kept[y]]] = True
    both = kept[truth.a] & kept[truth.b]

    def left(pairs: np.ndarray) -> str:
        return f"{int((both & pairs).sum())} of {int(pairs.sum())}"

    contained = (truth.containment >= CONTAINMENT) & (truth.jaccard < JACCARD)
    return {
        "removed": int((~kept).sum()),
        "removed_without_reason": int((~covered).sum()),
        "pairs_0.80_both_kept": left(truth.jaccard >= 0.8),
        "pairs_0.85_both_kept": left(truth.jaccard >= 0.85),
        "contained_pairs_both_kept": left(contained),
        "contained_pairs_0.6_both_kept": left(contained & (truth.jaccard >= 0.6)),
    }


def ours(folder: Path, documents: Path, preset: str) -> set[str]:
    """Ids that a real run keeps (without the source's name in front)."""
    config = folder / f"{documents.stem}-{preset}.yaml"
    name = f"{documents.stem}-{preset}"
    content = {
        "run": name,
        "workdir": str(folder / "runs"),
        "executor": {"kind": "local", "workers": 1},
        "sources": {"x": {"read": "jsonl", "paths": [str(documents)], "text": "text", "id": "id"}},
        "dedup": {"exact": {}, "minhash": {"preset": preset}},
    }
    config.write_text(json.dumps(content))
    run(load(config, []), yes=True, quiet=True)
    kept = pq.read_table(folder / "runs" / name / "documents", columns=["id"])["id"].to_pylist()
    return {id.partition("/")[2] for id in kept}


def measure(data: Path, python: str, folder: Path, which: str) -> tuple[dict[str, Any], dict[str, str]]:
    with open(data / "duplicates" / f"{which}_docs.jsonl.zst", "rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8")
        records = [json.loads(line) for line in lines]
    documents = folder / which / f"{which}.jsonl"
    documents.parent.mkdir()
    documents.write_text("".join(json.dumps({"id": r["id"], "text": r["text"]}) + "\n" for r in records))
    keeps = {f"ours {preset}": ours(folder, documents, preset) for preset in PRESETS}
    work = folder / f"peer-{which}"
    work.mkdir()
    peer = Path(__file__).with_name("duplicates_peer.py")
    subprocess.run([python, str(peer), str(documents), str(work)], check=True, capture_output=True)
    answer = json.loads((work / "peers.json").read_text())
    keeps |= {name: set(kept) for name, kept in answer["kept"].items()}
    result: dict[str, Any] = {"documents": len(records)}
    for definition, split in DEFINITIONS.items():
        texts = [record["text"] for record in records]
        truth = all_pairs(texts, split)
        if definition == "own":
            result["32_bit_hashes"] = hash_error(texts, truth)
        for name, kept in keeps.items():
            mask = np.array([record["id"] in kept for record in records])
            result.setdefault(definition, {})[name] = judge(truth, mask)
    return result, answer["versions"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for which in SETS:
            results[which], versions = measure(arguments.data, arguments.peer_python, Path(name), which)
    print(json.dumps(results, indent=1))
    write_result("duplicates", results, versions)


if __name__ == "__main__":
    main()
