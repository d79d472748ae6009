"""Records with their places, from JSON lines (plain, .gz, .zst) or Parquet: what label files and texts are read with.

A record that cannot be read stops the reading with file and line: labels are few and dear, none is left out silently.
"""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError

DAMAGED = "the file is damaged or cut: copy it again"
LINE_BYTES = 1 << 30  # a longer line is no record
PARQUET_ROWS = 64  # texts may be long


def check_file(path: Path, what: str) -> Path:
    """`path`; UsageError where it is no file."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", f"name the file of {what}")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file", f"give a file of {what}: .jsonl, .jsonl.zst or .parquet")
    return path


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line or row number from 1, record); `columns` limits what is read of a Parquet file."""
    if path.suffix == ".parquet":
        yield from _parquet(path, columns)
    else:
        yield from json_lines(path)


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a file of JSON lines; blank lines are passed over."""
    for number, line in text_lines(path):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise UsageError(f"{path}:{number}: {_fault(line, error)}", "one JSON object a line is expected") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}:{number}: not an object", "one JSON object a line is expected")
        yield number, row


def text_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, line) of a plain or compressed file."""
    with pa.input_stream(str(path), compression="detect") as stream:
        lines = io.BufferedReader(stream, 1 << 20)
        number = 0
        while True:
            try:
                line = lines.readline(LINE_BYTES)
            except OSError as error:
                raise UsageError(f"{path}: cannot be read after line {number} ({error})", DAMAGED) from None
            if not line:
                return
            number += 1
            if len(line) == LINE_BYTES:
                raise UsageError(f"{path}:{number}: a line of more than {LINE_BYTES:,} bytes is no record")
            yield number, line.removeprefix(BOM_UTF8) if number == 1 else line


def _fault(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as unicode:
        return f"not UTF-8 ({unicode.reason} at byte {unicode.start} of the line)"
    return f"no JSON ({error})"


def _parquet(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            wanted = names if columns is None else [name for name in names if name in columns]
            for batch in file.iter_batches(PARQUET_ROWS, columns=wanted):
                for i in range(batch.num_rows):
                    number += 1
                    yield number, batch.slice(i, 1).to_pylist()[0]
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}:{number}: not UTF-8 ({error.reason})", "repair or remove the row") from None
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path}: cannot be read ({' '.join(str(error).split())})", DAMAGED) from None
