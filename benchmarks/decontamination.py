"""Decontamination: recall per kind of insertion, what else is found, and speed.

    python benchmarks/decontamination.py --data DIR [--set NAME]

DIR holds benchmarks/*.jsonl.zst, NAME/docs.jsonl.zst with NAME/labels.jsonl.zst (default NAME: decontamination; a
label has doc, item, kind, inserted_words, start and end in characters), and text/*.jsonl.zst.  Runs the section as
it is configured by default.  Writes benchmarks/results/NAME.json with every hit on documents that got no insertion
and on the real texts.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard
from results import write_result

from curation.pipeline.config import load
from curation.pipeline.execute import execute
from curation.pipeline.plan import State, build
from curation.text.common_runs import common_runs
from curation.text.needle_index import NeedleIndex, Windows, build_index

WORDS, BYTES = 13, 50  # a half is a promise from here on
SHOWN = 160


def records(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
            yield json.loads(line)


def run(data: Path, name: str, workdir: Path) -> State:
    """The section over the labelled documents and the real texts, one task after the other."""
    config = {
        "run": "decontamination",
        "workdir": str(workdir),
        "sources": {
            "labelled": {"read": "jsonl", "paths": [str(data / name / "docs.jsonl.zst")], "id": "id"},
            "text": {"read": "jsonl", "paths": [str(data / "text" / "*.jsonl.zst")], "id": "id"},
        },
        "decontaminate": {"items": [str(data / "benchmarks" / "*.jsonl.zst")]},
    }
    path = workdir / "decontamination.yaml"
    path.write_text(json.dumps(config))
    state = State(build(load(path, [])))
    for task in state.plan.tasks:
        execute(state, task.name)
    return state


def ledger(state: State) -> list[dict[str, Any]]:
    """Every hit, with the document's own id."""
    tables = [
        pq.read_table(state.output(task.name, "contamination"))
        for task in state.plan.tasks
        if task.step == "decontaminate"
    ]
    return [row | {"id": row["id"].partition("/")[2]} for row in pa.concat_tables(tables).to_pylist()]


def kind_of(label: dict[str, Any], text: str) -> str:
    """Its kind; a half that is too short to be promised is a kind of its own."""
    size = len(text[label["start"] : label["end"]].encode())
    if label["kind"] == "partial_half" and label["inserted_words"] < WORDS and size < BYTES:
        return "partial_half_shorter"
    return str(label["kind"])


def recall(labels: list[dict[str, Any]], texts: dict[str, str], found: list[dict[str, Any]]) -> dict[str, Any]:
    """Per kind: insertions, those acted upon (and their least containment), reported at all, with nothing left."""
    acted, reported = (
        {(row["id"], row["item"]) for row in found if row["source"] == "labelled" and test(row)}
        for test in (lambda row: row["action"] != "reported", lambda row: True)
    )
    spans: dict[str, list[tuple[int, int]]] = {}
    for row in found:
        if row["source"] == "labelled" and row["action"] != "reported":
            spans.setdefault(row["id"], []).append((row["start"], row["start"] + row["length"]))
    containment: dict[tuple[str, str], float] = {}
    for row in found:
        key = row["id"], row["item"]
        containment[key] = max(containment.get(key, 0.0), row["containment"])
    table: dict[str, Counter[str]] = {}
    least: dict[str, float] = {}
    missed = []
    for label in labels:
        text = texts[label["doc"]]
        kind, key = kind_of(label, text), (label["doc"], label["item"])
        start, end = (len(text[: label[side]].encode()) for side in ("start", "end"))
        left = sum(not any(a <= i < b for a, b in spans.get(label["doc"], [])) for i in range(start, end))
        counts = table.setdefault(kind, Counter())
        counts.update(insertions=1, acted=key in acted, reported=key in reported, gone=left <= 2)
        if key in acted:
            least[kind] = min(least.get(kind, 1.0), containment[key])
        if key not in acted and kind not in ("answer_only", "partial_half_shorter"):
            missed.append({**label, "text": text[label["start"] : label["end"]][:SHOWN]})
    shares = {
        kind: {
            **counts,
            "recall": round(counts["acted"] / counts["insertions"], 4),
            "least_containment": round(least[kind], 2) if kind in least else None,
        }
        for kind, counts in table.items()
    }
    return {"kinds": shares, "missed": missed}


