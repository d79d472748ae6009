"""One task of `minhash_buckets` at 10^8 and 10^9 documents: what finding the shared keys of a band costs and holds.

    python benchmarks/scale_keys.py --documents 1000000000 --folder FOLDER

The keys are made up (no shingles behind them), the code is that of a run.  With `groups` = 32 a run has 32 such
tasks, one a band.  25 % of the documents lie in clusters and 15 % in templates whose sizes follow frequency ∝
rank^−0.8; a document shares its group's key with the chance that it has at Jaccard 0.88 and 0.43 (8 rows a band).
The buckets found are compared with those that were made (numbers, a checksum).  Needs 24 bytes of disk a document.
Writes benchmarks/results/scale_keys.json, one entry for each number of documents.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from results import FOLDER, write_result
from scale_dedup import Disk, group_of, in_fresh_processes, mixed, peak_memory_mb

from curation.dedup.band_buckets import BUCKETS, HOT
from curation.dedup.signatures import BANDS, LAYER_SCHEMA, bands_schema
from curation.pipeline.context import DOCUMENTS, LAYER, TaskContext
from curation.pipeline.execute import cpu_seconds
from curation.pipeline.task import Task

FILE, ROW_GROUP = 10_000_000, 131_072
SHARED_NEAR, SHARED_TEMPLATE = 0.88**8, 0.43**8  # chance that a band of 8 rows is that of the group


def keys_of(number: NDArray[np.uint64], documents: int) -> NDArray[np.uint64]:
    """The band key of each document."""
    group = group_of(number, documents)
    chance = mixed(number + np.uint64(11)) / 2.0**64
    shared = np.where(group >= 0, chance < SHARED_NEAR, (group < -1) & (chance < SHARED_TEMPLATE))
    own = mixed(number ^ np.uint64(1 << 62))
    return np.where(shared, mixed(group.astype(np.uint64) ^ np.uint64(1 << 61)), own)


def write_file(folder: Path, file: int, documents: int) -> None:
    """One shard of keys as its signatures would leave it."""
    first, last = file * FILE, min((file + 1) * FILE, documents)
    read = pa.schema([("removed_by", pa.string())])
    schemas = {DOCUMENTS: read, LAYER: LAYER_SCHEMA, BANDS: bands_schema(1)}
    writers = {
        kind: pq.ParquetWriter(folder / f"{file}.{kind}", schema, compression="zstd")
        for kind, schema in schemas.items()
    }
    for start in range(first, last, ROW_GROUP):
        rows = min(ROW_GROUP, last - start)
        keys = keys_of(np.arange(start, start + rows, dtype=np.uint64), documents)
        columns = {DOCUMENTS: pa.nulls(rows, pa.string()), LAYER: pa.array(np.full(rows, 64)), BANDS: pa.array(keys)}
        for kind, writer in writers.items():
            writer.write_table(pa.table([columns[kind]], schema=writer.schema), row_group_size=rows)
    for writer in writers.values():
        writer.close()


def perform(folder: Path, files: int) -> dict[str, Any]:
    """The task, in this process."""
    shards = [[f"{i}", "x", f"read-{i}", [[f"signatures/{i}", False]]] for i in range(files)]
    task = Task(
        "buckets", BUCKETS.name, BUCKETS.version, {"first": 0, "last": 1, "scope": "global", "shards": shards}, {}
    )

    def output(name: str, file: str) -> Path:
        return folder / f"{name.rpartition('-')[2].rpartition('/')[2]}.{file}"

    (folder / "buckets").mkdir()
    wall, cpu = time.perf_counter(), cpu_seconds()
    context = TaskContext(task, folder / "buckets", output)
    BUCKETS.run(context)
    context.close()
    return {
        "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(cpu_seconds() - cpu, 1),
        "peak_memory_mb": peak_memory_mb(),
        "counts": dict(context.counts),
    }


def check(folder: Path, documents: int, found: dict[str, int]) -> None:
    """Number of buckets, of their rows and of hot rows, and the sum of all rows' keys, against how keys were made."""
    clusters = max(documents // 8, 1)
    size = np.zeros(clusters + max(documents // 1000, 1), np.uint32)  # by group: clusters, then templates
    for start in range(0, documents, FILE):
        number = np.arange(start, min(start + FILE, documents), dtype=np.uint64)
        group = group_of(number, documents)
        shared = keys_of(number, documents) != mixed(number ^ np.uint64(1 << 62))
        group = np.where(group >= 0, group, clusters - 2 - group)[shared]
        np.add.at(size, group, np.uint32(1))
    group = np.flatnonzero((size >= 2) & (size <= HOT))
    named = np.where(group < clusters, group, clusters - 2 - group).astype(np.uint64)
    with np.errstate(over="ignore"):
        keys = mixed(named ^ np.uint64(1 << 61)) * size[group].astype(np.uint64)
    wanted = (int((size >= 2).sum()), int(size[group].sum()), int(size[size > HOT].sum()), int(keys.sum()))
    rows, total = 0, 0
    for batch in pq.ParquetFile(folder / "buckets" / "buckets.parquet").iter_batches(1 << 20, columns=["key"]):
        rows, total = rows + batch.num_rows, (total + int(batch["key"].to_numpy().sum())) % 2**64
    hot = pq.read_metadata(folder / "buckets" / "hot.parquet").num_rows
    if (found["buckets"], rows, hot, total) != wanted:
        raise RuntimeError(f"other buckets than the keys have: {(found['buckets'], rows, hot, total)} against {wanted}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000_000)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    arguments = parser.parse_args()
    documents, folder = arguments.documents, Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        files = -(-documents // FILE)
        for file in range(files):
            write_file(folder, file, documents)
        disk = Disk(folder)
        size = disk.size()
        made = in_fresh_processes(1, [(perform, (folder, files))])[0]
        disk.close()
        check(folder, documents, made["counts"])
        result = {
            "documents": documents,
            **made,
            "cpu_us_a_document": round(made["cpu_s"] / documents * 1e6, 3),
            "input_bytes_per_document": round(size / documents, 1),
            "scratch_and_output_bytes_per_document": round((disk.most - size) / documents, 1),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=1))
    path = FOLDER / "scale_keys.json"
    known = json.loads(path.read_text())["results"] if path.exists() else {}
    entries = {**known, str(documents): result}
    write_result("scale_keys", dict(sorted(entries.items(), key=lambda item: int(item[0]))))


if __name__ == "__main__":
    main()
