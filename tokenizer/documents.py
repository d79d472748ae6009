"""Documents by hand, from JSON lines (plain, .gz, .zst) or Parquet: batches of bounded size, strict.

Columns out: id, text, language, domain, page.  `lang` is understood for `language`; the domain is the field `domain`,
else the file's name (a `source` may have thousands of values).
Programming languages: `lang: code` with `code_lang: python` gives language `python`.

Not `curation.sources`, which reads crawls: that one gives new ids, keeps other fields as JSON and sets bad records
aside; here a bad record stops the command with its place, because a figure over the rest would not be the asked one.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError
from curation.sources.jsonl import BYTE_ORDER_MARK

BATCH_TEXT = 8 << 20  # bytes of text in a batch; one document may be larger
DAMAGED = "the file is damaged or cut: copy it again"
REPAIR = "repair or remove it; as a source of `curate run` such records are set aside and counted"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("language", pa.string()),
        ("domain", pa.string()),
        ("page", pa.string()),
    ]
)


def read_documents(paths: Sequence[Path | str], page: Sequence[str] = ("page",)) -> Iterator[pa.RecordBatch]:
    """Batches of SCHEMA, file by file.  Raises UsageError with file and line for what is no document.

    page: fields that together name the page (joined by `#`; null where one is missing).
    """
    for path in check_files(list(map(Path, paths))):
        rows = _parquet_rows(path, page) if is_parquet(path) else _json_rows(path)
        yield from _batches(_document(row, path, number, page) for number, row in rows)


def check_files(paths: Sequence[Path]) -> Sequence[Path]:
    """`paths`; UsageError where there is none, one is no file, or one is given twice."""
    if not paths:
        raise UsageError("no documents are given", "give at least one .jsonl, .jsonl.zst, .jsonl.gz or .parquet file")
    seen = set[Path]()
    for path in paths:
        if path.is_dir():
            raise UsageError(f"{path} is a folder", f"name its files: {path}/*.jsonl.zst")
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file", "give .jsonl, .jsonl.zst, .jsonl.gz or .parquet files")
        if path.resolve() in seen:
            raise UsageError(f"{path} is given twice", "its documents would count twice: name it once")
        seen.add(path.resolve())
    return paths


def is_parquet(path: Path) -> bool:
    """Every other file holds JSON lines."""
    return path.suffix == ".parquet"


def plain_name(path: Path) -> str:
    """The file's name without the endings of format and compression."""
    return path.name.removesuffix(".zst").removesuffix(".gz").rsplit(".", 1)[0]


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file, read with its checksums; UsageError where it is no whole Parquet file."""
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path}: no whole Parquet file ({error})", DAMAGED) from None


def parquet_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The columns that there are, `rows` rows at a time; UsageError with the file where it is damaged."""
    with open_parquet(path) as file:
        found = [name for name in file.schema_arrow.names if name in columns]
        yield from readable(file.iter_batches(rows, columns=found), path)


def readable(batches: Iterator[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """Batches of a Parquet file; Arrow's errors with its name."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{path}: cannot be read ({' '.join(str(error).split())})", DAMAGED) from None
        yield batch


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with pa.input_stream(str(path), compression="detect") as stream:
        lines = io.BufferedReader(stream, 1 << 20)
        for number, line in enumerate(_lines(lines, path), 1):
            data = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            if not data.strip():
                continue
            try:
                row = orjson.loads(data)
            except orjson.JSONDecodeError as error:
                raise _no_json(data, f"{path}:{number}", error) from None
            if not isinstance(row, dict):
                raise UsageError(f"{path}:{number}: not an object", "one document a line is expected")
            yield number, row


def _no_json(line: bytes, place: str, error: orjson.JSONDecodeError) -> UsageError:
    try:
        line.decode()
    except UnicodeDecodeError as unicode:
        return UsageError(f"{place}: not UTF-8 ({unicode.reason} at byte {unicode.start} of the line)", REPAIR)
    return UsageError(f"{place}: no JSON ({error})", "one document a line is expected")


def _lines(stream: io.BufferedReader, path: Path) -> Iterator[bytes]:
    try:
        yield from stream
    except OSError as error:  # a damaged compressed stream
        raise UsageError(f"{path}: cannot be read ({error})", DAMAGED) from None


def _parquet_rows(path: Path, page: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for batch in parquet_batches(path, ["id", "text", "language", "lang", "code_lang", "domain", *page], 64):
        for row in _python_rows(batch, path, number):
            number += 1
            yield number, row


def _python_rows(batch: pa.RecordBatch, path: Path, before: int) -> list[dict[str, Any]]:
    """Parquet does not check that its strings are UTF-8: `path`, after `before` rows, for the message."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        for row in range(batch.num_rows):
            try:
                batch.slice(row, 1).to_pylist()
            except UnicodeDecodeError as error:
                raise UsageError(f"{path}:{before + row + 1}: not UTF-8 ({error.reason})", REPAIR) from None
        raise


def _document(row: dict[str, Any], path: Path, number: int, page: Sequence[str]) -> dict[str, str | None]:
    if "text" not in row or not isinstance(row["text"], str | None):
        raise UsageError(f"{path}:{number}: no `text` that is a string", f"fields: {', '.join(map(str, row))}")
    language = row.get("language") or row.get("lang")
    if language == "code" and row.get("code_lang"):
        language = row["code_lang"]
    names = [row.get(field) for field in page]
    return {
        "id": str(row.get("id") or f"{path.name}#{number}"),
        "text": row["text"],
        "language": None if language is None else str(language),
        "domain": str(row.get("domain") or plain_name(path)),
        "page": None if None in names else "#".join(map(str, names)),
    }


def _batches(documents: Iterable[dict[str, str | None]]) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, str | None]] = []
    size = 0
    for document in documents:
        rows.append(document)
        size += len(document["text"] or "")
        if size >= BATCH_TEXT or len(rows) >= 4_096:
            yield pa.RecordBatch.from_pylist(rows, SCHEMA)
            rows, size = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, SCHEMA)
