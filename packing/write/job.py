"""`write_shards`: a corpus of files → a finished shard directory, over several processes, resumable.

Everything is made in `.<name>.work/<request>/` beside the directory and renamed into place when it is whole, so the
directory is there finished or not at all.  `<request>` is a digest of the inputs' paths and times, tokenizer and
settings: a killed run goes on where it was, a changed one starts anew, and `.<name>.request` says whose the finished
directory is.  None of it stands in the directory, whose bytes are the same in any folder, for any number of processes
and after any kill (reference, packing §6).
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing import connection
from pathlib import Path
from typing import Any

import duckdb

from curation.pipeline.errors import TaskFailed, UsageError, explain_os_error
from curation.pipeline.hashing import fingerprint
from curation.pipeline.local_pool import one_thread
from curation.pipeline.shards import sweep_stale, sync_directory, write_atomic
from packing.layout.manifest import LayoutError, Manifest, ShardInfo
from packing.write.corpus import Piece, encode_piece, parquet_files, pieces
from packing.write.occurrences import as_mixed, each_once, mix_files
from packing.write.pack import RunJobs, ShardJob, one_by_one, pack_units, write_job
from packing.write.rules import Rules
from packing.write.token_ids import TokenIds, token_ids
from packing.write.unit import unit_paths

VERSION = 2  # of what is written for the same request


@dataclass(frozen=True)
class Work:
    """What every process of one job knows.  `names`: special tokens for eos, pad, bos where not the usual ones."""

    tokenizer: Path
    names: tuple[str | None, str | None, str | None]
    rules: Rules
    queues: str | dict[str, list[str]]
    mix: Path | None


def write_shards(
    corpus: Sequence[Path],
    tokenizer: Path,
    out: Path,
    rules: Rules,
    *,
    queues: str | Mapping[str, list[str]] = "source",
    mix: Path | None = None,
    workers: int = 1,
    eos: str | None = None,
    pad: str | None = None,
    bos: str | None = None,
) -> Manifest:
    """Pack Parquet files of documents (id, text[, source, …]) or of ids into `out`; see `docs/packing.md`.

    A finished `out` of the same request is returned as it is.  Raises UsageError (bad input, `out` holds something
    else, another writer), ConservationError, TaskFailed (disk full, a process died).
    """
    out = out.absolute()
    work = Work(tokenizer.absolute(), (eos, pad, bos), rules, queues if isinstance(queues, str) else dict(queues), mix)
    files = parquet_files(corpus)
    request = _digest(work, files)
    if (finished := _finished(out, request)) is not None:
        return finished
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with locked_out(out):
            return _finished(out, request) or _made(work, files, out, workers, request)
    except BrokenProcessPool:
        raise TaskFailed(
            "a process died (out of memory, or a crash in a library); run again, it goes on where it was",
            "use fewer workers",
        ) from None
    except OSError as error:
        raise TaskFailed(f"{out}: {explain_os_error(error)}") from error
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise TaskFailed(
            f"{out}: {str(error).splitlines()[0]}", "the list of documents needs disk space beside the shards"
        ) from error


def _made(work: Work, files: Sequence[Path], out: Path, workers: int, request: str) -> Manifest:
    """Make `out` in its work folder, and put it in place whole."""
    room = out.with_name(f".{out.name}.work")
    place = room / request
    place.mkdir(parents=True, exist_ok=True)
    for other in room.iterdir():
        if other != place:  # of a request that has changed since
            shutil.rmtree(other, ignore_errors=True)
    made = _make(work, files, place, workers)
    write_atomic(_request_file(out), f"{request} {made.root}\n".encode())
    if out.is_dir():
        out.rmdir()
    os.rename(place / "shards", out)
    sync_directory(out.parent)
    shutil.rmtree(room, ignore_errors=True)
    return made


@contextmanager
def locked_out(out: Path) -> Iterator[None]:
    """Hold the lock of the directory `out`, which need not exist."""
    from packing.write.lock import locked

    with locked(out.with_name(f".{out.name}.lock")):
        yield


def _request_file(out: Path) -> Path:
    return out.with_name(f".{out.name}.request")


def _finished(out: Path, request: str) -> Manifest | None:
    """The manifest in `out`, if it was made for this request; None for nothing or an empty folder."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", "give a folder that is made, or an empty one")
    if not out.exists() or not any(out.iterdir()):
        return None
    try:
        found = Manifest.read(out)
    except LayoutError as error:
        raise UsageError(f"{out} is not empty and holds no finished shards: {error}", "give another folder") from None
    note = _request_file(out)
    if not note.is_file() or note.read_text().split() != [request, found.root]:
        raise UsageError(
            f"{out} holds shards of other inputs (or written since) or settings (root {found.root[:12]}…)",
            "give another folder",
        )
    return found


def _digest(work: Work, files: Sequence[Path]) -> str:
    def identity(path: Path) -> list[Any]:
        status = path.stat()
        return [str(path.absolute()), status.st_size, status.st_mtime_ns]

    tokens = _tokens(work)
    mix = [identity(one) for one in mix_files(work.mix)] if work.mix else None
    parts = [VERSION, asdict(work.rules), work.queues, tokens.tokenizer, tokens.eos, tokens.pad, tokens.bos]
    return fingerprint([*parts, mix, sorted(map(identity, files))])


def _make(work: Work, files: Sequence[Path], place: Path, workers: int) -> Manifest:
    units, shards, scratch = (place / name for name in ("units", "shards", "plans"))
    for folder in (units, shards / "data", shards / "index", scratch):
        folder.mkdir(parents=True, exist_ok=True)
        sweep_stale(folder)
    cut = pieces(files)
    numbers = {path: number for number, path in enumerate(files)}
    folders = [units / f"{numbers[one.path]:05}-{one.first}-{one.last}" for one in cut]
    waiting = [(work, piece, folder) for piece, folder in zip(cut, folders, strict=True) if not folder.is_dir()]
    with _pool(min(workers, max(len(waiting), 2))) as pool:
        for _ in pool.map(_encode, waiting) if pool else map(_encode, waiting):
            pass
        run_jobs: RunJobs = one_by_one
        if pool is not None:

            def run_jobs(jobs: Sequence[ShardJob], tokens: TokenIds) -> Iterator[ShardInfo]:
                return pool.map(_write, [(work, job) for job in jobs])

        paths = [path for folder in folders for path in unit_paths(folder)]
        tokens = _tokens(work)
        return pack_units(paths, shards, scratch, work.rules, tokens, mix=work.mix, run_jobs=run_jobs)


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    if workers <= 1:
        yield None
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start() -> None:
    one_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:  # a worker whose parent was killed must not go on
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _encode(task: tuple[Work, Piece, Path]) -> None:
    work, piece, folder = task
    encode_piece(piece, folder, partial(_encoder, work.tokenizer), _tokens(work), _occurrences(work))


def _write(task: tuple[Work, ShardJob]) -> ShardInfo:
    work, job = task
    return write_job(job, _tokens(work))


def _occurrences(work: Work) -> Any:
    return as_mixed(work.mix) if work.mix else each_once(work.rules.seed, work.queues)


def _tokens(work: Work) -> TokenIds:
    return _token_ids(work.tokenizer, work.names, work.rules.bos != "none")


@cache
def _token_ids(path: Path, names: tuple[str | None, str | None, str | None], with_bos: bool) -> TokenIds:
    return token_ids(path, eos=names[0], pad=names[1], bos=names[2], with_bos=with_bos)


@cache
def _encoder(path: Path) -> Any:
    from tokenizer.encoding.encode import open_encoder

    return open_encoder(path)
