"""Scoring all heads of the quality model against one fastText head: CPU time of one thread over the same real texts.

    python benchmarks/quality_speed.py --data DIR --peer-python PY [--rounds 5]

DIR holds labels/{documents,judgements}.jsonl.zst and text/*.jsonl.zst.  Ours: Arrow texts → scores of 40 heads and all
style statistics.  Rows of the model: the buckets that two or more of the labelled documents have (`pruned`), and every
bucket (`full`, the largest model there is); the weights are drawn at random, on which the time does not
depend.  Peer: fastText with DCLM's settings (dim 100, word pairs) trained on the same labelled documents to tell
knowledge_depth >= 3, predicting from Python lists; cleaning the newlines is timed apart and not counted.
In the same run: every score is compared with the definition (`hashing.weighted` times weights, float64).
Also: one text of 40 MB; seconds to compile the kernels with an empty cache.
Writes benchmarks/results/quality_speed.json.  PY needs fasttext-community.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard
from numpy.typing import NDArray
from peer_process import Peer
from results import write_result

from quality.features.hashing import document_frequency, hashed_features, weighted
from quality.features.scoring import Scorer, score, style_features
from quality.features.space import FeatureSpace
from quality.features.style import STYLE_NAMES

HEADS = 40  # 26 categories, 2 scores of several heads each, 4 secondary ones
LONGEST = 40_000  # characters of the texts of text/: some are whole books
A_FILE = 120  # texts of each file, evenly spaced
HUGE = 40_000_000
SPACE = FeatureSpace()


def records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            yield json.loads(line)


def load(data: Path) -> tuple[dict[str, list[str]], list[tuple[str, int]]]:
    """Texts by set, and the labelled documents (text, knowledge_depth >= 3)."""
    texts = {r["id"]: r["text"] for r in records(data / "labels/documents.jsonl.zst")}
    sets = {"web": list(texts.values()), "text": []}
    depth: dict[str, list[int]] = {}
    for judgement in records(data / "labels/judgements.jsonl.zst"):
        depth.setdefault(judgement["doc_id"], []).append(judgement["knowledge_depth"])
    for path in sorted((data / "text").glob("*.jsonl.zst")):
        every = list(records(path))
        texts |= {r["id"]: r["text"] for r in every if r["id"] in depth}
        sets["text"] += [r["text"][:LONGEST] for r in every[:: max(1, len(every) // A_FILE)]]
    return sets, [(texts[i], int(np.mean(d) >= 3)) for i, d in depth.items() if i in texts]


def column(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def cpu(function: Any) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def largest_difference(texts: pa.LargeStringArray, weights: NDArray[np.float32], idf: Any, kept: Any) -> float:
    """Of the kernel's scores from the definition's; raises SystemExit beyond float32 rounding."""
    x = weighted(hashed_features(texts, SPACE), kept, idf)
    expected = np.zeros((len(texts), weights.shape[1]))
    for d in range(len(texts)):
        part = slice(x.indptr[d], x.indptr[d + 1])
        expected[d] = x.counts[part].astype(np.float64) @ weights[x.indices[part]].astype(np.float64)
    found = float(np.abs(score(texts, SPACE, weights, idf, kept) - expected).max(initial=0.0))
    if found > 1e-4:
        raise SystemExit(f"scores differ from their definition by {found}")
    return found


COLD = """
import time, json, numpy as np, pyarrow as pa
from quality.features import hashing, scoring
from quality.features.space import FeatureSpace
text, space = pa.array(["a b"], pa.large_string()), FeatureSpace()
start = time.process_time(); hashing.hashed_features(text, space); first = time.process_time() - start
start = time.process_time(); scoring.style_features(text)
print(json.dumps({"hashed_features": round(first, 1), "score": round(time.process_time() - start, 1)}))
"""


def cold() -> Any:
    """CPU seconds of the first call with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        ran = subprocess.run([sys.executable, "-c", COLD], env=environment, check=True, capture_output=True, text=True)
    return json.loads(ran.stdout.splitlines()[-1])


def huge(texts: list[str], scorer: Scorer) -> float:
    """CPU seconds of one document of 40 MB: real texts one after the other."""
    joined = "\n".join(texts)
    data = column([(joined * (HUGE // len(joined) + 1))[:HUGE]])
    return round(cpu(lambda: scorer.score_and_style(data)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    sets, labelled = load(arguments.data)
    random = np.random.default_rng(0)
    frequency = document_frequency(hashed_features(column([text for text, _ in labelled]), SPACE), SPACE)
    models: dict[str, Any] = {}
    for name, kept in (("pruned", np.flatnonzero(frequency >= 2).astype(np.int32)), ("full", None)):
        rows = SPACE.buckets if kept is None else len(kept)
        seen = frequency if kept is None else frequency[kept]
        idf = (np.log((1 + len(labelled)) / (1 + seen)) + 1).astype(np.float32)
        models[name] = (random.normal(size=(rows, HEADS)).astype(np.float32), idf, kept)
    columns = {name: column(texts) for name, texts in sets.items()}
    sizes = {name: sum(len(text.encode()) for text in texts) / 1e6 for name, texts in sets.items()}
    scorers = {name: Scorer(SPACE, *model) for name, model in models.items()}

    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder) / "train"
        train.write_text("".join(json.dumps(pair) + "\n" for pair in labelled), "utf-8")
        files = {name: Path(folder) / name for name in sets}
        for name, texts in sets.items():
            files[name].write_text("".join(json.dumps(text) + "\n" for text in texts), "utf-8")
        peer = Peer(arguments.peer_python, "quality_speed_peer.py", train, *files.values())
        trained = peer.ask("train")
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in sets}
        for _ in range(arguments.rounds):
            for name, texts in columns.items():
                one = {model: cpu(lambda s=s, t=texts: s.score_and_style(t)) for model, s in scorers.items()}
                one["style"] = cpu(lambda t=texts: style_features(t))
                answer = peer.ask(f"predict {files[name]}")
                rounds[name].append({**one, "fasttext": answer["predict"], "fasttext_cleaning": answer["clean"]})
    result: dict[str, Any] = {
        "heads": HEADS,
        "style_statistics": len(STYLE_NAMES),
        "models": {
            name: {"rows": len(weights), "megabytes": round(weights.nbytes / 1e6, 1)}
            for name, (weights, _, _) in models.items()
        },
        "fasttext": {**trained, "megabytes": round(trained["rows"] * 400 / 1e6, 1)},
    }
    for name, measured in rounds.items():
        result[name] = {
            "documents": len(sets[name]),
            "megabytes": round(sizes[name], 2),
            "mb_per_s": {k: round(sizes[name] / median(r[k] for r in measured), 1) for k in measured[0]},
            "ratio": {m: round(median(r["fasttext"] / r[m] for r in measured), 2) for m in models},
            "largest_difference": {m: largest_difference(columns[name], *models[m]) for m in models},
        }
    result["one_text_of_40_mb_cpu_s"] = huge(sets["text"], scorers["full"])
    result["first_call_cpu_s"] = cold()
    result["rounds"] = rounds
    print(json.dumps({key: value for key, value in result.items() if key != "rounds"}, indent=1))
    write_result("quality_speed", result, peer.versions)


if __name__ == "__main__":
    main()