def others(found: list[dict[str, Any]], inserted: set[str]) -> dict[str, Any]:
    """Hits on documents that got no insertion: labelled set and real texts."""
    rows = [row for row in found if row["source"] == "text" or row["id"] not in inserted]
    documents: dict[str, set[str]] = {}
    for row in rows:
        acted = "answer only" if row["kind"] == "answer_only" else row["action"]
        documents.setdefault(f"{row['source']}: {acted}", set()).add(row["id"])
    return {
        "documents": {key: len(ids) for key, ids in sorted(documents.items())},
        "hits": [
            {
                **{key: row[key] for key in ("id", "item", "kind", "action")},
                "containment": round(row["containment"], 2),
                "text": row["document_text"][:SHOWN],
            }
            for row in rows
            if row["kind"] != "answer_only"
        ],
    }


def records_of(state: State, source: str) -> int:
    manifests = (state.manifest(shard.read) for shard in state.plan.shards if shard.source == source)
    return sum(manifest.counts["records"] for manifest in manifests if manifest)


def loaded(state: State) -> NeedleIndex:
    tables = {name: pq.read_table(state.output("benchmark_index", name)) for name in ("texts", "windows")}
    marks = Windows(*(tables["windows"][name].to_numpy() for name in ("hash", "text", "place")))
    return build_index(tables["texts"]["text"].combine_chunks(), marks)


def speed(index: NeedleIndex, texts: Path) -> dict[str, Any]:
    """CPU time of one thread to look for all items: best of three."""
    table = {}
    for path in sorted(texts.glob("*.jsonl.zst")):
        column = pa.array([record["text"] for record in records(path)], pa.large_string())
        common_runs(column.slice(0, 1), index, WORDS, BYTES)
        seconds = []
        for _ in range(3):
            start = time.process_time()
            common_runs(column, index, WORDS, BYTES)
            seconds.append(time.process_time() - start)
        megabytes = pc.sum(pc.binary_length(column)).as_py() / 1e6
        table[path.name.partition(".")[0]] = {"megabytes": round(megabytes, 1), "cpu_s": round(min(seconds), 4)}
    megabytes, cpu = (sum(row[key] for row in table.values()) for key in ("megabytes", "cpu_s"))
    return {"mb_per_s_per_core": round(megabytes / cpu, 1), "megabytes": round(megabytes, 1), "files": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="decontamination", help="folder of the labelled documents")
    arguments = parser.parse_args()
    folder = arguments.data / arguments.set
    labels = list(records(folder / "labels.jsonl.zst"))
    texts = {record["id"]: record["text"] for record in records(folder / "docs.jsonl.zst")}
    with tempfile.TemporaryDirectory() as workdir:
        state = run(arguments.data.absolute(), arguments.set, Path(workdir))
        found = ledger(state)
        manifest = state.manifest("benchmark_index")
        result = {
            "documents": len(texts),
            "texts": records_of(state, "text"),
            "benchmarks": pc.count_distinct(
                pq.read_table(state.output("benchmark_index", "benchmark_items"))["benchmark"]
            ).as_py(),
            "index": manifest.counts if manifest else {},
            **recall(labels, texts, found),
            "without_insertion": others(found, {label["doc"] for label in labels}),
            "speed": speed(loaded(state), arguments.data / "text"),
        }
    print(json.dumps({key: result[key] for key in ("index", "kinds", "missed")}, indent=1, ensure_ascii=False))
    print(json.dumps(result["without_insertion"]["documents"]), result["speed"]["mb_per_s_per_core"], "MB/s")
    write_result(arguments.set, result)


if __name__ == "__main__":
    main()
