"""Random faults in shard directories: does `verify` find each?

    python benchmarks/pack_faults.py --each 45

Two directories (28 and 6 shards; the second with data files of several MiB) are written, copied, damaged in one
random place and verified, `--each` times for every kind of damage (tests/packing/verify/injection.py), in turn.
Half of the kinds leave the manifest's digests alone; the other half bring them up to date, so that only contents can
tell.  A damage that changes nothing (two equal files swapped) is drawn again.  Writes results/pack_faults.json.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import write_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from packing.verify import verify
from tests.packing.directories import write_directory
from tests.packing.verify.injection import DAMAGE, WRITTEN_WRONG

TRIES = 20  # then in the small directory: the large one has no two shards with equal counts to be doubled


def directories(folder: Path, rng: random.Random) -> list[Path]:
    """A directory with many small shards, one with few large ones; both without fault."""
    made = []
    for name, length, sizes, rows in (("small", 64, [1, 5, 40, 63, 64, 65, 200], 3), ("large", 2048, [900, 3000], 400)):
        count = 60 if name == "small" else 700
        documents = {
            source: [[rng.randrange(3, 200_000) for _ in range(rng.choice(sizes))] for _ in range(count)]
            for source in ("web", "books")
        }
        path = folder / name
        write_directory(path, documents, sequence_length=length, rows_per_shard=rows, vocab_rows=200_064)
        assert verify(path).ok
        made.append(path)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=45, help="faults of every kind (default 45)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    rng = random.Random(arguments.seed)
    kinds = {**DAMAGE, **WRITTEN_WRONG}
    counts: dict[str, dict[str, int]] = {name: {"injected": 0, "found": 0} for name in kinds}
    missed: list[dict[str, Any]] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        sources = directories(Path(scratch), rng)
        copy = Path(scratch) / "copy"
        for turn in range(arguments.each):
            print(f"turn {turn}", file=sys.stderr, flush=True)
            source = sources[turn % 9 == 8]  # the large one is slower: one in nine
            for name, damage in kinds.items():
                what, tries = None, 0
                while what is None:
                    shutil.rmtree(copy, ignore_errors=True)
                    shutil.copytree(source if tries < TRIES else sources[0], copy)
                    what, tries = damage(copy, rng), tries + 1
                counts[name]["injected"] += 1
                if verify(copy).ok:
                    missed.append({"kind": name, "what": what, "turn": turn})
                else:
                    counts[name]["found"] += 1
    injected = sum(count["injected"] for count in counts.values())
    result = {
        "injected": injected,
        "found": injected - len(missed),
        "missed": missed,
        "kinds": counts,
        "wall_seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps({key: result[key] for key in ("injected", "found", "missed", "wall_seconds")}, indent=1))
    write_result("pack_faults", result)


if __name__ == "__main__":
    main()
