"""MinHash signatures against datatrove, datasketch and Daft: CPU time over the same real English texts.

    python benchmarks/minhash.py --data DIR --peer-python PATH

DIR holds text/*.jsonl.zst and labels/documents.jsonl.zst; PATH is the interpreter of an environment with
datatrove 0.10, spaCy, datasketch and Daft.  Ours: words, 5-grams, distinct hashes, 256 permutations, band
keys; the peers 112 permutations.  Writes benchmarks/results/minhash.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
from filters import sample
from peer_process import Peer
from results import write_result

from curation.dedup.presets import PRESETS
from curation.dedup.sketch import band_keys
from curation.text.shingles import distinct, shingle_hashes

PEERS = ("datatrove", "datasketch", "daft", "daft_normalized")


def signature_seconds(column: pa.LargeStringArray, preset: str) -> dict[str, float]:
    """CPU seconds of each part and of the whole."""
    times = [time.process_time()]
    shingles = shingle_hashes(column)
    times.append(time.process_time())
    unique = distinct(shingles)
    times.append(time.process_time())
    band_keys(unique, PRESETS[preset])
    times.append(time.process_time())
    parts = dict(zip(("shingles", "distinct", "sketch"), (b - a for a, b in itertools.pairwise(times)), strict=True))
    return {**parts, "all": times[-1] - times[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--megabytes", type=float, default=0.3, help="of each English file (default 0.3)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    texts = sample(arguments.data, arguments.megabytes)
    column = pa.array(texts, pa.large_string())
    for preset in PRESETS:
        signature_seconds(column.slice(0, 10), preset)  # compile or load the kernels before the clock starts
    rounds: list[dict[str, Any]] = []
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        peer = Peer(arguments.peer_python, "minhash_peer.py", file.name)
        for _ in range(arguments.rounds):
            ours = {preset: signature_seconds(column, preset) for preset in PRESETS}
            rounds.append({"ours": ours, **{name: peer.ask(name) for name in PEERS}})
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    own = "wide-32x8"
    result = {
        "documents": len(texts),
        "megabytes": round(megabytes, 2),
        "ours_mb_per_s": {
            preset: round(megabytes / median(r["ours"][preset]["all"] for r in rounds), 1) for preset in PRESETS
        },
        "parts_mb_per_s": {
            part: round(megabytes / median(r["ours"][own][part] for r in rounds), 1)
            for part in ("shingles", "distinct", "sketch")
        },
        "peer_mb_per_s": {name: round(megabytes / median(r[name] for r in rounds), 3) for name in PEERS},
        "cpu_ratio_256_against_112": {
            name: round(median(r[name] / r["ours"][own]["all"] for r in rounds), 1) for name in PEERS
        },
        "cpu_ratio_112_against_112": {
            name: round(median(r[name] / r["ours"]["fineweb-14x8"]["all"] for r in rounds), 1) for name in PEERS
        },
        "rounds": rounds,
    }
    print(json.dumps({key: value for key, value in result.items() if key != "rounds"}, indent=1))
    write_result("minhash", result, peer.versions)


if __name__ == "__main__":
    main()
