"""`curate quality rubric`: the rubric, its JSON schema and the prompt as a judge gets it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quality.rubric.prompt import PROMPT_VERSION, Excerpt, system_text, user_text
from quality.rubric.reply import json_schema
from quality.rubric.rubric import load_rubric


@dataclass(frozen=True)
class RubricReport:
    """A checked rubric in all its forms."""

    version: str
    hash: str
    prompt_version: int
    dimensions: dict[str, str]  # name: question
    secondary: dict[str, str]
    categories: dict[str, str]  # name: note
    system: str
    example: str  # the user message for a document of one line
    schema: dict[str, Any]


def rubric(name_or_path: str | Path = "v1", *, secondary: bool = True) -> RubricReport:
    """Load and check a rubric; UsageError names file and place."""
    loaded = load_rubric(name_or_path)
    text = "The text of the document."
    return RubricReport(
        version=loaded.version,
        hash=loaded.hash,
        prompt_version=PROMPT_VERSION,
        dimensions={one.name: one.question for one in loaded.dimensions},
        secondary={one.name: one.question for one in loaded.secondary},
        categories={one.name: one.note for one in loaded.categories},
        system=system_text(loaded, secondary),
        example=user_text(Excerpt((text,), (), len(text))),
        schema=json_schema(loaded, secondary=secondary),
    )
