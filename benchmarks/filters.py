"""Rule filters against datatrove: CPU time and keep/drop agreement on the same real English texts.

    python benchmarks/filters.py --data DIR --peer-python PATH

DIR holds text/*.jsonl.zst and labels/documents.jsonl.zst (records with a `text` field); PATH is the
interpreter of an environment with datatrove 0.10 and spaCy.  Writes benchmarks/results/filters.json.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import zstandard

from curation.pipeline.hashing import hash64
from curation.rules import presets
from curation.rules.editors import EDITORS
from curation.rules.thresholds import RuleSet
from curation.text.edits import EditedText
from curation.text.segment import SEGMENTER_VERSION
from curation.text.statistics import measure

ENGLISH = (
    "academic", "books", "books_2", "encyclopedia", "nonfiction", "qa_dialogue", "speeches",
    "tech_docs", "tech_docs_2", "textbooks",
)  # fmt: skip
EDIT = "c4-datatrove"  # the preset of the chain that takes lines out
BEFORE, AFTER = ["gopher-repetition", "gopher-quality"], ["fineweb-code"]
CHAIN = [*BEFORE, EDIT, *AFTER]
PRESETS = [*CHAIN, "fineweb-paper"]
Reasons = list[str | None]
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


def edit(text: pa.LargeStringArray) -> EditedText:
    """The edit of the preset EDIT, with its counts."""
    parameters = dict(presets.load()[EDIT].edit or {})
    return EDITORS[parameters.pop("editor")].edit(text, parameters)


def measure_all(text: pa.LargeStringArray) -> dict[str, pa.Array]:
    """Every statistic of the four presets, of the text as it is given: no early exit."""
    return {"stats": measure(text), **edit(text).columns}


def decide(columns: dict[str, pa.Array], names: list[str]) -> Reasons:
    reasons: Reasons = RuleSet.resolve(names).decide(columns)[0].to_pylist()
    return reasons


def decide_in_turn(text: pa.LargeStringArray) -> Reasons:
    """As in a run: the presets behind the edit see the edited text, which is measured again."""
    before = decide({"stats": measure(text)}, BEFORE)
    edited = edit(text)
    removed = decide(edited.columns, [EDIT])
    after = decide({"stats": measure(edited.text)}, AFTER)
    return [first or second or third for first, second, third in zip(before, removed, after, strict=True)]


def seconds(function: Callable[[pa.LargeStringArray], Any], text: pa.LargeStringArray) -> float:
    """CPU time of this process."""
    start = time.process_time()
    function(text)
    return time.process_time() - start


def agreement(ours: dict[str, Reasons], theirs: dict[str, Reasons]) -> dict[str, Any]:
    """Per preset: equal keep/drop decisions and the causes of the others."""
    table = {}
    for name, reasons in ours.items():
        pairs = list(zip(reasons, theirs[name], strict=True))
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
    decide_in_turn(column.slice(0, 10))  # compile or load the kernels before the clock starts
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        peer = Peer(arguments.peer_python, Path(file.name))
        alone = peer.ask("agree")
        theirs: dict[str, Reasons] = {name: [one[name][0] for one in alone] for name in PRESETS}
        rounds = []
        for _ in range(arguments.rounds):
            own = {
                "ours_s": seconds(lambda text: decide(measure_all(text), CHAIN), column),
                "ours_in_turn_s": seconds(decide_in_turn, column),
                "edit_s": seconds(edit, column),
            }
            answer = peer.ask("chain")
            theirs["chain"] = answer["reasons"]
            rounds.append({**own, "peer_s": answer["seconds"]})
        peer.close()
    columns = measure_all(column)
    ours = {name: decide(columns, [name]) for name in PRESETS} | {"chain": decide_in_turn(column)}
    left = [one[EDIT][1] for one in alone if one[EDIT][0] is None]
    edited = [text for text, one in zip(edit(column).text.to_pylist(), alone, strict=True) if one[EDIT][0] is None]
    same = sum(hashlib.sha256(text.encode()).hexdigest() == other for text, other in zip(edited, left, strict=True))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6

    def ratio(name: str) -> float:
        return round(median(r["peer_s"] / r[name] for r in rounds), 1)

    def speed(name: str, digits: int = 1) -> float:
        return round(megabytes / median(r[name] for r in rounds), digits)

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
            "cpu_ratio": ratio("ours_s"),
            "cpu_ratio_in_turn": ratio("ours_in_turn_s"),
            "ours_mb_per_s": speed("ours_s"),
            "ours_in_turn_mb_per_s": speed("ours_in_turn_s"),
            "edit_mb_per_s": speed("edit_s"),
            "peer_mb_per_s": speed("peer_s", 3),
            "rounds": rounds,
            "agreement": agreement(ours, theirs),
            "edited_texts": {"equal": same, "kept_by_peer": len(left)},
        },
        "notes": [
            "CPU seconds of one process each, alternating rounds over the same texts, one thread.",
            "Ours edits lines (C4), measures every statistic of all documents, decides; the peer stops at a reason.",
            "in_turn: as in a run, the text that C4 leaves is measured again for FineWeb, as in the peer's chain.",
            "Ours starts from an Arrow column in memory, the peer from Python strings; neither reads files.",
            "Agreement is of keep/drop with the published thresholds, each filter alone; `chain`: the four in turn.",
            "edited_texts: documents whose text after C4's edit is the peer's byte for byte, of those that it keeps.",
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
