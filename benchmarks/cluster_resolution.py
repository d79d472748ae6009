"""Resolution of candidates into components against datatrove's cluster stage: CPU time, memory, the same components.

    python benchmarks/cluster_resolution.py --peer-python PATH

Synthetic buckets of 14 bands: 40 % of the documents are in groups whose sizes follow a power law and share each
band with their group with probability 0.5.  datatrove reads the pairs that its own bucket stage would
write (neighbours in a bucket), ours the rows of the same buckets.  Writes benchmarks/results/cluster_resolution.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from results import write_result
from scale_dedup import in_fresh_processes, peak_memory_mb

from curation.dedup.band_buckets import BUCKETS_SCHEMA, bucket_rows, write_rows
from curation.dedup.components import find_candidates, unite_all
from curation.dedup.signatures import LAYER_SCHEMA
from curation.pipeline.context import TaskContext
from curation.pipeline.execute import cpu_seconds
from curation.pipeline.shards import ShardWriter
from curation.pipeline.task import Task

BANDS, SHARE, NEAR, ROW_GROUP = 14, 0.5, 0.4, 16_384


def make_buckets(folder: Path, documents: int) -> None:
    """buckets.parquet, read.parquet and layer.parquet for ours, one .dups file a band for datatrove."""
    chance = np.random.default_rng(1)
    members = np.flatnonzero(chance.random(documents) < NEAR)
    group = (chance.random(len(members)) ** 5 * (documents // 8)).astype(np.int64)  # frequency ∝ rank^−0.8
    (folder / "dups").mkdir()
    writer = ShardWriter(folder / "buckets.parquet", BUCKETS_SCHEMA)
    for band in range(BANDS):
        shares = chance.random(len(members)) < SHARE
        position, key = members[shares], (np.uint64(band) << np.uint64(40)) + group[shares].astype(np.uint64)
        order = np.lexsort((position, key))
        position, key = position[order], key[order]
        again = key[1:] == key[:-1]
        pairs = np.zeros((int(again.sum()), 4), "<u4")
        pairs[:, 1], pairs[:, 3] = position[:-1][again], position[1:][again]
        pairs.tofile(folder / "dups" / f"{band:05}_00.dups")
        bucket = np.append(again, False) | np.insert(again, 0, False)
        write_rows(writer, BUCKETS_SCHEMA, key[bucket], position[bucket])
    writer.close()
    pq.write_table(pa.table({"removed_by": pa.nulls(documents, pa.string())}), folder / "read.parquet",
                   row_group_size=ROW_GROUP)  # fmt: skip
    layer = ShardWriter(folder / "layer.parquet", LAYER_SCHEMA)
    write_rows(layer, LAYER_SCHEMA, np.full(documents, 64))
    layer.close()


def context_of(folder: Path) -> TaskContext:
    """What the barrier would be given for one shard."""
    files = {("read", "documents"): "read", ("signatures/x", "layer"): "layer", ("found", "buckets"): "buckets"}
    config = {"shards": [["x", "x", "read", [["signatures/x", False]]]], "buckets": ["found"]}
    return TaskContext(Task("minhash", "minhash", 1, config, {}), folder, lambda *key: folder / f"{files[key]}.parquet")


def ours(folder: Path) -> dict[str, Any]:
    """CPU seconds and growth of memory of finding, uniting and partitioning the candidates."""
    with tempfile.TemporaryDirectory() as small:
        make_buckets(Path(small), 1000)
        find_candidates(context_of(Path(small)))  # load the kernels before the clock starts
    before, cpu = peak_memory_mb(), cpu_seconds()
    found = find_candidates(context_of(folder))
    seconds, after = cpu_seconds() - cpu, peak_memory_mb()
    state = found.length.nbytes + found.partition.nbytes + found.place.nbytes  # lengths, union-find, weights
    state += found.members._bits.nbytes + found.members._before.nbytes
    return {"cpu_s": seconds, "memory_mb": after - before, "state_bytes": state, "candidates": found.members.size}


def components(folder: Path) -> dict[str, int]:
    """How many candidates and components there are."""
    context = context_of(folder)
    members = find_candidates(context).members
    parent, weight = np.arange(members.size, dtype=np.uint32), np.zeros(members.size, np.uint32)
    unite_all(((keys, members.rank(positions)) for keys, positions in bucket_rows(context)), parent, weight)
    roots: NDArray[np.bool_] = parent == np.arange(members.size)
    return {"candidates": members.size, "components": int(roots.sum())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_buckets(folder, arguments.documents)
        peer = [
            arguments.peer_python,
            str(Path(__file__).with_name("cluster_resolution_peer.py")),
            str(folder / "dups"),
        ]
        for _ in range(arguments.rounds):
            own = in_fresh_processes(1, [(ours, (folder,))])[0]
            done = subprocess.run(peer, check=True, capture_output=True, text=True)
            rounds.append({"ours": own, "datatrove": json.loads(done.stdout.splitlines()[-1])})
        truth = components(folder)
    last = rounds[-1]["datatrove"]
    if truth["candidates"] - truth["components"] != last["removed"] or truth["candidates"] != last["candidates"]:
        raise RuntimeError(f"other components: {truth} against {last}")
    result = {
        "documents": arguments.documents,
        **truth,
        "pairs": last["pairs"],
        "cpu_ratio": round(median(r["datatrove"]["cpu_s"] / r["ours"]["cpu_s"] for r in rounds), 1),
        "ours_cpu_s": round(median(r["ours"]["cpu_s"] for r in rounds), 3),
        "datatrove_cpu_s": round(median(r["datatrove"]["cpu_s"] for r in rounds), 2),
        "ours_state_bytes_per_document": round(rounds[-1]["ours"]["state_bytes"] / arguments.documents, 2),
        "ours_memory_bytes_per_candidate": round(
            max(r["ours"]["memory_mb"] for r in rounds) * 1e6 / truth["candidates"]
        ),
        "datatrove_memory_bytes_per_candidate": round(last["memory_mb"] * 1e6 / truth["candidates"]),
        "rounds": rounds,
    }
    print(json.dumps({key: value for key, value in result.items() if key != "rounds"}, indent=1))
    write_result("cluster_resolution", result, {"datatrove": last["version"]})


if __name__ == "__main__":
    main()
