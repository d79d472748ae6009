"""Other people's labels, by mapping tables: a small YAML file says which field is what and which value means what.

What a label set does not say stays null (PARTIAL_SCHEMA): a set of topics gives categories and no scores.  A mapping
that maps a value to null says that this value tells nothing; a value it does not name is an error, so that a set's new
version is noticed.  Bundled mappings stand in `mappings/`, each with the source of its facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from curation.pipeline.errors import UsageError
from quality.labels.files import check_file, read_rows, text_lines
from quality.labels.table import FILE, PARTIAL_SCHEMA, check_category, text_hash
from quality.rubric.rubric import DIMENSIONS, LEVELS, SECONDARY, Rubric

MAPPINGS = Path(__file__).with_name("mappings")
FASTTEXT = "__label__"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CategoryField(_Strict):
    """Where a category stands and what its values mean; numbers are compared as they are written."""

    field: str = Field(min_length=1, description="path of the field, with dots; `label` in fastText files")
    values: dict[str, str | None] = Field(min_length=1)
    match: Literal["exact", "prefix"] = Field("exact", description="prefix: the longest key the value begins with")

    @field_validator("values", mode="before")
    @classmethod
    def _keys(cls, values: Any) -> Any:
        return {str(key): value for key, value in values.items()} if isinstance(values, dict) else values

    def look_up(self, value: str) -> str | None:
        """KeyError where the mapping does not name the value."""
        if self.match == "exact":
            return self.values[value]
        known = [key for key in self.values if value.startswith(key)]
        if not known:
            raise KeyError(value)
        return self.values[max(known, key=len)]


class ScoreField(_Strict):
    """Where a score stands, and the level 0–5 of each of its values; without `values` it is a level itself."""

    field: str = Field(min_length=1)
    values: dict[str, Annotated[int, Field(ge=0, lt=LEVELS)] | None] | None = None

    @field_validator("values", mode="before")
    @classmethod
    def _keys(cls, values: Any) -> Any:
        return {str(key): value for key, value in values.items()} if isinstance(values, dict) else values


class LabelMapping(_Strict):
    """A mapping table."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the judge's name in the labels")
    source: str = Field(min_length=1, description="where the facts below stand")
    note: str = ""
    format: Literal["records", "fasttext"] = Field("records", description="JSON lines or Parquet; or `__label__x text`")
    doc_id: str | None = Field(None, description="path of the id; without it, `<file name>#<line>`")
    text: str | None = Field(None, description="path of the text, for its hash")
    category: CategoryField | None = None
    category2: CategoryField | None = None
    scores: dict[Literal[DIMENSIONS + SECONDARY], ScoreField] = {}  # type: ignore[valid-type]


def load_mapping(name_or_path: str | Path) -> LabelMapping:
    """A bundled mapping by name, or a YAML file.  UsageError names file and key."""
    known = sorted(path.stem for path in MAPPINGS.glob("*.yaml"))
    path = MAPPINGS / f"{name_or_path}.yaml" if str(name_or_path) in known else Path(name_or_path)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such mapping", f"bundled: {', '.join(known)}; or give a YAML file")
    try:
        mapping = LabelMapping.model_validate(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no YAML: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:8]]
        raise UsageError(f"{path}: " + "; ".join(lines), f"see {MAPPINGS} for examples") from None
    if mapping.category is None and not mapping.scores:
        raise UsageError(f"{path}: it maps neither a category nor a score")
    if mapping.format == "fasttext" and (mapping.category is None or mapping.category.field != "label"):
        raise UsageError(f"{path}: a fastText file has one field, `label`", "map category from it")
    return mapping


