"""The real near-duplicate barrier on many synthetic documents: time, peak memory, disk of each of its tasks.

    python benchmarks/scale_dedup.py --documents 10000000 --workers 2

Documents are sets of 64 shingle hashes (no texts); band keys, buckets, rebanding, verification, ledger are the
code of a run.  Of the documents 25 % are near-duplicates (Jaccard about 0.88) in clusters whose sizes follow a
power law, 15 % are pages of templates with the same law that share 60 % (Jaccard 0.43: candidates, no duplicates),
60 % are unlike anything.  Every verdict is checked against how the documents were made.
Writes benchmarks/results/scale_dedup.json, one entry for each number of documents.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from results import FOLDER, write_result

from curation.dedup.band_buckets import BUCKETS
from curation.dedup.minhash import MINHASH
from curation.dedup.presets import PRESETS
from curation.dedup.rebanding import REBANDED
from curation.dedup.signatures import BANDS, LAYER_SCHEMA, SHINGLES, SHINGLES_SCHEMA, bands_schema
from curation.dedup.sketch import band_keys
from curation.pipeline.context import DOCUMENTS, LAYER, TaskContext
from curation.pipeline.execute import cpu_seconds
from curation.pipeline.step import Step
from curation.pipeline.task import Task
from curation.text.shingles import Shingles, distinct

BANDING = PRESETS["wide-32x8"]
FILE, ROW_GROUP, LENGTH = 100_000, 16_384, 64
NEAR, TEMPLATED = 0.25, 0.15
CHANGED, OWN = 2, 26  # shingles that a near-duplicate, a templated page has for itself
DECISIONS = {"jaccard": 0.8, "containment": 0.95, "scope": "global", "edit_similarity": None}
STEPS: dict[str, Step] = {step.name: step for step in (BUCKETS, REBANDED, MINHASH)}


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit mixing function (splitmix64's finaliser)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def group_of(number: NDArray[np.uint64], documents: int) -> NDArray[np.int64]:
    """Of each document its cluster (≥ 0), its template (< −1), or −1; ranks of both by a power law."""
    kind = mixed(number * np.uint64(2) + np.uint64(1)) / 2.0**64
    chance = (mixed(number * np.uint64(2)) / 2.0**64) ** 5  # frequency ∝ rank^−0.8
    cluster = (chance * max(documents // 8, 1)).astype(np.int64)
    template = -2 - (chance * max(documents // 1000, 1)).astype(np.int64)
    return np.where(kind < NEAR, cluster, np.where(kind < NEAR + TEMPLATED, template, -1))


def shingles_of(number: NDArray[np.uint64], documents: int) -> Shingles:
    """Distinct shingle hashes of these documents."""
    group = group_of(number, documents)
    column = np.arange(LENGTH, dtype=np.uint64)
    own = mixed((number[:, None] << np.uint64(8)) + column)
    base = mixed(((group.astype(np.uint64) << np.uint64(8)) + column[None, :].T).T ^ np.uint64(1 << 63))
    # a near-duplicate's changes lie anywhere, a page's own part is at the end
    place = (mixed(number + np.uint64(7))[:, None] >> (np.uint64(6) * np.arange(CHANGED, dtype=np.uint64))) & np.uint64(
        63
    )
    changed = np.zeros(own.shape, np.bool_)
    np.put_along_axis(changed, place.astype(np.int64), True, axis=1)
    changed[group < -1] = column >= LENGTH - OWN
    changed[group == -1] = True
    values = (np.where(changed, own, base) >> np.uint64(32)).astype(np.uint32)
    ends = np.arange(1, len(number) + 1, dtype=np.int64) * LENGTH
    return distinct(Shingles(np.ascontiguousarray(values).ravel(), ends))


def write_file(folder: Path, file: int, documents: int) -> tuple[float, int]:
    """One shard as its read task and its signatures would leave it; (CPU seconds of the band keys, bytes)."""
    name = f"x-{file:05}"
    first = file * FILE
    seconds, paths = 0.0, {key: folder / f"{name}.{key}" for key in (DOCUMENTS, LAYER, BANDS, SHINGLES)}
    read_schema = pa.schema([("id", pa.string()), ("removed_by", pa.string())])
    schemas = [read_schema, LAYER_SCHEMA, bands_schema(BANDING.bands), SHINGLES_SCHEMA]
    writers = [pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False)
               for path, schema in zip(paths.values(), schemas, strict=True)]  # fmt: skip
    for start in range(first, min(first + FILE, documents), ROW_GROUP):
        rows = min(ROW_GROUP, first + FILE - start, documents - start)
        shingles = shingles_of(np.arange(start, start + rows, dtype=np.uint64), documents)
        begin = time.process_time()
        keys = band_keys(shingles, BANDING)
        seconds += time.process_time() - begin
        offsets = pa.array(np.concatenate([[0], shingles.ends]))
        columns: list[list[pa.Array]] = [
            [pa.array([f"x/{i}" for i in range(start, start + rows)]), pa.nulls(rows, pa.string())],
            [pa.array(np.diff(offsets))],
            [pa.array(column) for column in np.ascontiguousarray(keys.T)],
            [pa.LargeListArray.from_arrays(offsets, pa.array(shingles.values))],
        ]
        for writer, arrays in zip(writers, columns, strict=True):
            writer.write_table(pa.table(arrays, schema=writer.schema), row_group_size=rows)
    for writer in writers:
        writer.close()
    return seconds, sum(path.stat().st_size for path in paths.values())


def write_files(folder: Path, files: list[int], documents: int) -> tuple[float, int]:
    """Several shards; the sums over them."""
    made = [write_file(folder, file, documents) for file in files]
    return sum(seconds for seconds, _ in made), sum(size for _, size in made)


def perform(folder: Path, files: int, step: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Run one task of the barrier in this process."""
    shards = [[f"x-{i:05}", "x", f"read-{i}", [[f"signatures/x-{i:05}", False]]] for i in range(files)]
    task = Task(name, step, STEPS[step].version, {**config, "shards": shards}, {})

    def output(task: str, file: str) -> Path:
        if task.startswith("read-"):
            return folder / f"x-{int(task[5:]):05}.{file}"
        if task.startswith("signatures/"):
            return folder / f"{task.partition('/')[2]}.{file}"
        return folder / task / f"{file}.parquet"

    directory = folder / name
    directory.mkdir()
    wall, cpu = time.perf_counter(), cpu_seconds()
    context = TaskContext(task, directory, output)
    STEPS[step].run(context)
    context.close()
    return {
        "task": name,
        "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(cpu_seconds() - cpu, 1),
        "peak_memory_mb": peak_memory_mb(),
        "counts": dict(context.counts),
    }


