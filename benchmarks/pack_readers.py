"""Exports opened by the libraries they are made for: is every row equal?

    python benchmarks/pack_readers.py --reader megatron=PATH --reader olmo=PATH --reader arrow=PATH …

PATH is the interpreter of an environment that has the format's library (docs/packing-export.md says how to make
one); formats that are not named are not read, and the result says so.  A directory with ids up to 200,063 in two queues
and two stages, and one with a vocabulary of 65,536 rows exported as uint16, are written and exported to every format,
copied and linked; `packing.verify.readers` then runs in that environment and compares every row, positions, masks.
Writes results/pack_readers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from results import write_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from packing.export import FORMATS, export
from packing.export.registry import LINKED
from tests.packing.directories import write_directory

ROOT = Path(__file__).parents[1]
LENGTH = 512


def write(out: Path, rows: int, highest: int, rng: random.Random) -> None:
    """A directory with documents of 1 to 3,000 tokens, a fifth of them longer than a row; queues `web` and `code`.

    Two stages divide the rows; the second goes on where the first ends.
    """
    sizes = [1, 20, 80, 200, 400, 511, 512, 513, 3000]
    weights = [4, 8, 8, 8, 4, 1, 1, 1, 2]
    documents: dict[str, list[list[int]]] = {"web": [], "code": []}
    tokens = 0
    while tokens < rows * LENGTH:
        size = rng.choices(sizes, weights)[0]
        documents[rng.choice(["web", "web", "code"])].append([rng.randrange(3, highest + 1) for _ in range(size)])
        tokens += size + 1
    made = write_directory(out, documents, sequence_length=LENGTH, rows_per_shard=97, vocab_rows=highest + 1)
    turns = [number for number, queue in enumerate(made.queues) for _ in range(queue.rows)]
    rng.shuffle(turns)
    half = len(turns) // 3
    for folder in ("data", "index", "order"):
        for path in (out / folder).iterdir():
            path.unlink()
    write_directory(
        out, documents, sequence_length=LENGTH, rows_per_shard=97, vocab_rows=highest + 1,
        schedules=[turns[:half], turns[half:]],
    )  # fmt: skip


def read(python: str, directory: Path, to: str, exported: Path) -> dict[str, Any]:
    """The verdict of the real library in its own environment."""
    command = [python, "-m", "packing.verify.readers", str(directory), to, str(exported)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=exported.parent
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", default=[], metavar="FORMAT=PYTHON")
    parser.add_argument("--rows", type=int, default=2_000)
    arguments = parser.parse_args()
    pythons = dict(one.split("=", 1) for one in arguments.reader)
    if unknown := set(pythons) - set(FORMATS):
        parser.error(f"no format is called {sorted(unknown)[0]}; known: {', '.join(FORMATS)}")

    rng = random.Random(0)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        write(scratch / "wide", arguments.rows, 200_063, rng)
        write(scratch / "narrow", arguments.rows, 65_535, rng)
        for to in FORMATS:
            variants: dict[str, tuple[str, dict[str, Any]]] = {
                "uint32": ("wide", {}), "uint16": ("narrow", {"dtype": "uint16"}),
            }  # fmt: skip
            if to in LINKED:
                variants["linked"] = ("wide", {"link": True})
            results[to] = {}
            for name, (source, options) in variants.items():
                if to not in pythons:
                    results[to][name] = "not read: no environment given"
                    continue
                done = export(scratch / source, to, scratch / f"{to}-{name}", **options)
                results[to][name] = read(pythons[to], scratch / source, to, done.path)
                print(to, name, results[to][name], flush=True)
    read_whole = [one.get("whole", False) for of in results.values() for one in of.values() if isinstance(one, dict)]
    peers = {
        one["reader"].split()[0]: one["reader"].split()[1]
        for of in results.values()
        for one in of.values()
        if isinstance(one, dict) and "reader" in one
    }
    write_result("pack_readers", {"all_equal": all(read_whole), "exports_read": len(read_whole), **results}, peers)


if __name__ == "__main__":
    main()
