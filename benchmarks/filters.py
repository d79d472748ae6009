"""Rule filters against datatrove: CPU time and keep/drop agreement on the same real English texts.

    python benchmarks/filters.py --data DIR --peer-python PATH

DIR holds text/*.jsonl.zst and labels/documents.jsonl.zst (records with a `text` field); PATH is the
interpreter of an environment with datatrove 0.10 and spaCy.  Writes benchmarks/results/filters.json.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import zstandard

from curation.pipeline.hashing import hash64
from curation.rules.thresholds import RuleSet
from curation.text.segment import SEGMENTER_VERSION
from curation.text.statistics import measure

ENGLISH = (
    "academic", "books", "books_2", "encyclopedia", "nonfiction", "qa_dialogue", "speeches",
    "tech_docs", "tech_docs_2", "textbooks",
)  # fmt: skip
CHAIN = ["gopher-repetition", "gopher-quality", "fineweb-code"]
PRESETS = [*CHAIN, "fineweb-paper"]
RESULT = Path(__file__).parent / "results" / "filters.json"


def sample(data: Path, megabytes: float) -> list[str]:
    """Texts in hash order, `megabytes` of each English file, and every judged web document."""
    texts = [text for _, text in records(data / "labels" / "documents.jsonl.zst")]
    for name in ENGLISH:
        budget = megabytes * 1e6
        found = records(data / "text" / f"{name}.jsonl.zst")
        for _, text in sorted(found, key=lambda record: hash64(record[0].encode())):
            if budget <= 0:
                break
            budget -= len(text.encode())
            texts.append(text)
    return texts


def records(path: Path) -> Iterator[tuple[str, str]]:
    with open(path, "rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
            record = json.loads(line)
            yield record["id"], record["text"]


class Peer:
    """datatrove in its own process, one command at a time."""

    def __init__(self, python: str, texts: Path) -> None:
        command = [python, str(Path(__file__).parent / "filters_peer.py"), str(texts)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions = self._read()

    def ask(self, command: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the peer process ended; its error is above")
        return json.loads(line)


def decide(text: pa.LargeStringArray, presets: list[str]) -> list[str | None]:
    reasons: list[str | None] = RuleSet.resolve(presets).decide(measure(text))[0].to_pylist()
    return reasons


def agreement(ours: dict[str, list[str | None]], theirs: list[dict[str, str | None]]) -> dict[str, Any]:
    """Per preset, each filter on its own: equal keep/drop decisions and the causes of the others."""
    table = {}
    for name, reasons in ours.items():
        pairs = [(mine, other[name]) for mine, other in zip(reasons, theirs, strict=True)]
        differ = [pair for pair in pairs if (pair[0] is None) != (pair[1] is None)]
        table[name] = {
            "agreement": round(1 - len(differ) / len(pairs), 4),
            "documents": len(pairs),
            "kept_by_us": sum(mine is None for mine, _ in pairs),
            "kept_by_peer": sum(other is None for _, other in pairs),
            "disagreements": [
                {"ours": mine, "peer": other, "documents": count}
                for (mine, other), count in Counter(differ).most_common(8)
            ],
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Rule filters against datatrove.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--megabytes", type=float, default=0.6, help="of each English file (default 0.6)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    texts = sample(arguments.data, arguments.megabytes)
    column = pa.array(texts, pa.large_string())
    decide(column.slice(0, 10), CHAIN)  # compile or load the kernels before the clock starts
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        peer = Peer(arguments.peer_python, Path(file.name))
        theirs = peer.ask("agree")
        rounds = []
        for _ in range(arguments.rounds):
            start = time.process_time()
            decide(column, CHAIN)
            own = time.process_time() - start
            rounds.append({"ours_s": own, "peer_s": peer.ask("chain")})
        peer.close()
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    ratio = median(r["peer_s"] / r["ours_s"] for r in rounds)
    result = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()} {platform.processor() or processor()}",
        "python": platform.python_version(),
        "versions": {
            **{name: version(name) for name in ("numba", "numpy", "pyarrow")},
            **peer.versions,
            "segmenter": SEGMENTER_VERSION,
        },
        "command": "python benchmarks/filters.py --data DIR --peer-python PATH "
        f"--megabytes {arguments.megabytes} --rounds {arguments.rounds}",
        "results": {
            "documents": len(texts),
            "megabytes": round(megabytes, 2),
            "cpu_ratio": round(ratio, 1),
            "ours_mb_per_s": round(megabytes / median(r["ours_s"] for r in rounds), 1),
            "peer_mb_per_s": round(megabytes / median(r["peer_s"] for r in rounds), 3),
            "rounds": rounds,
            "agreement": agreement({name: decide(column, [name]) for name in PRESETS}, theirs),
        },
        "notes": [
            "CPU seconds of one process each, alternating rounds over the same texts, one thread.",
            "Ours measures all statistics of every document, then decides; the peer stops at a reason.",
            "Ours starts from an Arrow column in memory, the peer from Python strings; neither reads files.",
            "Agreement is of keep/drop, each filter on its own, with the published thresholds.",
        ],
    }  # fmt: skip
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    json.dump(result["results"], sys.stdout, indent=1)


def processor() -> str:
    """The processor's name on Linux, where `platform` does not know it."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.split("\n") if line.startswith("model name")]
    return names[0] if names else "unknown"


if __name__ == "__main__":
    main()
