"""Templates of the `format` item: data, checked when read; rendering substitutes fields and does nothing else.

What is substituted is never looked at again, so a text that holds braces stays as it is, and the length
of a rendered document is at most that of its fields times the number of times that a template names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Self

import yaml
from pydantic import ConfigDict, ValidationError, model_validator

from curation.pipeline.config import Frozen
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed
from curation.rules.format_records import Structure

_FIELD = re.compile(r"\{([a-z_]*)\}")
_NAMED_TWICE = 3  # a field may stand in a template that often
FIELDS = {
    "qa": ({"context", "items"}, {"number", "question", "answer"}),
    "multiple_choice": ({"context", "question", "items", "letter", "answer"}, {"letter", "choice"}),
    "dialogue": ({"context", "items"}, {"speaker", "text"}),
}


class Template(Frozen):
    """One layout of a document; see data/format_templates.yaml."""

    name: str
    blocks: list[str]
    between: str = "\n\n"
    item: str
    join: str = "\n"


class Templates(Frozen):
    """Layouts by kind of record."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int
    qa: list[Template] = []
    multiple_choice: list[Template] = []
    dialogue: list[Template] = []

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        for kind, (document, item) in FIELDS.items():
            templates: list[Template] = getattr(self, kind)
            if len({one.name for one in templates}) != len(templates):
                raise ValueError(f"{kind}: two templates have the same name")
            for one in templates:
                _check(f"{kind}.{one.name}: blocks", " ".join(one.blocks), document)
                _check(f"{kind}.{one.name}: item", one.item, item)
        return self


def _check(place: str, template: str, known: set[str]) -> None:
    named = _FIELD.findall(template)
    for field in named:
        if field not in known:
            raise ValueError(f"{place}: there is no field {{{field}}}; fields: {', '.join(sorted(known))}")
        if named.count(field) > _NAMED_TWICE:
            raise ValueError(f"{place}: {{{field}}} stands there more than {_NAMED_TWICE} times")


@lru_cache(maxsize=8)
def parse_templates(text: str) -> Templates:
    """Templates from YAML.  Raises UsageError that says what is wrong with them."""
    try:
        return Templates.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise UsageError(f"format templates: {error}") from None


def templates_text(path: Path | None) -> str:
    """The YAML of a file, or the bundled one.  Raises UsageError where it cannot be read."""
    if path is None:
        return resources.files("curation.rules").joinpath("data/format_templates.yaml").read_text("utf-8")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"format templates {path}: {error}") from None


def choose(templates: list[Template], kind: str, doc_key: int) -> Template:
    """A document's template: a function of its key alone, so the same in every run, order and mix."""
    return templates[derive_seed(0, Purpose.TEMPLATE, kind, doc_key) % len(templates)]


def render(structure: Structure, template: Template) -> str:
    """The document's text."""
    items = template.join.join(_fill(template.item, one) or "" for one in structure.items)
    blocks = [_fill(block, structure.fields | {"items": items}) for block in template.blocks]
    return template.between.join(block for block in blocks if block is not None)


def _fill(template: str, fields: dict[str, str]) -> str | None:
    """The template with its fields, in one pass; None where one of them is not there."""
    if any(name not in fields for name in _FIELD.findall(template)):
        return None
    replace: Callable[[re.Match[str]], str] = lambda match: fields[match[1]]  # noqa: E731
    return _FIELD.sub(replace, template)
