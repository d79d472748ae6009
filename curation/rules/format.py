"""The `format` item: dialogue and question-answer records written as documents, in several layouts.

After MiniMax-01 (arXiv 2501.08313, 4.1.1): web pages and books stay plain, since one fixed format of
many documents lowers diversity; dialogue and QA get nested documents with versatile templates.  Which
template is a function of the document's key.  A record without the fields is left as it is, and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import orjson
import pyarrow as pa
from pydantic import Field

from curation.pipeline.task import Json
from curation.rules.format_marked import MarkedText, read_marked
from curation.rules.format_records import (
    DialogueFields,
    MultipleChoiceFields,
    QaFields,
    Structure,
    read_dialogue,
    read_multiple_choice,
    read_qa,
)
from curation.rules.format_templates import choose, parse_templates, render, templates_text
from curation.rules.item import CleanItem, Columns, Limited
from curation.text.edit_rows import EditRows
from curation.text.edits import EditedText
from curation.text.replace import replace_rows

FORMAT_VERSION = 1
# template: `<kind>.<name>`, null where the text was left as it is; left: why, null where it was formatted.
FORMAT = pa.struct([("template", pa.string()), ("left", pa.string())])
NO_METADATA, NO_FIELDS, NOT_AN_OBJECT = "no metadata", "no fields of any kind", "metadata is no JSON object"

Kind = Literal["multiple_choice", "qa", "dialogue"]
_Reader = tuple[Kind, Any, Callable[[Any, Any, str | None], Structure | None]]
_READERS: dict[str, tuple[type[Any], Callable[[Any, Any, str | None], Structure | None]]] = {
    "multiple_choice": (MultipleChoiceFields, read_multiple_choice),
    "qa": (QaFields, read_qa),
    "dialogue": (DialogueFields, read_dialogue),
}


class FormatConfig(Limited):
    """Write dialogue and question-answer records as documents."""

    kinds: list[Kind] = Field(
        ["multiple_choice", "qa", "dialogue"], min_length=1, description="tried in this order; the first that fits"
    )
    qa: QaFields = QaFields()
    multiple_choice: MultipleChoiceFields = MultipleChoiceFields()
    dialogue: DialogueFields = DialogueFields()
    marked: list[MarkedText] = Field(
        [], description="texts that mark their own structure, e.g. {kind: qa, labels: [Question, Answer]}"
    )
    speakers: dict[str, str] = Field(
        {"user": "User", "human": "User", "assistant": "Assistant", "gpt": "Assistant", "system": "System"},
        description="how speakers are written; others as they are",
    )
    templates: str | None = Field(None, description="YAML file of templates; default those of curate")


def _located(config: FormatConfig, base: Path) -> FormatConfig:
    """The templates' path is relative to the config file; a bad file is refused before the run."""
    path = None if config.templates is None else str(base / config.templates)
    located = config.model_copy(update={"templates": path})
    _edited(located)
    return located


def _edited(config: FormatConfig) -> dict[str, Any]:
    text = templates_text(None if config.templates is None else Path(config.templates))
    templates = parse_templates(text)
    kinds = [kind for kind in config.kinds if getattr(templates, kind)]
    fields = {kind: getattr(config, kind).model_dump() for kind in kinds}
    return {"templates": text, "kinds": kinds, "fields": fields, "speakers": config.speakers} | {
        "marked": [one.model_dump() for one in config.marked if one.kind in kinds]
    }


def format_documents(
    text: pa.LargeStringArray, metadata: pa.LargeStringArray, doc_key: pa.UInt64Array, edited: Json
) -> EditedText:
    """n texts, those of dialogue and QA records replaced by a rendered document.

    text, metadata: large_string; a null text stays null.  Edits: one a formatted document, rule
    `format.<kind>`, the whole text.  Column `format`: struct FORMAT.
    """
    templates = parse_templates(edited["templates"])
    readers = [(kind, _READERS[kind][0](**edited["fields"][kind]), _READERS[kind][1]) for kind in edited["kinds"]]
    marked = [MarkedText(**one) for one in edited["marked"]]
    edits = EditRows()
    changed: dict[int, str] = {}
    rows: list[dict[str, str | None] | None] = []
    for i, (old, given, key) in enumerate(zip(text, metadata, doc_key.to_pylist(), strict=True)):
        if not old.is_valid:
            rows.append(None)
        elif isinstance(found := _structure(given.as_py(), old.as_py(), readers, marked), str):
            rows.append({"template": None, "left": found})
        else:
            template = choose(getattr(templates, found.kind), found.kind, key)
            before, after = old.as_py(), render(_spoken(found, edited["speakers"]), template)
            rows.append({"template": f"{found.kind}.{template.name}", "left": None})
            if after != before:
                changed[i] = after
                edits.add(f"format.{found.kind}", 0, len(before.encode()), before, after)
        edits.next_document()
    return EditedText(replace_rows(text, changed), edits.to_array(), {"format": pa.array(rows, FORMAT)})


def _structure(metadata: str | None, text: str, readers: list[_Reader], marked: list[MarkedText]) -> Structure | str:
    """What the record holds, by its fields or by the marks of its text, or why it is left as it is."""
    found, why = _record_structure(metadata, text, readers)
    for one in marked if found is None else []:
        found = found or read_marked(text, one)
    return why if found is None else found


def _record_structure(metadata: str | None, text: str, readers: list[_Reader]) -> tuple[Structure | None, str]:
    if metadata is None:
        return None, NO_METADATA
    try:
        record = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return None, NOT_AN_OBJECT
    if not isinstance(record, dict):
        return None, NOT_AN_OBJECT
    found = (read(record, fields, text) for _, fields, read in readers)
    return next((structure for structure in found if structure is not None), None), NO_FIELDS


def _spoken(structure: Structure, speakers: dict[str, str]) -> Structure:
    if structure.kind != "dialogue":
        return structure
    items = [one | {"speaker": speakers.get(one["speaker"], one["speaker"])} for one in structure.items]
    return Structure(structure.kind, structure.fields, items)


def _edit(text: pa.LargeStringArray, columns: Columns, edited: Json) -> EditedText:
    return format_documents(text, columns["metadata"], columns["doc_key"], edited)


FORMAT_ITEM = CleanItem(
    key="format",
    version=FORMAT_VERSION,
    config=FormatConfig,
    located=_located,
    edited=_edited,
    edit=_edit,
    columns=lambda edited: [pa.field("format", FORMAT)],
    reads=("doc_key", "metadata"),
    not_after=("lines", "pii", "unicode"),  # the text is built anew from the record's fields
)
