"""The item `lines`: a preset's line edits, without its thresholds.

`rules:` with an editing preset (c4, refinedweb) puts this item before that preset's thresholds;
in a `clean:` list of its own it only edits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pydantic import Field, model_validator

from curation.pipeline.errors import UsageError
from curation.pipeline.task import Json
from curation.rules import presets
from curation.rules.editors import EDITORS
from curation.rules.families import FAMILIES
from curation.rules.item import CleanItem, Columns, Limited
from curation.text.blocked_words import compile_blocked_words
from curation.text.edits import EditedText

BLOCKLIST = "c4-blocklist"


class LinesConfig(Limited):
    """Take out or correct lines as a preset does."""

    preset: str = Field(description="one that edits lines: c4, c4-datatrove, refinedweb")
    blocked_words: str | None = Field(None, description="file of words and phrases, one a line: for c4-blocklist")

    @model_validator(mode="after")
    def _edits(self) -> Self:
        editing = [name for name, preset in presets.load().items() if preset.edit]
        if self.preset not in editing:
            raise ValueError(f"the preset {self.preset!r} edits no lines; these do: {', '.join(editing)}")
        if (self.preset == BLOCKLIST) != (self.blocked_words is not None):
            raise ValueError(f"`blocked_words` (a file) belongs to the preset {BLOCKLIST!r}, which needs it")
        return self


def _edited(config: LinesConfig) -> Json:
    edit = dict(presets.load()[config.preset].edit or {})
    if config.blocked_words is not None:
        digest = hashlib.sha256(Path(config.blocked_words).read_bytes()).hexdigest()
        edit["blocked_words"] = {"path": config.blocked_words, "sha256": digest}
    return edit


def located(path: str, base: Path) -> str:
    """A block list's path, relative to the config file; raises UsageError when it cannot be read as words."""
    found = base / path
    try:
        compile_blocked_words(line.strip().lower() for line in found.read_text("utf-8").splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise UsageError(f"clean: blocked_words: {found}: {error}", "give a UTF-8 text file, one word a line") from None
    return str(found)


def _located(config: LinesConfig, base: Path) -> LinesConfig:
    if config.blocked_words is None:
        return config
    return config.model_copy(update={"blocked_words": located(config.blocked_words, base)})


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


def config_for(preset: str, sources: list[str] | None, blocked_words: str | None) -> Any:
    """The item's config for one preset."""
    return LinesConfig(preset=preset, sources=sources, blocked_words=blocked_words if preset == BLOCKLIST else None)


LINES = CleanItem(
    key="lines", version=1, config=LinesConfig, edited=_edited, edit=_edit, columns=_columns, versions=_versions,
    located=_located,
)  # fmt: skip