def import_labels(path: Path | str, mapping: LabelMapping, rubric: Rubric) -> pa.Table:
    """A label set as PARTIAL_SCHEMA, in the file's order; rows that say nothing by the mapping are left out.

    UsageError names file and line of: a value that the mapping does not name, a missing field, a repeated id; and the
    mapping where it maps to a category that the rubric has not.
    """
    path = check_file(Path(path), "labels")
    for one in (mapping.category, mapping.category2):
        for target in {value for value in one.values.values() if value is not None} if one else ():
            check_category(target, rubric, f"mapping {mapping.name}")
    records = _fasttext(path) if mapping.format == "fasttext" else read_rows(path)
    rows = []
    seen: set[str] = set()
    for number, record in records:
        place = f"{path}:{number}"
        row = _mapped(record, mapping, place)
        row["doc_id"] = _id(record, mapping, path, number, place)
        if row["doc_id"] in seen:
            raise UsageError(f"{place}: the id {row['doc_id']!r} stands twice")
        seen.add(row["doc_id"])
        if row["category"] is None and all(row[name] is None for name in mapping.scores):
            continue
        rows.append(row | {"rubric": rubric.version, "judge": mapping.name, "weight": 1.0, "stage": 0})
    return pa.Table.from_pylist(rows, PARTIAL_SCHEMA).replace_schema_metadata({FILE: str(path).encode()})


def _mapped(record: dict[str, Any], mapping: LabelMapping, place: str) -> dict[str, Any]:
    row: dict[str, Any] = {"category": None, "category2": None, "text_hash": None, "chars": None}
    for name, one in (("category", mapping.category), ("category2", mapping.category2)):
        value = None if one is None else _value(record, one.field, place, required=name == "category")
        if one is not None and value is not None:
            try:
                row[name] = one.look_up(str(value))
            except KeyError:
                known = ", ".join(list(one.values)[:30])
                raise UsageError(
                    f"{place}: {one.field} is {value!r:.80}, which mapping {mapping.name} does not name",
                    f"it has {known}",
                ) from None
    if row["category2"] == row["category"]:
        row["category2"] = None
    for name, score in mapping.scores.items():
        row[name] = _level(_value(record, score.field, place, required=True), score, f"{place}: {score.field}")
    text = None if mapping.text is None else _value(record, mapping.text, place, required=False)
    if isinstance(text, str):
        row["text_hash"], row["chars"] = text_hash(text), len(text)
    return row


def _level(value: Any, score: ScoreField, place: str) -> int | None:
    if value is None:
        return None
    if score.values is not None:
        if str(value) not in score.values:
            raise UsageError(f"{place} is {value!r:.80}, which the mapping does not name")
        return score.values[str(value)]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LEVELS:
        raise UsageError(f"{place} is {value!r:.80}, no level 0–{LEVELS - 1}", "map its values")
    return value


def _value(record: dict[str, Any], path: str, place: str, *, required: bool) -> Any:
    value: Any = record
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            if required:
                raise UsageError(f"{place}: no field {path}", f"fields: {', '.join(map(str, record))[:300]}")
            return None
        value = value[part]
    return value


def _id(record: dict[str, Any], mapping: LabelMapping, path: Path, number: int, place: str) -> str:
    if mapping.doc_id is None:
        return f"{path.name}#{number}"
    value = _value(record, mapping.doc_id, place, required=True)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise UsageError(f"{place}: {mapping.doc_id} is {value!r:.80}, no id")
    return str(value)


def _fasttext(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """`__label__a [__label__b …] text`: fields label, label2 and text."""
    for number, line in text_lines(path):
        if not line.strip():
            continue
        try:
            words = line.decode().strip().split(" ")
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}:{number}: not UTF-8 ({error.reason} at byte {error.start})") from None
        count = next((i for i, word in enumerate(words) if not word.startswith(FASTTEXT)), len(words))
        if count == 0:
            raise UsageError(f"{path}:{number}: the line does not begin with {FASTTEXT}")
        labels = [word.removeprefix(FASTTEXT) for word in words[:count]]
        text = " ".join(words[count:])
        yield number, {"label": labels[0], "text": text} | ({"label2": labels[1]} if count > 1 else {})
