"""From a plan to a mix table: time, memory, exactness, and how well a small set repeats as the whole does.

    python benchmarks/mix_sample.py [--documents 3000000] [--folder F]

Made tags of N documents (6 sources, 24 categories, 5 buckets = 720 cells; lognormal lengths; shards of a million rows
of Parquet, written first), caps 2, 2, 3, 4, 4, no category below 0.6 of its base share.  A process of its own counts
the cells, plans 1.4 times the unique tokens, collects, samples and writes the table: seconds of each part (wall, one
thread), peak memory, tokens off the budget in longest documents.  Then, for three budgets, the total variation
between the repeats of the mix and of an ablation of a share ρ, matched and ordinary (occurrences drawn), and the mean
length of the matched documents against the mix's.  The table of shuffled rows in other shards is compared byte for
byte.  Writes benchmarks/results/mix_sample_<documents>.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

SOURCES = ("web", "code", "books", "papers", "forums", "news")
CATEGORIES, BUCKETS = 24, (0.35, 0.3, 0.2, 0.1, 0.05)
BUDGETS, SHARES = (0.8, 1.4, 2.2), (0.1, 0.02, 0.005)
MAIN = 1.4  # times the unique tokens
SHARD = 1_000_000
SEED = 17


def shard(number: int, rows: int) -> pa.Table:
    """Tags of some documents; the same for a number whatever else is made."""
    draw = np.random.default_rng([SEED, number])
    share = np.random.default_rng(SEED).dirichlet(np.full(CATEGORIES, 2.0))
    category = draw.choice(CATEGORIES, rows, p=share)
    bucket = draw.choice(len(BUCKETS), rows, p=BUCKETS)
    columns: dict[str, Any] = {
        "doc_key": draw.integers(0, 2**64, rows, np.uint64),
        "source": pa.array(SOURCES).take(pa.array(draw.integers(0, len(SOURCES), rows))),
        "category": pa.array([f"category{i:02d}" for i in range(CATEGORIES)]).take(pa.array(category)),
        "bucket": pa.array(bucket, pa.int8()),
        "mix_score": pa.array(bucket - 1.2 + 0.3 * draw.standard_normal(rows), pa.float32()),
        "split": pa.array(["train", "holdout"]).take(pa.array((draw.random(rows) < 0.02).astype(np.int64))),
        "token_count": np.maximum(8, draw.lognormal(6.3, 1.1, rows)).astype(np.int64),
        "prio_sample": draw.integers(0, 2**64, rows, np.uint64),
        "prio_ablate": draw.integers(0, 2**64, rows, np.uint64),
    }
    return pa.table(columns)


def make_tags(folder: Path, documents: int) -> int:
    """Write the shards; returns the unique tokens of the documents that are not held out."""
    unique = 0
    for number, start in enumerate(range(0, documents, SHARD)):
        table = shard(number, min(SHARD, documents - start))
        kept = table["split"].to_numpy() == "train"
        unique += int((table["token_count"].to_numpy() + 1)[kept].sum())
        pq.write_table(table, folder / f"{number:05d}.parquet", compression="zstd")
    return unique


def shuffle(source: Path, target: Path) -> None:
    """The same rows in another order, in shards of another size."""
    whole = pa.concat_tables(pq.read_table(one) for one in sorted(source.glob("*.parquet")))
    whole = whole.take(pa.array(np.random.default_rng(1).permutation(len(whole))))
    for number, start in enumerate(range(0, len(whole), 700_001)):
        pq.write_table(whole.slice(start, 700_001), target / f"part-{number}.parquet")


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[part] = round(time.perf_counter() - started, 2)


def sample(folder: Path, out: Path, budget: int) -> dict[str, Any]:
    """Every part of a mix, timed; kernels are compiled before."""
    from mixing.config import MixConfig
    from mixing.sample.documents import collect, read_batches
    from mixing.sample.fair import fair_prefix
    from mixing.sample.make import planned
    from mixing.sample.realise import realise
    from mixing.sample.table import write_table

    one = np.ones(1, np.int64)
    fair_prefix(one, np.array([0, 1]), np.ones(1), 1.0)
    seconds: dict[str, float] = {}
    files = sorted(folder.glob("*.parquet"))
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        with timed(seconds, "count and plan"):
            found = planned(files, MixConfig(budget=budget), Path(scratch))
        with timed(seconds, "collect"):
            documents = collect(read_batches(files), found.inventory, seed=SEED, scratch=Path(scratch))
        with timed(seconds, "realise"):
            made = realise(documents, found.plan.x, found.plan.cap)
        with timed(seconds, "write"):
            queues = np.unique(np.array(found.inventory.cells.source), return_inverse=True)[1]
            rows = write_table(out, documents, made.copies, queues, found.inventory.cells.source, SEED)
        longest = int(documents.tokens.max())
        return {
            "cells": documents.cells,
            "documents": len(documents),
            "occurrences": rows,
            "budget_tokens": budget,
            "seconds": seconds,
            "seconds_all": round(sum(seconds.values()), 2),
            "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
            "off_budget_in_longest_documents": abs(made.total - budget) / longest,
            "worst_cell_in_longest_documents": float(np.abs(made.tokens - found.plan.x).max() / longest),
            "lambda": found.plan.lambda_,
            "ess": found.plan.ess,
        }


def ablations(folder: Path, unique: int) -> list[dict[str, Any]]:
    """Total variation of repeats and of categories, for budgets and shares."""
    from mixing.config import MixConfig
    from mixing.sample.ablate import matched, ordinary
    from mixing.sample.documents import collect, read_batches
    from mixing.sample.make import planned
    from mixing.sample.realise import realise
    from mixing.sample.repeats import cell_tokens, distance, repeat_shares

    files, rows = sorted(folder.glob("*.parquet")), []
    with tempfile.TemporaryDirectory() as scratch:
        found = planned(files, MixConfig(budget=int(unique * MAIN)))
        documents = collect(read_batches(files), found.inventory, seed=SEED, scratch=Path(scratch))
        category = np.unique(np.array(found.inventory.cells.category), return_inverse=True)[1]

        def by_category(copies: NDArray[np.uint16]) -> NDArray[np.float64]:
            held = np.bincount(category, weights=cell_tokens(documents, copies))
            return held / held.sum()

        for times in BUDGETS:
            plan = planned(files, MixConfig(budget=int(unique * times))).plan
            made = realise(documents, plan.x, plan.cap)
            final = repeat_shares(documents, made.copies)
            for share in SHARES:
                budget = share * made.total
                kept = matched(documents, made.copies, budget)
                ways = {
                    "matched": kept,
                    "ordinary": ordinary(documents, made.copies, budget),
                }
                apart = {name: round(distance(final, repeat_shares(documents, one)), 5) for name, one in ways.items()}
                rows.append(
                    {
                        "budget_times_unique": times,
                        "share": share,
                        "tokens": int(cell_tokens(documents, kept).sum()),
                        "documents": int(np.count_nonzero(kept)),
                        "repeats_distance": apart,
                        "mean_length_ratio": round(
                            _mean_length(documents, kept) / _mean_length(documents, made.copies), 4
                        ),
                        "category_distance": round(distance(by_category(made.copies), by_category(kept)), 5),
                    }
                )
                print(rows[-1], flush=True)
    return rows


def _mean_length(documents: Any, copies: NDArray[np.uint16]) -> float:
    """Of the documents that stand at least once."""
    return float(documents.tokens[np.flatnonzero(copies)].mean())


def digest(folder: Path) -> str:
    """Of a table's parts."""
    made = xxhash.xxh3_128()
    for path in sorted(folder.glob("*.parquet")):
        made.update(path.read_bytes())
    return made.hexdigest()


def apart(folder: Path, out: Path, budget: int) -> dict[str, Any]:
    """`sample` in a process of its own."""
    command = [sys.executable, __file__, "--work", str(folder), str(out), str(budget)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(found, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=3_000_000)
    parser.add_argument("--folder", type=Path, help="for the made tags and tables (default: a temporary one)")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(json.dumps(sample(Path(given.work[0]), Path(given.work[1]), int(given.work[2]))))
        return
    from results import write_result

    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        base = Path(made)
        for name in ("tags", "shuffled", "table", "again"):
            (base / name).mkdir()
        unique = make_tags(base / "tags", given.documents)
        results = {"sample": apart(base / "tags", base / "table", int(unique * MAIN))}
        if given.documents <= 10 * SHARD:
            shuffle(base / "tags", base / "shuffled")
            apart(base / "shuffled", base / "again", int(unique * MAIN))
            results["same_bytes_from_shuffled_rows"] = digest(base / "table") == digest(base / "again")
            results["ablations"] = ablations(base / "tags", unique)
    write_result(f"mix_sample_{given.documents}", results)


if __name__ == "__main__":
    main()
