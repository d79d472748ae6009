"""The preset `curate-junk`: what it removes of each kind of junk, and its price on clean text.

    python benchmarks/junk.py --data DIR

DIR holds filters/controlled_junk.jsonl.zst (`label`, `kind`), text/*.jsonl.zst and labels/documents.jsonl.zst
(texts of web pages).  No value was chosen on the controlled set; docs/junk.md
says what it did influence.  Writes benchmarks/results/junk.json.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import zstandard
from junk_corruptions import KINDS, spoiled
from results import write_result

from curation.pipeline.hashing import hash64
from curation.rules import presets
from curation.rules.families import FAMILIES
from curation.rules.thresholds import RuleSet
from curation.text.junk import JUNK_VERSION, measure_junk

PUBLISHED = ("gopher-repetition", "gopher-quality", "fineweb-paper")
OWN = "curate-junk"


def records(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
            yield json.loads(line)


def removed(texts: list[str], names: tuple[str, ...]) -> dict[str, list[str | None]]:
    """What removes each text, per preset on its own."""
    column = pa.array(texts, pa.large_string())
    wanted = {presets.load()[name].family for name in names}
    measured: Mapping[str, pa.Array] = {name: FAMILIES[name].measure(column) for name in wanted}  # type: ignore[misc]
    return {name: RuleSet.resolve([name]).decide(measured)[0].to_pylist() for name in names}


def share(reasons: list[list[str | None]]) -> float:
    """Share of the documents that any of the presets removes."""
    rows = list(zip(*reasons, strict=True))
    return round(sum(any(row) for row in rows) / len(rows), 4)


def by_kind(path: Path) -> dict[str, Any]:
    texts: dict[str, list[str]] = {}
    for record in records(path):
        texts.setdefault(record["kind"], []).append(record["text"])
    table = {}
    for kind, members in sorted(texts.items()):
        reasons = removed(members, (*PUBLISHED, OWN))
        published = [reasons[name] for name in PUBLISHED]
        table[kind] = {
            "documents": len(members),
            "published": share(published),
            "published_and_own": share(list(reasons.values())),
            "repetition_and_own": share([reasons["gopher-repetition"], reasons[OWN]]),
            "own": share([reasons[OWN]]),
            "each": {name: share([reasons[name]]) for name in PUBLISHED},
            "own_rules": dict(Counter(reason for reason in reasons[OWN] if reason).most_common()),
        }
    return table


def real_texts(folder: Path, limit: int) -> dict[str, list[str]]:
    """Texts per source and language, `limit` each, in hash order."""
    texts: dict[str, list[tuple[int, str]]] = {}
    for path in [*sorted((folder / "text").glob("*.jsonl.zst")), folder / "labels" / "documents.jsonl.zst"]:
        for record in records(path):
            place = f"{record['source']} {record['lang']}" if path.parent.name == "text" else "extracted web pages"
            texts.setdefault(place, []).append((hash64(record["id"].encode()), record["text"]))
    return {place: [text for _, text in sorted(members)[:limit]] for place, members in sorted(texts.items())}


def corruptions(texts: dict[str, list[str]]) -> dict[str, Any]:
    """What the own preset removes of real texts that were spoiled on purpose, 60 of each source."""
    by_source = {place.split()[0].split("/")[-1]: members for place, members in texts.items()}
    table = {}
    for kind in KINDS:
        members = spoiled(by_source, kind, 60)
        reasons = removed(members, (OWN,))[OWN]
        table[kind] = {"documents": len(members), "removed": share([reasons])}
    return table


def price(texts: dict[str, list[str]]) -> dict[str, Any]:
    """What the own preset removes of the real texts as they are."""
    table = {}
    for place, chosen in texts.items():
        reasons = removed(chosen, (OWN,))[OWN]
        rules = dict(Counter(reason for reason in reasons if reason).most_common())
        table[place] = {"documents": len(chosen), "removed": share([reasons]), "rules": rules}
    return table


def speed(folder: Path) -> dict[str, float]:
    """CPU seconds of the statistics over the English textbooks, best of five."""
    column = pa.array([record["text"] for record in records(folder / "textbooks.jsonl.zst")], pa.large_string())
    measure_junk(column.slice(0, 1))
    seconds = []
    for _ in range(5):
        start = time.process_time()
        measure_junk(column)
        seconds.append(time.process_time() - start)
    megabytes = pc.sum(pc.binary_length(column)).as_py() / 1e6
    return {"megabytes": round(megabytes, 1), "mb_per_s_per_core": round(megabytes / min(seconds), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description="What curate-junk removes, and its price.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=400, help="texts per source and language (default 400)")
    arguments = parser.parse_args()
    texts = real_texts(arguments.data, arguments.limit)
    prices = price(texts)
    documents = sum(row["documents"] for row in prices.values())
    results = {
        "junk_version": JUNK_VERSION,
        "published": list(PUBLISHED),
        "kinds": by_kind(arguments.data / "filters" / "controlled_junk.jsonl.zst"),
        "own_corruptions": corruptions(texts),
        "price_overall": round(sum(row["removed"] * row["documents"] for row in prices.values()) / documents, 4),
        "price_documents": documents,
        "price": prices,
        "speed": speed(arguments.data / "text"),
    }
    write_result("junk", results)


if __name__ == "__main__":
    main()
