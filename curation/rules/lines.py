"""The item `lines`: a preset's line edits, without its thresholds.

`rules:` with an editing preset (c4, refinedweb) puts this item before that preset's thresholds;
in a `clean:` list of its own it only edits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import pyarrow as pa
from pydantic import Field, model_validator

from curation.pipeline.task import Json
from curation.rules import presets
from curation.rules.editors import EDITORS
from curation.rules.families import FAMILIES
from curation.rules.item import CleanItem, Columns, Limited
from curation.text.edits import EditedText


class LinesConfig(Limited):
    """Take out or correct lines as a preset does."""

    preset: str = Field(description="one that edits lines: c4, c4-datatrove, refinedweb")

    @model_validator(mode="after")
    def _edits(self) -> Self:
        editing = [name for name, preset in presets.load().items() if preset.edit]
        if self.preset not in editing:
            raise ValueError(f"the preset {self.preset!r} edits no lines; these do: {', '.join(editing)}")
        return self


def _edited(config: LinesConfig) -> Json:
    return dict(presets.load()[config.preset].edit or {})


def _edit(text: pa.LargeStringArray, columns: Columns, edited: Json) -> EditedText:
    parameters = {name: value for name, value in edited.items() if name != "editor"}
    return EDITORS[edited["editor"]].edit(text, parameters)


def _columns(edited: Json) -> list[pa.Field]:
    family = FAMILIES[EDITORS[edited["editor"]].family]
    return [pa.field(family.column, family.type)]


def _versions(edited: Json) -> Mapping[str, str]:
    return {f"editor.{edited['editor']}": str(EDITORS[edited["editor"]].version)}


def edits_lines(preset: str) -> bool:
    """Whether a preset begins with an edit."""
    return presets.load()[preset].edit is not None


def config_for(preset: str, sources: list[str] | None) -> Any:
    """The item's config for one preset."""
    return LinesConfig(preset=preset, sources=sources)


LINES = CleanItem(
    key="lines", version=1, config=LinesConfig, edited=_edited, edit=_edit, columns=_columns, versions=_versions
)
