"""Documents for an evaluation, from JSON lines (plain, .gz, .zst) or Parquet: batches of bounded size.

Columns out: id, text, language, domain, page.  `lang` is understood for `language`; the domain is the field `domain`,
else the file's name (a `source` may have thousands of values).
Programming languages: `lang: code` with `code_lang: python` gives language `python`.
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

BATCH_TEXT = 8 << 20  # bytes of text in a batch; one document may be larger
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
    if not paths:
        raise UsageError("no documents to evaluate on", "give at least one .jsonl, .jsonl.zst or .parquet file")
    for path in map(Path, paths):
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file")
        rows = _parquet_rows(path, page) if path.suffix == ".parquet" else _json_rows(path)
        yield from _batches(_document(row, path, number, page) for number, row in rows)


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with pa.input_stream(str(path), compression="detect") as stream:
        lines = io.BufferedReader(stream, 1 << 20)
        for number, line in enumerate(_lines(lines, path), 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UsageError(f"{path}:{number}: no JSON ({error})", "one document a line is expected") from None
            if not isinstance(row, dict):
                raise UsageError(f"{path}:{number}: not an object", "one document a line is expected")
            yield number, row


def _lines(stream: io.BufferedReader, path: Path) -> Iterator[bytes]:
    try:
        yield from stream
    except OSError as error:  # a damaged compressed stream
        raise UsageError(f"{path}: cannot be read ({error})", "the file is damaged or cut: copy it again") from None


def _parquet_rows(path: Path, page: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path}: no Parquet file ({error})", "the file is damaged or cut: copy it again") from None
    wanted = {"id", "text", "language", "lang", "code_lang", "domain", *page}
    columns = [name for name in file.schema_arrow.names if name in wanted]
    number = 0
    for batch in file.iter_batches(64, columns=columns):
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _document(row: dict[str, Any], path: Path, number: int, page: Sequence[str]) -> dict[str, str | None]:
    if "text" not in row or not isinstance(row["text"], str | None):
        raise UsageError(f"{path}:{number}: no `text` that is a string", f"fields: {', '.join(map(str, row))}")
    language = row.get("language") or row.get("lang")
    if language == "code" and row.get("code_lang"):
        language = row["code_lang"]
    names = [row.get(field) for field in page]
    name = path.name.removesuffix(".zst").removesuffix(".gz").rsplit(".", 1)[0]
    return {
        "id": str(row.get("id") or f"{path.name}#{number}"),
        "text": row["text"],
        "language": None if language is None else str(language),
        "domain": str(row.get("domain") or name),
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
