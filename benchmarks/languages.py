"""Thresholds by language: share of clean text that the published presets keep, without and with them.

    python benchmarks/languages.py --data DIR

DIR holds text/multilingual*.jsonl.zst and text/books*.jsonl.zst (`text`, `lang`, `source`).  Documents of
fewer than 50 words are left out: the rule on length removes them in any language.  The language is the
one that the data states.  Writes benchmarks/results/languages.json.
"""

from __future__ import annotations

import argparse
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard
from results import write_result

from curation.pipeline.hashing import hash64
from curation.rules.languages import load
from curation.rules.thresholds import RuleSet
from curation.text.statistics import measure

PRESETS = ("gopher-repetition", "gopher-quality", "fineweb-paper")
FILES = ("multilingual", "multilingual_docs", "multilingual_qa", "books", "books_2")


def texts(folder: Path, limit: int) -> dict[str, list[str]]:
    """Up to `limit` texts of each language and source, in hash order."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in FILES:
        with open(folder / f"{name}.jsonl.zst", "rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
                record = json.loads(line)
                place = record["lang"], record["source"]
                found.setdefault(place, []).append((hash64(record["id"].encode()), record["text"]))
    chosen: dict[str, list[str]] = {}
    for (code, _), members in sorted(found.items()):
        chosen.setdefault(code, []).extend(text for _, text in sorted(members)[:limit])
    return chosen


def kept(columns: dict[str, pa.Array], rules: RuleSet, among: Any) -> tuple[float, dict[str, int]]:
    reasons = np.asarray(rules.decide(columns)[0].to_pylist(), object)[among]
    counts = Counter(reason for reason in reasons if reason)
    return round(sum(reason is None for reason in reasons) / len(reasons), 4), dict(counts.most_common(4))


def main() -> None:
    parser = argparse.ArgumentParser(description="What the published presets keep of clean text, by language.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=150, help="texts per language and source (default 150)")
    arguments = parser.parse_args()
    table = load()
    table_of = {}
    for code, members in texts(arguments.data / "text", arguments.limit).items():
        stats = measure(pa.array(members, pa.large_string()))
        among = np.asarray(stats.field("non_symbol_words")) >= 50
        if code not in table or not among.any():
            continue
        columns = {"stats": stats, "language": pa.array([code] * len(members))}
        row: dict[str, Any] = {"documents": int(among.sum())}
        for name in (*((preset,) for preset in PRESETS), PRESETS):
            before, why = kept(columns, RuleSet.resolve(name), among)
            after, why_after = kept(columns, RuleSet.resolve(name, languages=table), among)
            key = name[0] if len(name) == 1 else "all"
            row[key] = {"kept_before": before, "kept_after": after}
            if key == "all":
                row[key] |= {"removed_before": why, "removed_after": why_after}
        table_of[code] = row
    write_result("languages", table_of)


if __name__ == "__main__":
    main()