def peak_memory_mb() -> int:
    """Largest resident size of this process (Linux; `ru_maxrss` would start at its parent's)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) * 1024 / 1e6)


class Disk:
    """The largest size of a folder, looked at twice a second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.most, self._stop = folder, 0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.most = max(self.most, self.size())

    def size(self) -> int:
        total = 0
        for path in self.folder.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:
                continue
        return total

    def close(self) -> None:
        self._stop.set()


def in_fresh_processes(workers: int, calls: list[tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[Any]:
    """Each call in a process of its own, so that peak memory is that of the call."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, max_tasks_per_child=1) as pool:
        futures = [pool.submit(function, *arguments) for function, arguments in calls]
        return [future.result() for future in futures]


def check(folder: Path, documents: int) -> dict[str, Any]:
    """Every removal must be of the kept document's own cluster; how many of a cluster's extra documents went."""
    ledger = pq.read_table(folder / "minhash" / "clusters.parquet", columns=["removed_id", "kept_id"])
    removed, kept = (
        np.array([int(id[2:]) for id in column.to_pylist()], np.uint64)
        for column in (ledger["removed_id"], ledger["kept_id"])
    )
    a, b = group_of(removed, documents), group_of(kept, documents)
    if not ((a == b) & (a >= 0)).all() or np.isin(kept, removed).any():
        raise RuntimeError("a document was removed for one that it is not like, or that is gone")
    near = group_of(np.arange(documents, dtype=np.uint64), documents)
    near = near[near >= 0]
    return {"removed": len(removed), "extra_documents_of_clusters": len(near) - len(np.unique(near))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--groups", type=int, default=4, help="tasks that the bands are split among")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    arguments = parser.parse_args()
    documents = arguments.documents
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        files = -(-documents // FILE)
        write_file(folder, 0, 100)  # compile
        made = in_fresh_processes(
            arguments.workers, [(write_files, (folder, list(range(i, files, 20)), documents)) for i in range(20)]
        )
        disk = Disk(folder)
        start = time.perf_counter()
        names = [f"minhash_buckets-{i}" for i in range(arguments.groups)]
        borders = [BANDING.bands * i // arguments.groups for i in range(arguments.groups + 1)]
        calls = [
            (perform, (folder, files, "minhash_buckets", name, {"first": a, "last": b, "scope": "global"}))
            for name, a, b in zip(names, borders[:-1], borders[1:], strict=True)
        ]
        tasks = in_fresh_processes(arguments.workers, calls)
        config: dict[str, Any] = {"scope": "global", "buckets": list(names)}
        tasks += in_fresh_processes(1, [(perform, (folder, files, "minhash_rebanded", "minhash_rebanded", config))])
        config = {**DECISIONS, "buckets": [*names, "minhash_rebanded"]}
        tasks += in_fresh_processes(1, [(perform, (folder, files, "minhash", "minhash", config))])
        wall = time.perf_counter() - start
        disk.close()
        result = {
            "documents": documents,
            "workers": arguments.workers,
            "wall_s": round(wall, 1),
            "cpu_s": round(sum(task["cpu_s"] for task in tasks), 1),
            "peak_memory_mb_of_a_task": max(task["peak_memory_mb"] for task in tasks),
            "band_keys_cpu_s": round(sum(seconds for seconds, _ in made), 1),
            "input_bytes_per_document": round(sum(size for _, size in made) / documents),
            "scratch_and_output_bytes_per_document": round((disk.most - sum(size for _, size in made)) / documents),
            **check(folder, documents),
            "tasks": tasks,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=1))
    path = FOLDER / "scale_dedup.json"
    known = json.loads(path.read_text())["results"] if path.exists() else {}
    entries = {**known, str(documents): result}
    write_result("scale_dedup", dict(sorted(entries.items(), key=lambda item: int(item[0]))))


if __name__ == "__main__":
    main()
