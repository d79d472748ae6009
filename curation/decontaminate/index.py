"""The index of benchmark items: read once, written as Parquet, loaded by every task that looks for them.

Three files (version INDEX_VERSION in the metadata of each): `texts`, the different texts of all items as written;
`windows`, their hashes (`curation.text.needle_index`); `benchmark_items`, one row an item or bad line, with the
numbers of its texts.  Items that ask the same share a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.decontaminate.items import BadLine, Item, read_items
from curation.pipeline.context import TaskContext
from curation.pipeline.errors import UsageError
from curation.pipeline.task import Input
from curation.sources.inputs import InputFile
from curation.text.common_runs import WHOLE_BYTES, WHOLE_WORDS
from curation.text.letters import LETTERS_VERSION, Letters, letters
from curation.text.needle_index import INDEX_VERSION, WINDOW_SCHEMA, NeedleIndex, Windows, build_index, windows

VERSION_KEY = b"curate.decontaminate.index"
VERSION = f"{INDEX_VERSION}.{LETTERS_VERSION}".encode()
METADATA = {VERSION_KEY: VERSION}
ITEMS = "benchmark_items"
ALONE_WORDS, ALONE_BYTES = 8, 50  # a shorter question is acted upon only where its choices or answer follow it
TOLD = 5  # bad lines named in the run's warnings; all are in `benchmark_items`
NONE = -1  # in place of a text's number: too short to be looked for

TEXTS_SCHEMA = pa.schema([pa.field("text", pa.large_string(), nullable=False)], METADATA)
WINDOWS_SCHEMA = WINDOW_SCHEMA.with_metadata(METADATA)
ITEMS_SCHEMA = pa.schema(
    [
        pa.field("benchmark", pa.string()),  # null for a bad line
        pa.field("item", pa.string()),
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # indexed | answer only | too short | repeated | malformed
        pa.field("detail", pa.string()),
        pa.field("question", pa.large_string()),
        pa.field("choices", pa.list_(pa.large_string())),
        pa.field("answers", pa.list_(pa.large_string())),
        pa.field("question_text", pa.int32()),  # row of `texts`, NONE where it is too short
        pa.field("answer_texts", pa.list_(pa.int32())),
    ],
    METADATA,
)


@dataclass(frozen=True)
class BenchmarkIndex:
    """What decisions need: the texts, the items, and which of them ask or answer with a text."""

    texts: pa.LargeStringArray
    items: list[dict[str, Any]]  # rows of ITEMS_SCHEMA that are items
    asked_by: dict[int, list[int]]  # text → items
    answers: dict[int, list[int]]

    @cached_property
    def sizes(self) -> list[int]:
        """Bytes of letters of each text."""
        sizes: list[int] = np.diff(letters(self.texts).ends, prepend=0).tolist()
        return sizes

    @cached_property
    def short(self) -> list[bool]:
        """Which texts are too short to be acted upon alone: `Which of the following is true?` is many a question."""
        written = np.asarray(pc.binary_length(self.texts))
        return [bool(one) for one in (_half_words(letters(self.texts)) < 2 * ALONE_WORDS) & (written < ALONE_BYTES)]


def write_index(context: TaskContext) -> None:
    """Read all files of items and write the index; raises UsageError where there is no item at all."""
    found: list[Item | BadLine] = []
    for file in context.task.files:
        found += read_items(InputFile(**file), context.config["fields"])
    bad = sum(isinstance(one, BadLine) for one in found)
    if bad == len(found):
        names = ", ".join(file["name"] for file in context.task.files[:3])
        first = next((f"; line {one.line}: {one.reason}" for one in found if isinstance(one, BadLine)), "")
        raise UsageError(
            f"decontaminate.items: no item in {names}{first}", "give JSONL, one item a line; see decontaminate.fields"
        )
    texts, rows = index_rows(found)
    column = pa.array(texts, pa.large_string())
    context.counts.update(items=len(found) - bad, malformed_lines=bad, texts=len(texts))
    for row in rows:
        context.counts[f"items.{row['status'].replace(' ', '_')}"] += 1
    context.writer("texts", TEXTS_SCHEMA).write(pa.RecordBatch.from_arrays([column], schema=TEXTS_SCHEMA))
    marks = windows(letters(column))
    context.writer("windows", WINDOWS_SCHEMA).write(
        pa.RecordBatch.from_arrays([pa.array(values) for values in marks], schema=WINDOWS_SCHEMA)
    )
    context.writer(ITEMS, ITEMS_SCHEMA).write(pa.RecordBatch.from_pylist(rows, ITEMS_SCHEMA))
    files = [file["name"] for file in context.task.files]
    context.warnings += warnings(found, files, texts, context.config["fields"]["question"])
    context.quarantined(bad)


def warnings(found: list[Item | BadLine], files: list[str], texts: list[str], question: str) -> list[str]:
    """What would make the answer to `is it contaminated?` a wrong no: bad lines, files of another form, short items."""
    told = []
    bad = [one for one in found if isinstance(one, BadLine)]
    if bad:
        some = "; ".join(f"{one.file}:{one.line}: {one.reason}" for one in bad[:TOLD])
        more = f"; … and {len(bad) - TOLD:,} more (view benchmark_items)" if len(bad) > TOLD else ""
        told.append(f"decontaminate.items: {len(bad):,} line(s) are no item and were not looked for: {some}{more}")
    asked: dict[str, list[bool]] = {file: [] for file in files}
    for one in found:
        if isinstance(one, Item):
            asked[one.file].append(bool(one.question))
    told += [f"decontaminate.items: {file} holds no item" for file, some in asked.items() if not some]
    told += [
        f"decontaminate.items: {file}: none of its {len(some):,} item(s) has a question in {question!r}, and answers "
        "alone are only reported; name the right field in decontaminate.fields.question"
        for file, some in asked.items()
        if some and not any(some)
    ]
    if not texts:
        told.append(
            f"decontaminate.items: every item is too short to be found: {WHOLE_WORDS} words and {WHOLE_BYTES} bytes "
            "of letters are needed"
        )
    return told


def index_rows(found: list[Item | BadLine]) -> tuple[list[str], list[dict[str, Any]]]:
    """(different texts long enough to be looked for, rows of ITEMS_SCHEMA)."""
    wanted = sorted({text for one in found if isinstance(one, Item) for text in (one.question, *one.answers)})
    texts = [text for text, fits in zip(wanted, long_enough(wanted), strict=True) if fits]
    number = {text: i for i, text in enumerate(texts)}
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[str, str], Item] = {}
    for one in found:
        if isinstance(one, BadLine):
            rows.append({"file": one.file, "line": one.line, "status": "malformed", "detail": one.reason})
            continue
        id, status, detail = one.id, "", None
        before = seen.setdefault((one.benchmark, id), one)
        if before is not one:
            if (before.question, before.choices, before.answers) == (one.question, one.choices, one.answers):
                status = "repeated"
            else:
                id, detail = f"{id} ({one.file}:{one.line})", f"its id is also that of {before.file}:{before.line}"
        question = number.get(one.question, NONE)
        answers = sorted({number[text] for text in one.answers if text in number})
        status = status or ("indexed" if question != NONE else "answer only" if answers else "too short")
        rows.append(
            {
                "benchmark": one.benchmark, "item": id, "file": one.file, "line": one.line, "status": status,
                "detail": detail, "question": one.question, "choices": one.choices, "answers": one.answers,
                "question_text": question, "answer_texts": answers,
            }
        )  # fmt: skip
    return texts, rows


def long_enough(texts: list[str]) -> list[bool]:
    """Which texts could be found at all: WHOLE_WORDS words and WHOLE_BYTES bytes of letters."""
    of = letters(pa.array(texts, pa.large_string()))
    sizes = np.diff(of.ends, prepend=0)
    return [bool(one) for one in (_half_words(of) >= 2 * WHOLE_WORDS) & (sizes >= WHOLE_BYTES)]


def _half_words(of: Letters) -> NDArray[np.int64]:
    """Of each text, counted as in `common_runs`."""
    weights = np.where(of.begins == 0, 0, 3 - of.begins.astype(np.int64))
    return np.diff(np.concatenate([[0], np.cumsum(weights)])[of.ends], prepend=0)


def load_needles(context: TaskContext, index: Input) -> NeedleIndex:
    """The tables for `common_runs` of the index that a task wrote; raises UsageError for one of another version.

    The items, whose rows take most of the memory, stay on disk.
    """
    marks = _read(context, index, "windows", WINDOWS_SCHEMA)
    found = Windows(*(marks[name].to_numpy() for name in WINDOW_SCHEMA.names))
    return build_index(_texts(context, index), found)


def load_index(context: TaskContext, index: Input) -> BenchmarkIndex:
    """The items of the index that a task wrote; raises UsageError for one of another version."""
    rows = [
        row
        for row in _read(context, index, ITEMS, ITEMS_SCHEMA).to_pylist()
        if row["status"] in ("indexed", "answer only")
    ]
    asked_by: dict[int, list[int]] = {}
    answers: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        if row["question_text"] != NONE:
            asked_by.setdefault(row["question_text"], []).append(i)
        for text in row["answer_texts"]:
            answers.setdefault(text, []).append(i)
    return BenchmarkIndex(_texts(context, index), rows, asked_by, answers)


def _texts(context: TaskContext, index: Input) -> pa.LargeStringArray:
    column = _read(context, index, "texts", TEXTS_SCHEMA)["text"].combine_chunks()
    return pa.array([], pa.large_string()) if isinstance(column, pa.ChunkedArray) else column  # an empty table's


def _read(context: TaskContext, index: Input, name: str, schema: pa.Schema) -> pa.Table:
    path = context.path(index, name)
    table = pq.read_table(path)
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"none")
    if version != VERSION or not table.schema.equals(schema):
        raise UsageError(
            f"{path}: index version {version.decode(errors='replace')}, this curate reads {VERSION.decode()}",
            "delete that folder and run again: the index is made anew from the items",
        )
    return table
