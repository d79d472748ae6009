"""The `pii` item: personal data replaced by `<email>`, `<ip>`, … for good; only places and counts are kept.

What is found and how it is checked stands in `curation.text.personal_data`.  The log of edits never
holds what was masked.  A text that holds nothing of a kind's shape is not looked at in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from curation.pipeline.task import Json
from curation.rules.item import CleanItem, Columns, Limited
from curation.text.edit_rows import EditRows
from curation.text.edits import EditedText
from curation.text.personal_data import HINTS, KINDS, Found, find
from curation.text.replace import replace_rows

PII_VERSION = 1
COUNTS = pa.struct([pa.field(kind, pa.int64()) for kind in KINDS])  # null: this kind was not looked for

Kind = Literal["email", "ip", "phone", "iban", "card"]


class PiiConfig(Limited):
    """Mask personal data in the text."""

    mask: list[Kind] = Field(["email", "ip", "phone", "iban", "card"], min_length=1, description="kinds to mask")
    replacements: dict[Kind, str] = Field(
        {}, description="what stands there instead, e.g. email: email@example.com; default the kind in <>"
    )

    @field_validator("mask")
    @classmethod
    def _once(cls, kinds: list[Kind]) -> list[Kind]:
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"a kind stands here twice: {', '.join(kinds)}")
        return sorted(kinds, key=KINDS.index)


def _edited(config: PiiConfig) -> dict[str, str]:
    return {kind: config.replacements.get(kind, f"<{kind}>") for kind in config.mask}


def mask_personal_data(text: pa.LargeStringArray, replacements: dict[str, str]) -> EditedText:
    """n texts with every item of the kinds in `replacements` replaced.

    text: large_string, null rows stay null.  Edits: rule `pii.<kind>`, `before` null.
    Column `pii`: struct of int64 counts, null for a kind not looked for and for a null text.
    """
    kinds = [kind for kind in KINDS if kind in replacements]
    hints = _hints(text, kinds)
    counts = {kind: np.zeros(len(text), np.int64) for kind in kinds}
    suspect = np.any(list(hints.values()), axis=0)
    edits = EditRows()
    changed: dict[int, str] = {}
    for i in range(len(text)):
        if suspect[i]:
            encoded = text[i].as_py().encode()
            found = find(encoded, tuple(kind for kind in kinds if hints[kind][i]))
            for one in found:
                counts[one.kind][i] += 1
                edits.add(f"pii.{one.kind}", one.start, one.end - one.start, None, replacements[one.kind])
            if found:
                changed[i] = _masked(encoded, found, replacements)
        edits.next_document()
    nulls = text.is_null()
    pii = pa.StructArray.from_arrays(
        [pa.array(counts[k]) if k in counts else pa.nulls(len(text), pa.int64()) for k in KINDS],
        fields=list(COUNTS),
        mask=nulls,
    )
    return EditedText(replace_rows(text, changed), edits.to_array(), {"pii": pii})


def _hints(text: pa.LargeStringArray, kinds: Sequence[str]) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Per kind which texts hold something of its shape; a superset of those in which it is found."""
    found = {}
    for kind in kinds:
        match = pc.match_substring if kind == "email" else pc.match_substring_regex
        found[kind] = pc.fill_null(match(text, HINTS[kind]), False).to_numpy(zero_copy_only=False)
    return found


def _masked(text: bytes, found: list[Found], replacements: dict[str, str]) -> str:
    parts, end = [], 0
    for one in found:
        parts += [text[end : one.start], replacements[one.kind].encode()]
        end = one.end
    return b"".join([*parts, text[end:]]).decode()


def _edit(text: pa.LargeStringArray, columns: Columns, edited: Json) -> EditedText:
    return mask_personal_data(text, edited)


PII = CleanItem(
    key="pii",
    version=PII_VERSION,
    config=PiiConfig,
    edited=_edited,
    edit=_edit,
    columns=lambda edited: [pa.field("pii", COUNTS)],
    versions=lambda edited: {"publicsuffixlist": version("publicsuffixlist")},  # top-level domains
)
