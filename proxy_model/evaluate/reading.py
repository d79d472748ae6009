"""Item files → items.  A line that is no item is counted and told with its number, never skipped silently.

Files are hostile input: they are read as bounded lines (plain, gzip, zstd, xz), each parsed strictly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.errors import TaskFailed, UsageError, explain_os_error
from curation.sources.compression import Bounds, Damage, blocks
from curation.sources.inputs import InputFile, content_digest, open_stored
from curation.sources.jsonl import split_lines
from proxy_model.evaluate.formats import Record, is_lm_eval, is_olmes, item_of_lm_eval, item_of_olmes, item_of_own
from proxy_model.evaluate.items import Item, ItemError, refuse_letters

LINE_BYTES = 16 * 2**20
RATIO = 1000  # decompressed against stored bytes beyond LINE_BYTES: more is a compression bomb
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that gave no item."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ItemFile:
    """One file's items in order.  `digest`: of the stored bytes; `unconditional`: requests without their question."""

    name: str
    digest: str
    items: tuple[Item, ...]
    refused: tuple[Refused, ...]
    unconditional: int = 0


def read_items(paths: Sequence[Path], *, letters: bool = False) -> list[ItemFile]:
    """All files; an id that a benchmark has already is refused.  `letters` lets lettered choices pass.

    Raises UsageError for a file that cannot be read or has no item at all, TaskFailed for damaged compression.
    """
    seen: set[tuple[str, str]] = set()
    files = []
    for path in paths:
        read = _read(_stored(path), seen, letters)
        if not read.items:
            first = f"; first: {read.refused[0]}" if read.refused else ""
            raise UsageError(f"{path}: no item in {len(read.refused):,} lines{first}")
        files.append(read)
    return files


def records_of(path: Path) -> Iterator[dict[str, Any]]:
    """Every JSON object of a file of JSON lines; others are left out.  Raises as `read_items`."""
    for _, record in _records(_stored(path)):
        if isinstance(record, Record):
            yield dict(record.data)


def _stored(path: Path) -> InputFile:
    try:
        stored = path.stat()
    except OSError as error:
        raise UsageError(f"file {path}: {explain_os_error(error)}") from error
    if path.is_dir():
        raise UsageError(f"file {path} is a folder", "give its .jsonl files")
    return InputFile("items", str(path), path.name, stored.st_size, str(stored.st_mtime_ns))


def _read(source: InputFile, seen: set[tuple[str, str]], letters: bool) -> ItemFile:
    items: list[Item] = []
    refused: list[Refused] = []
    unconditional = 0
    for line, made in _items(source):
        if made is None:
            unconditional += 1
            continue
        try:
            if isinstance(made, ItemError):
                raise made
            if not letters:
                refuse_letters(made)
            if (made.benchmark, made.id) in seen:
                raise ItemError(f"duplicate id {made.id!r} in {made.benchmark!r}")
        except ItemError as error:
            refused.append(Refused(source.name, line, str(error)[:REASON_CHARACTERS]))
            continue
        seen.add((made.benchmark, made.id))
        items.append(made)
    return ItemFile(source.name, content_digest(source), tuple(items), tuple(refused), unconditional)


def _items(source: InputFile) -> Iterator[tuple[int, Item | ItemError | None]]:
    """(line, item or why not); None is a request that asks for a choice without its question."""
    waiting: list[Record] = []  # OLMES: the requests of one document stand one after another

    def together() -> Iterator[tuple[int, Item | ItemError | None]]:
        if waiting:
            yield waiting[0].line, _made(item_of_olmes, list(waiting))
            waiting.clear()

    for line, record in _records(source):
        if isinstance(record, ItemError):
            yield line, record
        elif is_olmes(record.data):
            if record.unconditional:
                yield line, None
                continue
            if waiting and waiting[0].document != record.document:
                yield from together()
            waiting.append(record)
        else:
            yield from together()
            yield line, _made(item_of_lm_eval if is_lm_eval(record.data) else item_of_own, record)
    yield from together()


def _made(make: Any, what: Any) -> Item | ItemError:
    try:
        made: Item = make(what)
        for text in (made.benchmark, made.id, *made.contexts, *made.choices):
            text.encode()
        return made
    except ItemError as error:
        return error
    except UnicodeEncodeError:
        return ItemError("text with a lone surrogate, which UTF-8 does not have")


def _records(source: InputFile) -> Iterator[tuple[int, Record | ItemError]]:
    with open_stored(source) as stored:
        lines = split_lines(blocks(stored, source.name, Bounds(LINE_BYTES, RATIO)), LINE_BYTES)
        for number, line in enumerate(lines, start=1):
            if isinstance(line, Damage):
                raise TaskFailed(
                    f"{source.path}: damaged at byte {line.offset:,}: {line.detail}", "replace this file of items"
                )
            data = line.data.removeprefix(BYTE_ORDER_MARK) if number == 1 else line.data
            if line.length > LINE_BYTES:
                yield number, ItemError(f"{line.length:,} bytes, more than {LINE_BYTES:,}")
            elif data.strip():
                yield number, _parsed(data, source.name, number)


def _parsed(data: bytes, file: str, number: int) -> Record | ItemError:
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return ItemError(f"no JSON: {error.msg}, at character {error.colno}")
    if not isinstance(record, dict):
        return ItemError("not a JSON object")
    return Record(record, file, number)
