"""Language identification against the fastText library: CPU time, identical labels, accuracy.

    python benchmarks/language_id.py --data DIR [--megabytes 4] [--rounds 3]

DIR holds labels/documents.jsonl.zst, text/*.jsonl.zst (records with a `text`) and langid/sentences.jsonl.zst
(with a `lang` too).  The peer is fasttext-predict (or any `fasttext` module) in the same environment.
Both get whole documents, alternating in one process.  Run from the repository root: the check of all losses
writes the random models of the tests.  Writes benchmarks/results/language_id.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path
from statistics import median
from typing import Any

import fasttext
import numpy as np
import orjson
import pyarrow as pa
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.results import write_result
from curation.rules.language import load_model
from curation.text.fasttext_model import FastText, read_model
from tests.curation.text.fasttext_files import HS, NS, OVA, SOFTMAX, random_model

SETS = {
    "web": ["labels/documents"],
    "multilingual": ["text/multilingual", "text/multilingual_docs", "text/multilingual_qa"],
    "books": ["text/books", "text/books_2"],
    "code": ["text/code"],
    "english": ["text/academic", "text/encyclopedia", "text/qa_dialogue", "text/tech_docs", "text/textbooks"],
}
MODELS: dict[str, dict[str, Any]] = {
    "hierarchical softmax": {"loss": HS, "labels": 50},
    "softmax, dense": {"loss": SOFTMAX, "dim": 16, "labels": 50},
    "negative sampling, word trigrams": {"loss": NS, "dim": 33, "word_ngrams": 3},
    "one-vs-all, words only": {"loss": OVA, "min_n": 0, "max_n": 0},
    "hierarchical softmax, quantised, pruned": {"loss": HS, "labels": 300, "quantised": True},
    "softmax, quantised, not pruned": {"loss": SOFTMAX, "quantised": True, "pruned": False, "word_ngrams": 2},
}


def records(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read()
    yield from map(orjson.loads, text.splitlines())


def sample(data: Path, names: list[str], megabytes: float) -> list[str]:
    """The first whole documents of every file, about `megabytes` of each."""
    texts = []
    for name in names:
        left = megabytes * 1e6
        for record in records(data / f"{name}.jsonl.zst"):
            if left <= 0:
                break
            texts.append(record["text"])
            left -= len(record["text"].encode())
    return texts


def peer_predict(peer: Any, texts: list[str]) -> tuple[list[str | None], list[float]]:
    found = [peer.predict(text.replace("\n", " ")) for text in texts]
    return [labels[0] if labels else None for labels, _ in found], [float(p[0]) if len(p) else 0.0 for _, p in found]


def agreement(model: FastText, peer: Any, texts: list[str]) -> dict[str, Any]:
    labels, scores = model.predict(pa.array(texts, pa.large_string()))
    theirs, their_scores = peer_predict(peer, texts)
    difference = np.abs(scores.fill_null(0).to_numpy().astype(np.float64) - np.array(their_scores))
    return {
        "documents": len(texts),
        "identical_labels": sum(a == b for a, b in zip(labels.to_pylist(), theirs, strict=True)),
        "identical_scores": int((difference == 0).sum()),
        "max_score_difference": float(difference.max()),
    }


def compare(model: FastText, peer: Any, texts: list[str], rounds: int) -> dict[str, Any]:
    """Agreement, and the CPU time of both in alternating rounds."""
    array = pa.array(texts, pa.large_string())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    found = agreement(model, peer, texts)
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.process_time()
        model.predict(array)
        middle = time.process_time()
        peer_predict(peer, texts)
        ours.append(middle - start)
        theirs.append(time.process_time() - middle)
    return found | {
        "megabytes": round(megabytes, 2),
        "curate_mb_per_s": round(megabytes / median(ours), 1),
        "fasttext_mb_per_s": round(megabytes / median(theirs), 2),
        "ratio": round(median(b / a for a, b in zip(ours, theirs, strict=True)), 2),
    }


def accuracy(model: FastText, peer: Any, data: Path) -> dict[str, Any]:
    """Share of sentences given their own language, labels of the model being ISO 639-1 where there is one."""
    rows = list(records(data / "langid/sentences.jsonl.zst"))
    same = {"nb": "no"}  # the model writes `no` for Bokmål
    truth = [same.get(row["lang"], row["lang"]) for row in rows]
    known = {label.removeprefix("__label__") for label in model.labels}
    texts = [row["text"] for row in rows]
    labels, _ = model.predict(pa.array(texts, pa.large_string()))
    ours = [label.removeprefix("__label__") for label in labels.to_pylist()]
    theirs = [(label or "").removeprefix("__label__") for label in peer_predict(peer, texts)[0]]
    of_known = [k for k, language in enumerate(truth) if language in known]
    return {
        "sentences": len(rows),
        "languages": len(set(truth)),
        "languages_unknown_to_the_model": sorted(set(truth) - known),
        "curate": sum(a == b for a, b in zip(ours, truth, strict=True)) / len(rows),
        "fasttext": sum(a == b for a, b in zip(theirs, truth, strict=True)) / len(rows),
        "curate_known_languages": sum(ours[k] == truth[k] for k in of_known) / len(of_known),
        "fasttext_known_languages": sum(theirs[k] == truth[k] for k in of_known) / len(of_known),
    }


def other_models(texts: list[str]) -> dict[str, Any]:
    """Random models of every loss and file form, on the same texts."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in MODELS.items():
            path = Path(folder) / "model.bin"
            path.write_bytes(random_model(7, **shape).bytes())
            found[name] = agreement(read_model(path), fasttext.load_model(str(path)), texts)
            print(f"{name}: {found[name]}")
    return found


def start_times() -> dict[str, float]:
    """Seconds from a new process to its first prediction, with an empty and with a filled kernel cache."""
    code = (
        "import time, pyarrow as pa; start = time.perf_counter()\n"
        "from curation.rules.language import load_model\n"
        "imported = time.perf_counter(); model = load_model(None); loaded = time.perf_counter()\n"
        "model.predict(pa.array(['one two'], pa.large_string()))\n"
        "print(imported - start, loaded - imported, time.perf_counter() - loaded)"
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("compiled", "cached"):
            command = ["env", f"NUMBA_CACHE_DIR={folder}", sys.executable, "-c", code]
            output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
            seconds = map(float, output.stdout.split())
            steps = zip(("import", "load", "first_prediction"), seconds, strict=True)
            found |= {f"{name}_{step}_s": round(s, 3) for step, s in steps}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=4, help="of each file")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model, peer = load_model(None), fasttext.load_model(load_model(None).path)
    results: dict[str, Any] = {"model": {"file": Path(model.path).name, "sha256": model.sha256}, "sets": {}}
    everything: list[str] = []
    for name, files in SETS.items():
        texts = sample(options.data, files, options.megabytes)
        everything += texts
        results["sets"][name] = compare(model, peer, texts, options.rounds)
        print(f"{name}: {results['sets'][name]}", flush=True)
    results["all"] = compare(model, peer, everything, options.rounds)
    print(f"all: {results['all']}")
    results["sentences"] = accuracy(model, peer, options.data)
    print(f"sentences: {results['sentences']}")
    results["other_models"] = other_models(everything[::40])
    results["start"] = start_times()
    print(f"start: {results['start']}")
    peers = {name: version(name) for name in set(packages_distributions()["fasttext"])}
    write_result("language_id", results, peers)


if __name__ == "__main__":
    main()
