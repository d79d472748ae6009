"""URL filter against datatrove's, Unicode repair against ftfy alone, document formats: decisions and speed.

    python benchmarks/cleaning.py --data DIR --peer-python PY [--megabytes 6]

DIR holds web/pages_index.jsonl.zst (records with a `url`), text/*.jsonl.zst and
benchmarks/multiple_choice.jsonl.zst.  PY has `pip install 'datatrove[processing]'`.  The run fails where
the repair differs from ftfy and NFC line by line.  Writes benchmarks/results/cleaning.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import ftfy
import orjson
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.pii import records
from benchmarks.results import write_result
from curation.rules.format import FORMAT_ITEM, FormatConfig, format_documents
from curation.rules.unicode import repair
from curation.rules.url import URL, UrlConfig, decide

PLAIN = ftfy.TextFixerConfig(
    unescape_html=False,
    uncurl_quotes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    fix_line_breaks=False,
    normalization=None,
)


def urls(path: Path, peer_python: str) -> dict[str, Any]:
    given = [row["url"] for row in records(path)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    decided = URL.decided(UrlConfig())
    decide({"url": pa.array(given[:1])}, decided)
    loaded = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rules, details = decide({"url": pa.array(given)}, decided)
    done = time.process_time()
    script = Path(__file__).parent / "cleaning_peer.py"
    output = subprocess.run(
        [peer_python, str(script)], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    peer = json.loads(output.stdout.splitlines()[-1])
    differ = [
        row
        for row in zip(given, rules.to_pylist(), peer["reasons"], strict=True)
        if (row[1] is None) != (row[2] is None)
    ]
    for row in differ:
        print("decided differently:", row)
    return {
        "urls": len(given),
        "removed": dict(Counter(filter(None, rules.to_pylist()))),
        "matched": dict(Counter(filter(None, details.to_pylist()))),
        "load_s": round(loaded - started, 2),
        "load_mib": round((peak - before) / 1024),
        "us_per_url": round(1e6 * (done - loaded) / len(given), 1),
        "datatrove": {"removed": dict(Counter(filter(None, peer["reasons"])))}
        | {"load_s": round(peer["load_s"], 2), "us_per_url": round(peer["us_per_url"], 1)},
        "decided_differently": len(differ),
    }


def unicode_repair(path: Path, megabytes: float) -> dict[str, Any]:
    texts, left = [], megabytes * 1e6
    for record in records(path):
        if left <= 0:
            break
        texts.append(record["text"])
        left -= len(record["text"].encode())
    array = pa.array(texts, pa.large_string())
    size = sum(len(text.encode()) for text in texts) / 1e6
    started = time.process_time()
    result = repair(array, True, True)
    middle = time.process_time()
    lines = [[unicodedata.normalize("NFC", ftfy.fix_text(line, PLAIN)) for line in text.split("\n")] for text in texts]
    done = time.process_time()
    counts = result.columns["unicode"].to_pylist()
    same = sum("\n".join(rows) == text for rows, text in zip(lines, result.text.to_pylist(), strict=True))
    if same + sum(row["skipped_lines"] > 0 for row in counts) < len(texts):
        raise SystemExit(f"{path.name}: {len(texts) - same} documents differ from ftfy")
    return {
        "documents": len(texts),
        "megabytes": round(size, 2),
        "mb_per_s": round(size / (middle - started), 1),
        "ftfy_mb_per_s": round(size / (done - middle), 1),
    } | {name: sum(row[name] for row in counts) for name in counts[0]}


def formats(path: Path) -> dict[str, Any]:
    rows = list(records(path))
    text = pa.array([row["query"] for row in rows], pa.large_string())
    metadata = pa.array([orjson.dumps(row).decode() for row in rows], pa.large_string())
    started = time.process_time()
    result = format_documents(
        text, metadata, pa.array(range(len(rows)), pa.uint64()), FORMAT_ITEM.edited(FormatConfig())
    )
    seconds = time.process_time() - started
    found = result.columns["format"].to_pylist()
    return {
        "records": len(rows),
        "us_per_record": round(1e6 * seconds / len(rows), 1),
        "templates": dict(Counter(row["template"] or row["left"] for row in found)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--megabytes", type=float, default=6, help="of each file of text")
    options = parser.parse_args()
    results: dict[str, Any] = {"url": urls(options.data / "web/pages_index.jsonl.zst", options.peer_python)}
    print(results["url"], flush=True)
    results["unicode"] = {}
    for name in ("academic", "books", "code", "multilingual", "tech_docs", "textbooks"):
        results["unicode"][name] = unicode_repair(options.data / f"text/{name}.jsonl.zst", options.megabytes)
        print(f"{name}: {results['unicode'][name]}", flush=True)
    results["format"] = formats(options.data / "benchmarks/multiple_choice.jsonl.zst")
    print(results["format"])
    write_result("cleaning", results, {"ftfy": ftfy.__version__})


if __name__ == "__main__":
    main()
