"""Counting many files: one table a file, kept, then one sum for each side of the split.

    <target>/train.parquet · dev.parquet        what training and the choice of weights read
    <target>/parts/<file>-<key>.<side>.parquet  one per input file; a finished one is not counted again
    <target>/counts.json                        how it was counted, and the sizes

The key is of the input's path, size and time of change and of the options, so a changed file is counted anew.
"""

from __future__ import annotations

import multiprocessing
import re
import signal
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from curation.pipeline.errors import CurateError, UsageError
from curation.pipeline.hashing import fingerprint
from curation.pipeline.local_pool import auto_workers, one_thread
from curation.pipeline.shards import sweep_stale, write_atomic
from tokenizer.counting.count import CLIP, count_sides, count_words, counts_info, merge_counts
from tokenizer.counting.splits import DEV, TRAIN, divide
from tokenizer.documents import SCHEMA, check_files, read_documents
from tokenizer.splitting.patterns import UNICODE_TABLE_VERSION, Pattern, pattern_of

ACCOUNT = "counts.json"
SIDES = (TRAIN, DEV)


@dataclass(frozen=True)
class CountOptions:
    """How documents are counted and split; part of every table's key."""

    pattern: str = "o200k"
    clip: int | None = CLIP
    holdout: float = 0.02
    dev: float = 0.02
    seed: int = 0
    page: tuple[str, ...] = ("page",)  # fields that together name the page, which decides the side of the split


def count_files(
    paths: Sequence[Path],
    target: Path,
    options: CountOptions,
    *,
    workers: int | None = None,
    on_done: Callable[[Path, int], None] = lambda path, size: None,
) -> dict[str, Any]:
    """Count files into the folder `target`; returns what `counts.json` says.

    on_done is called with every finished file and its size in bytes.  Raises UsageError for what is no document
    (file and line), for a `target` that is something else and where there is no text at all, CurateError where a
    worker was killed.
    """
    pattern = pattern_of(options.pattern)
    if target.exists() and not (target / "parts").is_dir() and any(target.iterdir() if target.is_dir() else [target]):
        raise UsageError(f"{target} exists and is no folder of counts", "choose another --out")
    check_files(paths)
    parts = target / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    sweep_stale(parts)
    tables = {path: _tables(path, parts, options) for path in paths}
    todo = [path for path in paths if not all(_finished(table) for table in tables[path].values())]
    for path in paths:
        if path not in todo:
            on_done(path, path.stat().st_size)
    if todo:
        _compile(pattern)
    with ProcessPoolExecutor(
        min(workers or auto_workers(), max(len(todo), 1)), multiprocessing.get_context("spawn"), _start_worker
    ) as pool:
        running = {pool.submit(_count_file, path, tables[path], options): path for path in todo}
        try:
            for future in as_completed(running):
                future.result()
                on_done(running[future], running[future].stat().st_size)
        except BrokenProcessPool:
            remedy = "most often memory ran out: run the same command with fewer --workers; finished files are kept"
            raise CurateError("a counting process was killed", remedy) from None
        except BaseException:  # a bad file, Ctrl-C: do not first count what was handed out already
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
    account: dict[str, Any] = {"options": asdict(options), "unicode": UNICODE_TABLE_VERSION, "files": len(paths)}
    for side in SIDES:
        info = merge_counts([tables[path][side] for path in paths], target / f"{side}.parquet")
        account[side] = {"documents": info.documents, "bytes": info.bytes}
    if not account[TRAIN]["bytes"]:
        raise UsageError(f"no text to train on in {len(paths)} file(s)", "every document is empty, null or held out")
    write_atomic(target / ACCOUNT, orjson.dumps(account, option=orjson.OPT_INDENT_2))
    return account


def _tables(path: Path, parts: Path, options: CountOptions) -> dict[str, Path]:
    status = path.stat()
    key = fingerprint([str(path.resolve()), status.st_size, status.st_mtime_ns, asdict(options), UNICODE_TABLE_VERSION])
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name)[:60]
    return {side: parts / f"{name}-{key}.{side}.parquet" for side in SIDES}


def _finished(table: Path) -> bool:
    """A table is written whole or not at all; one that was damaged since is counted again."""
    try:
        counts_info(table)
    except CurateError:
        return False
    return table.is_file()


def _compile(pattern: Pattern) -> None:
    """Compile the kernels once, here: on their first use every worker would, all at the same time."""
    one = {"id": "a", "text": "a", "language": "und", "domain": "none", "page": "a"}
    count_words([pa.RecordBatch.from_pylist([one], SCHEMA)], pattern)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the workers
    one_thread()
    warnings.filterwarnings("ignore", "pattern .* slow path")  # `_compile` warned in the parent


def _count_file(path: Path, tables: dict[str, Path], options: CountOptions) -> None:
    documents = read_documents([path], options.page)
    divided = divide(documents, SIDES, options.seed, holdout=options.holdout, dev=options.dev)
    count_sides(divided, tables, pattern_of(options.pattern), clip=options.clip)
