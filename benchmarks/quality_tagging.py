"""What tagging costs beside the scores themselves: chunking, a 40 MB document, the barrier over many documents.

    python benchmarks/quality_tagging.py DOCUMENTS… [--rank 10000000]

DOCUMENTS: JSON lines with `text`.  CPU time of one process; rank: documents made at random for the barrier.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from results import write_result

from quality.tagging.chunks import chunk
from quality.tagging.files import Fields, read
from quality.tagging.labeler import open_labeler
from quality.tagging.rank import Scored, ranking
from quality.tagging.tag import tag

ROWS = 16_384  # of a batch, as in a run
TEXT = 30e6  # bytes that are measured, in this process's memory
REPEATS = 3


def cpu(work: Callable[[], Any]) -> float:
    """Least CPU seconds of some repeats."""
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def texts_of(paths: list[Path]) -> pa.LargeStringArray:
    """The same number of bytes from each file."""
    parts = []
    for path in paths:
        size = 0.0
        for rows in read(path, Fields()):
            parts.append(rows.texts)
            size += rows.texts.nbytes
            if size > TEXT / len(paths):
                break
    return pa.concat_arrays(parts)


def tagging(texts: pa.LargeStringArray) -> dict[str, Any]:
    """MB/s of chunking, of labelling the pieces, of everything together."""
    labeler = open_labeler("default")
    pieces = chunk(texts)
    labeler.label(pieces.texts.slice(0, 10))  # compiles
    size = sum(len(one.encode()) for one in texts.to_pylist() if one) / 1e6
    seconds = cpu(lambda: tag(labeler, texts))
    return {
        "documents": len(texts),
        "megabytes": round(size, 2),
        "pieces": len(pieces.texts),
        "scored_megabytes": round(pieces.texts.nbytes / 1e6, 2),
        "chunk_mb_s": round(size / cpu(lambda: chunk(texts)), 1),
        "tag_mb_s": round(size / seconds, 1),
        "tag_scored_mb_s": round(pieces.texts.nbytes / 1e6 / seconds, 1),
    }


def long_document(_: int) -> dict[str, Any]:
    """A text of 40 MB, in a process of its own for its memory."""
    text = "\n\n".join(f"Paragraph {i} of a long book. " + "It goes on and on. " * 9 for i in range(200_000))
    one = pa.array([text], pa.large_string())
    labeler = open_labeler("default")
    tag(labeler, one.slice(0, 0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = cpu(lambda: tag(labeler, one))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "megabytes": round(len(text) / 1e6, 1),
        "cpu_s": round(seconds, 3),
        "peak_growth_mb": (after - before) // 1024,
    }


def rank(documents: int) -> dict[str, Any]:
    """The barrier over random scores in 26 categories, without reading: CPU seconds and the process's peak memory."""
    sources = pa.repeat(pa.scalar("made"), ROWS)

    def passes() -> Iterator[Scored]:
        for start in range(0, documents, ROWS):
            draw = np.random.default_rng(start)
            n = min(ROWS, documents - start)
            first, second, third = draw.random((3, n), dtype=np.float32)
            keys = np.arange(start, start + n, dtype=np.uint64)
            sizes = draw.integers(100, 20_000, n)
            yield Scored(
                keys, (first * 5, second * 5), (third * 26).astype(np.int64), sizes, sources.slice(0, n), first < 0.1
            )

    started = time.process_time()
    for _ in passes():
        pass
    making = time.process_time() - started
    started = time.process_time()
    made = ranking(passes, 26, r=0.5, seed=1)
    weights = np.zeros(5)
    for some in passes():
        weights += np.bincount(made.columns(some)["bucket"].to_numpy(), weights=some.bytes, minlength=5)
    seconds = time.process_time() - started - 6 * making
    return {
        "documents": documents,
        "cpu_s": round(seconds, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "bytes_by_bucket": [round(float(one), 5) for one in weights / weights.sum()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="+", type=Path)
    parser.add_argument("--rank", type=int, default=10_000_000)
    arguments = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        book = pool.map(long_document, [0])[0]
        ranks = [pool.map(rank, [n])[0] for n in (arguments.rank // 10, arguments.rank)]
    found = {"tagging": tagging(texts_of(arguments.documents)), "long_document": book, "rank": ranks}
    print(found)
    write_result("quality_tagging", found)


if __name__ == "__main__":
    main()
