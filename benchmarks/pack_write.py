"""Tokenise, pack and write against datatrove's DocumentTokenizer: CPU time, one process, alternating, equal ids.

    python benchmarks/pack_write.py --data DIR --tokenizer DIR --peer-python PATH

DIR holds text/*.jsonl.zst; the tokenizer is a directory that `curate tokenizer` wrote; PATH is the interpreter of an
environment with datatrove.  Both read the same Parquet files and shuffle documents; ours also packs rows of
2,048 tokens and writes index, order, digests and manifest.  Every document's ids are compared.  Writes
benchmarks/results/pack_write.json.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from results import write_result

from packing.layout import files
from packing.layout.manifest import Manifest
from packing.write import job
from packing.write.job import write_shards
from packing.write.rules import Rules

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("source", pa.string())])


def sample(data: Path, folder: Path, megabytes: float) -> tuple[int, int]:
    """Parquet files with the first so many MB of each text file; (documents, bytes)."""
    documents = size = 0
    for path in sorted((data / "text").glob("*.jsonl.zst")):
        rows: list[dict[str, str]] = []
        mine = 0
        with open(path, "rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
                one = json.loads(line)
                name = path.name.partition(".")[0]
                if not one["text"]:
                    continue
                rows.append({"id": f"{name}/{one['id']}", "text": one["text"], "source": name})
                mine += len(one["text"].encode())
                if mine > megabytes * 1e6:
                    break
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / f"{name}.parquet", row_group_size=1_000)
        documents, size = documents + len(rows), size + mine
    return documents, size


def with_special_text(folder: Path, tokenizer: Path) -> int:
    """Documents whose text spells a special token: datatrove makes it one, we leave it text."""
    specials = [one["content"] for one in json.loads((tokenizer / "tokenizer.json").read_bytes())["added_tokens"]]
    texts = (text for path in folder.glob("*.parquet") for text in pq.read_table(path)["text"].to_pylist())
    return sum(any(special in text for special in specials) for text in texts)


def of_datatrove(folder: Path) -> Counter[bytes]:
    """Hash of each document's ids, from .ds and its index of ends."""
    found: Counter[bytes] = Counter()
    for path in folder.glob("*.ds"):
        ends = np.fromfile(path.with_name(path.name + ".index"), "<u8").astype(np.int64)
        width = path.stat().st_size // int(ends[-1])
        ids = np.fromfile(path, f"<u{width}").astype("<u4")
        for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            found[hashlib.sha256(ids[begin:end].tobytes()).digest()] += 1
    return found


def of_shards(folder: Path) -> Counter[bytes]:
    """The same from rows and fragment tables."""
    manifest = Manifest.read(folder)
    parts: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for shard in manifest.shards:
        rows = files.map_rows(folder, shard.name, manifest.sequence_length)
        table = pq.read_table(files.fragment_path(folder, shard.name)).to_pydict()
        row, at = -1, 0
        for seq, length, key, offset in zip(
            table["seq"], table["len"], table["doc_key"], table["doc_offset"], strict=True
        ):
            at = at if seq == row else 0
            row = seq
            parts[key].append((offset, rows[seq, at : at + length].tobytes()))
            at += length
    return Counter(hashlib.sha256(b"".join(ids for _, ids in sorted(some))).digest() for some in parts.values())


class Peer:
    """datatrove in its own process."""

    def __init__(self, python: str, *arguments: str) -> None:
        command = [python, str(Path(__file__).with_name("pack_write_peer.py")), *arguments]
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.versions = self.read()

    def run(self, out: Path) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{out}\n")
        self.process.stdin.flush()
        seconds: dict[str, float] = self.read()
        return seconds

    def read(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):  # its progress lines are not
                return json.loads(line)
        raise RuntimeError("the peer process ended; its error is above")


def ours(data: Path, tokenizer: Path, out: Path) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    write_shards([data], tokenizer, out, Rules(2048, 17))
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--megabytes", type=float, default=3.0, help="of each text file (default 3)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for folder in ("data", "warm"):
            (place / folder).mkdir()
        documents, size = sample(arguments.data, place / "data", arguments.megabytes)
        sample(arguments.data, place / "warm", 0.02)
        ours(place / "warm", arguments.tokenizer, place / "warm-out")  # compile or load the kernels
        peer = Peer(
            arguments.peer_python, str(place / "data"), str(arguments.tokenizer / "tokenizer.json"), str(place / "warm")
        )
        special = with_special_text(place / "data", arguments.tokenizer)
        rounds, equal = [], 0
        for number in range(arguments.rounds):
            mine, theirs = place / f"ours{number}", place / f"theirs{number}"
            rounds.append({"ours": ours(place / "data", arguments.tokenizer, mine), "datatrove": peer.run(theirs)})
            left, right = of_shards(mine), of_datatrove(theirs)
            equal = (left & right).total()
            if left.total() != right.total() or equal + special != documents:
                raise SystemExit(f"{equal} of {documents} documents have equal ids; {special} may differ")
            made = Manifest.read(mine)
            shutil.rmtree(mine)
            shutil.rmtree(theirs)
        engine = job._encoder(arguments.tokenizer.absolute()).engine
    ratios = [one["datatrove"]["cpu_s"] / one["ours"]["cpu_s"] for one in rounds]
    result = {
        "documents": documents,
        "megabytes": round(size / 1e6, 1),
        "tokens": made.ledger["tokens"]["packed"],
        "vocabulary": made.vocab_rows,
        "engine": engine,
        "documents_with_equal_ids": equal,
        "documents_whose_text_spells_a_special_token": special,  # datatrove ends them in the middle, or the like
        "cpu_ratio": round(median(ratios), 2),
        "ours_mb_per_cpu_s": round(size / 1e6 / median(one["ours"]["cpu_s"] for one in rounds), 2),
        "datatrove_mb_per_cpu_s": round(size / 1e6 / median(one["datatrove"]["cpu_s"] for one in rounds), 2),
        "rounds": rounds,
    }
    print(json.dumps(result, indent=1))
    write_result("pack_write", result, peer.versions)


if __name__ == "__main__":
    main()
