"""Reading packed sequences back: ours against Megatron, OLMo-core, datatrove, MosaicML streaming and litdata.

    python benchmarks/pack_loader.py --folder DIR --python ours=PATH --python megatron=PATH --python olmo=PATH …

The same rows for all (documents of a log-normal length law, fitted to DCLM-baseline, laid end to end), exported with
packing.export; every reader in its own interpreter (numpy and torch for ours), one thread, page cache warm, batches
of 32,768 tokens as int64, passes in turn, CPU seconds; speeds and ratios are of the fastest round of each, and
`lower_bound` is what copying the bytes of a full batch costs in the same process.  In the same run all ids that a pass
serves are compared.
Also: the first batch of 100 million sequences of 2,048 tokens (sparse files, all CRCs in the manifest).
Writes benchmarks/results/pack_loader.json and pack_loader_opening.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pack_loader_reader import BATCH_TOKENS, EOS, LEAST, PAD, VOCAB, WRITTEN
from peer_process import Peer
from results import write_result

from packing.export import export
from packing.layout import files
from packing.layout.digests import digest_file
from packing.layout.manifest import BLOCK, FileDigest, Manifest, QueueInfo, ShardInfo, StageInfo

ROOT = Path(__file__).parents[1]
FORMATS = ("megatron", "olmo", "datatrove", "mds", "litdata")
SLOW = 4_000_000  # tokens of a timed pass, at most, of readers below 100 M tokens/s
FULL = {"megatron": "reset positions", "olmo": "packed", "datatrove": "positions"}
OPENING = r"""
import json, re, sys, time
started = time.perf_counter()
from packing.loader import PackedLoader
loader = PackedLoader(sys.argv[1], global_batch=16)
opened = time.perf_counter()
batch = next(iter(loader))
first = time.perf_counter()
loader.load_state_dict({**loader.state_dict(), "sequence": 90_000_000})
late = next(iter(loader))
peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])  # ru_maxrss would count the parent's
print(json.dumps({
    "sequences": len(loader.dataset), "first_batch_s": round(first - started, 3), "of_it_opening_s":
    round(opened - started, 3), "resume_at_90_million_s": round(time.perf_counter() - first, 3),
    "rss_mb": round(peak / 1024), "tokens": int(batch["tokens"].size),
}))
"""


def open_reader(name: str, python: str, folder: Path, length: int, rows: int) -> Peer:
    """A reader in its own process; `versions` has its `versions` and its `passes`."""
    environment = {"PYTHONPATH": str(ROOT) if name == "ours" else "", "OMP_NUM_THREADS": "1"}
    return Peer(python, "pack_loader_reader.py", name, str(folder), str(length), str(rows), environment=environment)


def make_rows(length: int, tokens: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows uint32[n, L], fragments of each row, their lengths): documents end in EOS, rows are full."""
    random = np.random.default_rng(0)
    rows = tokens // length // 128 * 128
    data = random.integers(2, VOCAB, rows * length).astype("<u4")
    sizes = np.maximum(8, random.lognormal(6.15, 1.25, rows * length // 400)).astype(np.int64)
    ends = np.cumsum(sizes)
    ends = ends[ends <= data.size]
    data[np.concatenate([ends, [data.size]]) - 1] = EOS  # OLMo-core drops a last document without one
    cuts = np.unique(np.concatenate([ends, np.arange(1, rows + 1) * length]))
    counts = np.diff(np.searchsorted(cuts, np.arange(rows + 1) * length, "right"))
    return data.reshape(rows, length), counts, np.diff(np.concatenate([[0], cuts])).astype("<u4")


def write(out: Path, made: tuple[np.ndarray, np.ndarray, np.ndarray], queues: int) -> None:
    """A shard directory whose `queues` queues are served in turn, so that the order is that of the rows."""
    rows, counts, lengths = made
    for folder in ("data", "index", "order"):
        (out / folder).mkdir(parents=True)
    firsts = np.concatenate([[0], np.cumsum(counts)])
    shards = []
    for queue in range(queues):
        name, mine = files.shard_name(queue), np.arange(queue, len(rows), queues)
        rows[mine].tofile(files.data_path(out, name))
        here = [lengths[firsts[row] : firsts[row + 1]] for row in mine]
        starts = np.concatenate([[0], np.cumsum(counts[mine])]).astype(files.ROW_START)
        files.csr_path(out, name).write_bytes(starts.tobytes() + np.concatenate(here).tobytes())
        segments = np.zeros(int(starts[-1]), files.SEGMENT)
        segments["doc_key"], segments["n_bytes"] = np.arange(1, segments.size + 1), np.concatenate(here) * 4
        segments.tofile(files.segment_path(out, name))
        table = {
            "seq": np.repeat(np.arange(len(mine), dtype=np.uint32), counts[mine]),
            "len": np.concatenate(here),
            "doc_key": segments["doc_key"],
            "copy": segments["copy"],
            "doc_offset": np.zeros(segments.size, np.uint64),
            "n_bytes": segments["n_bytes"],
            "source": segments["source"],
            "flags": np.full(segments.size, files.FIRST | files.LAST, np.uint8),
        }
        pq.write_table(pa.table(table), files.fragment_path(out, name))
        names = [f"data/{name}.bin", f"index/{name}.csr", f"index/{name}.seg"]
        found = [digest_file(out, one, blocks=one.startswith("data")) for one in names]
        tokens = len(mine) * rows.shape[1]
        shards.append(ShardInfo(name, queue, len(mine), segments.size, tokens, found, int(counts.max())))
    (np.arange(len(rows)) % queues).astype(files.QUEUE).tofile(files.order_path(out, 0))
    stages = [
        StageInfo("all", len(rows), [1 / queues] * queues, None, digest_file(out, "order/stage0.u16", blocks=False))
    ]
    finish(out, rows.shape[1], shards, stages)


def finish(out: Path, length: int, shards: list[ShardInfo], stages: list[StageInfo]) -> None:
    """Write the manifest."""
    queues = [QueueInfo(f"queue{shard.queue}", shard.rows, shard.tokens) for shard in shards]
    if len({shard.queue for shard in shards}) < len(shards):
        queues = [QueueInfo("queue0", sum(s.rows for s in shards), sum(s.tokens for s in shards))]
    ledger = {"tokens": {"packed": sum(shard.tokens for shard in shards)}}
    made = Manifest(length, VOCAB, EOS, PAD, None, "0" * 32, ["web"], queues, shards, stages, {}, ledger, 0, "")
    (out / files.MANIFEST).write_bytes(made.with_root().to_json())


def opening(folder: Path, python: str) -> dict[str, Any]:
    """100 million sequences of 2,048 tokens in shards of 1 GiB; nearly all of it holes."""
    out, length, rows, shards = folder / "sparse", 2048, 131_072, 763
    for name in ("data", "index", "order"):
        (out / name).mkdir(parents=True)
    infos = []
    crc = zlib.crc32(bytes(BLOCK))
    for number in range(shards):
        name, sha = files.shard_name(number), "0" * 64
        sizes = {
            f"data/{name}.bin": rows * length * 4,
            f"index/{name}.csr": (rows + 1) * 8 + rows * 4,
            f"index/{name}.seg": rows * 16,
        }
        for path, size in sizes.items():
            with open(out / path, "wb") as file:
                file.truncate(size)
        with open(files.csr_path(out, name), "wb") as file:  # one fragment in a row, so that batches are valid
            file.write(np.arange(rows + 1, dtype=files.ROW_START).tobytes())
            file.write(np.full(rows, length, files.LENGTH).tobytes())
        found = [
            FileDigest(path, size, sha, [crc] * (size // BLOCK) * path.startswith("data"))
            for path, size in sizes.items()
        ]
        infos.append(ShardInfo(name, 0, rows, rows, rows * length, found, 1))
    with open(files.order_path(out, 0), "wb") as file:
        file.truncate(rows * shards * 2)
    finish(out, length, infos, [StageInfo("all", rows * shards, [1.0])])
    rounds = []
    for _ in range(3):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [python, "-c", OPENING, str(out)], capture_output=True, text=True, env=environment, check=True
        )
        rounds.append(json.loads(done.stdout))
    result = {key: median(one[key] for one in rounds) for key in rounds[0]}
    result["manifest_mb"] = round((out / files.MANIFEST).stat().st_size / 1e6, 1)
    shutil.rmtree(out)
    return result


def compare(folder: Path, length: int, tokens: int, pythons: dict[str, str], count: int) -> tuple[Any, dict[str, str]]:
    """All readers over the same rows, `count` rounds in turn."""
    made = make_rows(length, tokens)
    rows = len(made[0])
    write(folder / "one", made, 1)
    write(folder / "eight", made, 8)
    for name in FORMATS:
        if name in pythons:
            export(folder / "one", name, folder / name, link=name in ("megatron", "olmo", "datatrove"))
    readers = {name: open_reader(name, python, folder, length, rows) for name, python in pythons.items()}
    expected = readers["ours"].ask("check\trows")
    equal: dict[str, bool] = {}
    speeds: dict[str, list[float]] = {}
    for name, reader in readers.items():
        for one in reader.versions["passes"]:
            if one == LEAST:
                continue
            found = reader.ask(f"check\t{one}")
            keys = ("tokens", "ids") if (name, one) == ("olmo", "packed") else ("rows", "digest", "tokens", "ids")
            equal[f"{name}: {one}"] = all(found[key] == expected[key] for key in keys)
    for _ in range(count):
        for name, reader in readers.items():
            for one in reader.versions["passes"]:
                limit = rows * length if name in ("ours", "mds", "litdata") or "rows" in one else SLOW
                answer = reader.ask(f"{one}\t{limit}")
                speeds.setdefault(f"{name}: {one}", []).append(answer["tokens"] / answer["cpu"] / 1e6)
    for reader in readers.values():
        reader.close()
    full, raw, shuffled = (speeds[f"ours: {one}"] for one in ("full", "rows", "rows at random"))

    def ratio(mine: list[float], other: list[float]) -> float:
        return round(max(mine) / max(other), 1)

    ratios = {f"full against {n}: {one}": ratio(full, speeds[f"{n}: {one}"]) for n, one in FULL.items() if n in readers}
    for name in ("datatrove", "mds", "litdata"):
        for one in ("rows", "rows, iterator", "rows at random"):
            if f"{name}: {one}" in speeds:
                mine = shuffled if one == "rows at random" else raw
                ratios[f"raw against {name}: {one}"] = ratio(mine, speeds[f"{name}: {one}"])
    shown = {name: round(max(values), 1) for name, values in speeds.items()}
    least = max(speeds[f"ours: {LEAST}"])
    bound = {
        "bytes_read": 4 * BATCH_TOKENS,
        "bytes_written": WRITTEN * BATCH_TOKENS,
        "least_us_per_batch": round(BATCH_TOKENS / least, 1),
        "ours_us_per_batch": round(BATCH_TOKENS / max(full), 1),
        "most_m_tokens_per_cpu_s": round(least, 1),
        "most_ratios": {n: ratio([least], speeds[f"{n}: {one}"]) for n, one in FULL.items() if n in readers},
    }
    result = {
        "rows": rows,
        "batch": BATCH_TOKENS // length,
        "ids_equal": equal,
        "m_tokens_per_cpu_s": shown,
        "ratios": ratios,
        "lower_bound": bound,
        "rounds": speeds,
        "load": os.getloadavg()[0],
    }
    return result, {
        key: value
        for reader in readers.values()
        for key, value in reader.versions["versions"].items()
        if key != "torch"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="new; needs about 3 GB while running")
    parser.add_argument("--python", action="append", required=True, help="NAME=PATH; ours and any of the readers")
    parser.add_argument("--lengths", type=int, nargs="*", default=[2048, 8192], help="none: opening only")
    parser.add_argument("--tokens", type=int, default=48_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pythons = dict(one.split("=", 1) for one in arguments.python)
    if "ours" not in pythons:
        sys.exit("--python ours=PATH is needed")
    results: dict[str, Any] = {}
    versions: dict[str, str] = {}
    for length in arguments.lengths:
        place = arguments.folder / str(length)
        results[f"L={length}"], found = compare(place, length, arguments.tokens, pythons, arguments.rounds)
        versions |= found
        shutil.rmtree(place)
        print(json.dumps({k: v for k, v in results[f"L={length}"].items() if k != "rounds"}, indent=1), flush=True)
    if results:
        write_result("pack_loader", results, versions)
    opened = opening(arguments.folder, pythons["ours"])
    print(json.dumps(opened, indent=1))
    write_result("pack_loader_opening", opened)


if __name__ == "__main__":
    main()
