"""`curate quality tag`: files of documents with the columns of `quality:` added, outside a run.

First every file's tags (`OUT/.tags/`, kept: a killed command goes on after the last finished file), then the ranks
over all of them, then the files again with all columns.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed, fingerprint, hash64
from curation.pipeline.shards import row_groups, temporary_name, write_atomic
from quality.tagging.files import Fields, check_files, read, writing
from quality.tagging.labeler import open_labeler
from quality.tagging.rank import RANK_SCHEMA, READS, Ranking, Scored, ranking, scored, summary
from quality.tagging.tag import DRAW_SCHEMA, TAG_SCHEMA, Chunking, draws, tag

PARTS = ".tags"
PART_SCHEMA = pa.schema([*TAG_SCHEMA, *DRAW_SCHEMA, pa.field("doc_key", pa.uint64()), pa.field("source", pa.string())])
ADDED = (*TAG_SCHEMA.names, *DRAW_SCHEMA.names)
MARK = b"curate.tags"


@dataclass(frozen=True)
class TagOptions:
    """Everything that the tags depend on beside text and labeler."""

    model: str = "default"
    fields: Fields = field(default_factory=Fields)
    chunking: Chunking = field(default_factory=Chunking)
    seed: int = 17
    holdout: float = 0.02
    r: float = 0.5


@dataclass(frozen=True)
class TagReport:
    """What was done: documents, bytes of text, files tagged now and found finished, the folder, its summary."""

    documents: int
    bytes: int
    tagged: int
    reused: int
    out: str
    summary: dict[str, Any]


def tag_files(
    paths: Sequence[Path],
    out: Path,
    options: TagOptions = TagOptions(),
    *,
    workers: int = 1,
    on_done: Callable[[Path], None] = lambda path: None,
) -> TagReport:
    """Write each file to `out` under its own name with the columns of TAG, DRAW and RANK_SCHEMA.

    Raises UsageError for bad input, with file and record; what was finished before it is kept.
    """
    check_files(list(paths))
    labeler = open_labeler(options.model)
    if any((out / path.name).exists() and (out / path.name).samefile(path) for path in paths):
        raise UsageError(f"{out} holds the documents themselves", "give another folder with --out")
    (out / PARTS).mkdir(parents=True, exist_ok=True)
    marks = {path: _mark(path, labeler.hash, options) for path in paths}
    parts = {path: out / PARTS / f"{path.name}.parquet" for path in paths}
    todo = [path for path in paths if _found(parts[path]) != marks[path]]
    for path in _each(_tag_one, [(path, parts[path], marks[path], options) for path in todo], workers):
        on_done(path)
    made = _rank(list(parts.values()), labeler.categories, options)
    told = summary(made, {"name": options.model, "hash": labeler.hash})
    whole = fingerprint([sorted(marks.values()), options.r])
    names = pa.array(labeler.categories, pa.string())
    for path in paths:
        _write(path, parts[path], out / path.name, made, names, options, f"{whole} {marks[path]}")
    write_atomic(out / "summary.json", orjson.dumps(told, option=orjson.OPT_INDENT_2))
    return TagReport(made.documents, made.bytes, len(todo), len(paths) - len(todo), str(out), told)


def _each(work: Callable[[Any], Path], jobs: list[Any], workers: int) -> Iterator[Path]:
    if workers <= 1 or len(jobs) <= 1:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn")) as pool:
        yield from pool.map(work, jobs)


def _mark(path: Path, labeler: str, options: TagOptions) -> str:
    """Identity of a file's tags: file by name, size and time, and everything else that they depend on."""
    state = path.stat()
    rest = {key: value for key, value in asdict(options).items() if key not in ("model", "r")}
    return fingerprint([path.name, state.st_size, state.st_mtime_ns, labeler, rest])


def _found(part: Path) -> str | None:
    if not part.is_file():
        return None
    try:
        metadata = pq.read_schema(part).metadata or {}
    except pa.ArrowInvalid:
        return None
    return str(metadata.get(MARK, b""), "ascii")


def _tag_one(job: tuple[Path, Path, str, TagOptions]) -> Path:
    """Write a file's part; its rows are the file's, in order."""
    path, part, mark, options = job
    labeler = open_labeler(options.model)
    temporary = temporary_name(part)
    try:
        with pq.ParquetWriter(
            temporary, PART_SCHEMA.with_metadata({MARK: mark.encode()}), compression="zstd"
        ) as writer:
            for rows in read(path, options.fields):
                _refuse_foreign(path, rows.names)
                tags = tag(labeler, rows.texts, options.chunking)
                drawn = draws(rows.ids, rows.texts, seed=options.seed, holdout=options.holdout)
                keys = pa.array([hash64(one) for one in rows.ids.to_pylist()], pa.uint64())
                columns = [*tags.columns, *drawn.columns, keys, rows.sources]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=PART_SCHEMA))
        temporary.replace(part)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _refuse_foreign(path: Path, names: set[str]) -> None:
    """UsageError where a file has columns of ours that are not ours; `byte_count` means the same everywhere."""
    ours = sorted(names & ({*ADDED, *RANK_SCHEMA.names} - {"byte_count"}))
    if ours and "quality_model" not in names:
        raise UsageError(
            f"{path}: there is already a field {ours[0]!r} that is no tag of ours", "rename it: it would be replaced"
        )


def _rank(parts: list[Path], categories: tuple[str, ...], options: TagOptions) -> Ranking:
    names = pa.array(categories, pa.string())

    def passes() -> Iterator[Scored]:
        for part in parts:
            for batch in row_groups(part, READS):
                yield scored(batch.filter(batch["category"].is_valid()), names)

    return ranking(passes, len(categories), r=options.r, seed=derive_seed(options.seed, Purpose.BUCKET))


def _write(
    path: Path, part: Path, target: Path, made: Ranking, names: pa.Array, options: TagOptions, mark: str
) -> None:
    """The file with its tags and ranks; nothing where it is already there."""
    done = part.with_name(f"{path.name}.done")
    if target.is_file() and done.is_file() and done.read_text() == mark:
        return
    if not pq.read_metadata(part).num_rows:
        shutil.copyfile(path, target)
        return
    with writing(target) as writer:
        for rows, tags in zip(read(path, options.fields), row_groups(part), strict=True):
            there = tags["category"].is_valid()
            ranks = made.columns(scored(tags.filter(there), names))
            places = pc.if_else(
                there, pc.subtract(pc.cumulative_sum(there.cast(pa.int64())), 1), pa.scalar(None, pa.int64())
            )
            columns = {name: tags[name] for name in ADDED}
            columns |= dict(zip(RANK_SCHEMA.names, ranks.take(places).columns, strict=True))
            writer.write(rows.raw, pa.RecordBatch.from_pydict(columns))
    write_atomic(done, mark.encode())
