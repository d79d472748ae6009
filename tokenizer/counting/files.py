"""Counting many files: one table a file, kept, then one sum for each side of the split.

    <target>/train.parquet · dev.parquet        what training and the choice of weights read
    <target>/parts/<file>-<key>.<side>.parquet  one per input file; a finished one is not counted again
    <target>/counts.json                        how it was counted, and the sizes

The key is of the input's name, size and time of change and of the options, so a changed file is counted anew.
"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.errors import CurateError, UsageError
from curation.pipeline.hashing import fingerprint
from curation.pipeline.local_pool import auto_workers, one_thread
from curation.pipeline.shards import sweep_stale, write_atomic
from tokenizer.counting.count import CLIP, count_to_file, counts_info, merge_counts
from tokenizer.counting.splits import DEV, TRAIN, only
from tokenizer.documents import read_documents
from tokenizer.splitting.patterns import UNICODE_TABLE_VERSION, pattern_of

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
    (file and line) and for a `target` that is something else.
    """
    pattern_of(options.pattern)
    if target.exists() and not (target / "parts").is_dir() and any(target.iterdir() if target.is_dir() else [target]):
        raise UsageError(f"{target} exists and is no folder of counts", "choose another --out")
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        raise UsageError(
            f"{missing[0]}: there is no such file" if missing else "no files to count",
            "give .jsonl(.zst) or .parquet files",
        )
    parts = target / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    sweep_stale(parts)
    tables = {path: _tables(path, parts, options) for path in paths}
    todo = [path for path in paths if not all(_finished(table) for table in tables[path].values())]
    for path in paths:
        if path not in todo:
            on_done(path, path.stat().st_size)
    with ProcessPoolExecutor(
        min(workers or auto_workers(), max(len(todo), 1)), multiprocessing.get_context("spawn"), one_thread
    ) as pool:
        running = {pool.submit(_count_file, path, tables[path], options): path for path in todo}
        for future in as_completed(running):
            future.result()
            on_done(running[future], running[future].stat().st_size)
    account: dict[str, Any] = {"options": asdict(options), "unicode": UNICODE_TABLE_VERSION, "files": len(paths)}
    for side in SIDES:
        info = merge_counts([tables[path][side] for path in paths], target / f"{side}.parquet")
        account[side] = {"documents": info.documents, "bytes": info.bytes}
    write_atomic(target / ACCOUNT, orjson.dumps(account, option=orjson.OPT_INDENT_2))
    return account


def _tables(path: Path, parts: Path, options: CountOptions) -> dict[str, Path]:
    status = path.stat()
    key = fingerprint([path.name, status.st_size, status.st_mtime_ns, asdict(options), UNICODE_TABLE_VERSION])
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name)[:60]
    return {side: parts / f"{name}-{key}.{side}.parquet" for side in SIDES}


def _finished(table: Path) -> bool:
    """A table is written whole or not at all; one that was damaged since is counted again."""
    try:
        counts_info(table)
    except CurateError:
        return False
    return table.is_file()


def _count_file(path: Path, tables: dict[str, Path], options: CountOptions) -> None:
    for side, table in tables.items():
        documents = only(
            read_documents([path], options.page), side, options.seed, holdout=options.holdout, dev=options.dev
        )
        count_to_file(documents, table, pattern_of(options.pattern), clip=options.clip)
