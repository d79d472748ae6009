"""The `datatrove` item: any filter, formatter or annotator of datatrove, or of your own, in the `clean:` list.

    - datatrove: {block: datatrove.pipeline.filters.GopherQualityFilter, min_doc_words: 30}

A filter's answer and changed metadata become columns, a changed text an edit; the answer is then decided
like any measurement.  The block is built anew for every row group, so that nothing it remembers of
other documents can depend on how many workers there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator

from curation.pipeline.errors import TaskFailed, UsageError
from curation.pipeline.task import Json
from curation.rules.item import CleanItem, Columns, Limited, Verdict
from curation.text.edit_rows import EditRows
from curation.text.edits import EditedText
from curation.text.replace import replace_rows

ITEM_VERSION = 2
READS = ("id", "source", "url", "date", "license", "extractor", "metadata")  # documents.READS, without the import
NAME = re.compile(r"[A-Za-z0-9_#.-]{1,60}")  # reasons that may be part of a rule's name
DETAIL_CHARACTERS = 200
PROBE = "A short English text. It is read by the block once, before the run, to load what it needs.\n"


class DatatroveConfig(Limited):
    """A block of datatrove and the arguments of its constructor, which stand beside `block`."""

    model_config = ConfigDict(extra="allow")

    block: str = Field(description="importable name, e.g. datatrove.pipeline.filters.GopherQualityFilter")

    @model_validator(mode="after")
    def _known(self) -> Self:
        from curation.datatrove.find_block import check_arguments, find_class

        check_arguments(find_class(self.block), self.model_extra or {})
        return self


def _edited(config: DatatroveConfig) -> Json:
    return {"block": config.block, "arguments": config.model_extra or {}}


def _located(config: DatatroveConfig, base: Path) -> DatatroveConfig:
    """Build the block and show it one text: what it lacks or cannot do with its arguments is told before the run."""
    from curation.datatrove.run_block import answers

    row = dict.fromkeys(READS) | {"id": "probe", "source": "probe", "url": "https://example.org/"}
    try:
        list(answers(config.block, config.model_extra or {}, [(PROBE, row)]))
    except TaskFailed as error:
        if isinstance(error.__cause__, ImportError):
            raise UsageError(f"clean: datatrove: {config.block}: {error.__cause__}") from None
        # else it does not like this one text: it may like the user's
    except Exception as error:
        raise UsageError(f"clean: datatrove: {config.block}: {type(error).__name__}: {error}") from None
    return config


def _short(block: str) -> str:
    return block.rpartition(".")[2]


def _columns(part: Json) -> list[pa.Field]:
    name = f"datatrove_{_short(part['block'])}"
    return [pa.field(name, pa.string()), pa.field(f"{name}_metadata", pa.large_string())]


def _edit(text: pa.LargeStringArray, columns: Columns, part: Json) -> EditedText:
    """Column `datatrove_<Class>`: why the block drops the document, null where it does not; `…_metadata`: changes."""
    from curation.datatrove.run_block import answers
    from curation.datatrove.text_diff import log_difference

    rows = list(_rows(text, columns))
    found = answers(part["block"], part["arguments"], [row for row in rows if row is not None])
    edits = EditRows()
    changed: dict[int, str] = {}
    reasons: list[str | None] = []
    metadata: list[str | None] = []
    for i, row in enumerate(rows):
        answer = None if row is None else next(found)
        reasons.append(None if answer is None else answer.reason)
        metadata.append(None if answer is None else answer.metadata)
        if row is not None and answer is not None and answer.text != row[0]:
            changed[i] = answer.text
            log_difference(edits, f"datatrove.{_short(part['block'])}", row[0], answer.text)
        edits.next_document()
    reason, changes = _columns(part)
    new = {reason.name: pa.array(reasons, reason.type), changes.name: pa.array(metadata, changes.type)}
    return EditedText(replace_rows(text, changed), edits.to_array(), new)


def _rows(text: pa.LargeStringArray, columns: Columns) -> Iterator[tuple[str, dict[str, Any]] | None]:
    """(text, what is read of the row), one at a time; None where there is no text."""
    for i in range(len(text)):
        value = text[i].as_py()
        yield None if value is None else (value, {name: columns[name][i].as_py() for name in READS})


def _decide(columns: Columns, block: Json) -> Verdict:
    reasons: Sequence[str | None] = columns[f"datatrove_{_short(block)}"].to_pylist()
    return (
        pa.array([None if reason is None else rule_name(block, reason) for reason in reasons], pa.string()),
        pa.array([None if reason is None else reason[:DETAIL_CHARACTERS] for reason in reasons], pa.string()),
    )


def rule_name(block: str, reason: str) -> str:
    """`datatrove.<Class>.<reason>`; a reason that is a sentence is told in the detail only."""
    return f"datatrove.{_short(block)}.{reason if NAME.fullmatch(reason) else 'other'}"


def _versions(part: Json) -> dict[str, str]:
    from curation.datatrove.find_block import versions

    return versions(part["block"], part["arguments"])


DATATROVE = CleanItem(
    key="datatrove",
    version=ITEM_VERSION,
    config=DatatroveConfig,
    located=_located,
    edited=_edited,
    edit=_edit,
    columns=_columns,
    decided=lambda config: config.block,
    decide=_decide,
    versions=_versions,
    reads=READS,
)
