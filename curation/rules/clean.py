"""The `clean:` section: measure every document once, then decide from the measurements.

`measure` is one pass over a shard's text that computes what any rule of the config
looks at; `decide` reads only those columns, so a changed threshold never touches the
text.  Items (`language`, `rules`, …) come through entry points `clean.<key>` and are
applied in the order of the YAML; the first that removes a document is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator, Field, create_model

from curation.pipeline import registry
from curation.pipeline.config import Frozen
from curation.pipeline.context import LAYER, TaskContext, merge
from curation.pipeline.errors import UsageError
from curation.pipeline.schema import REMOVED_BY, REMOVED_DETAIL, TEXT
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.pipeline.task import Json, Shard

Columns = dict[str, pa.Array]
Verdict = tuple[pa.StringArray, pa.StringArray]  # removed_by, removed_detail; null when kept


@dataclass(frozen=True)
class CleanItem:
    """One kind of entry of the `clean:` list.

    `measured(config)` is the part of the config that the measurement depends on (JSON, None when
    nothing is measured), `decided(config)` the part that the decision depends on, thresholds resolved.
    `measure` gets texts (null for a record without one) and returns columns of the same length;
    `decide` gets those columns and the read columns other than the text.
    """

    key: str
    version: int  # raised whenever `measure` or `decide` can give another result
    config: type[Frozen]
    decided: Callable[[Any], Json]
    decide: Callable[[Columns, Json], Verdict]
    measured: Callable[[Any], Json | None] = lambda config: None
    measure: Callable[[pa.LargeStringArray, Json], Columns] | None = None
    columns: Callable[[Json], list[pa.Field]] = lambda measured: []
    versions: Callable[[Json], Mapping[str, str]] = lambda measured: {}
    located: Callable[[Any, Path], Any] = lambda config, base: config  # paths relative to the config file
    reads: tuple[str, ...] = ()  # read columns that `decide` looks at, e.g. url
    thresholds: Callable[[Json], list[Json]] = lambda decided: []


class Limited(Frozen):
    """Base of an item's config: every item may be limited to some sources."""

    sources: list[str] | None = Field(None, min_length=1, description="apply to these sources only; default all")


def _one_kind(entry: Any) -> Any:
    given = sorted(entry.model_fields_set)
    if len(given) != 1:
        raise ValueError(f"an entry of `clean` has exactly one kind of rule, this one has {given or 'none'}")
    if getattr(entry, given[0]) is None:
        object.__setattr__(entry, given[0], item(given[0]).config())  # `- language:` means all defaults
    return entry


def config_type() -> Any:
    """`list` of single-key mappings whose keys are the registered items."""
    fields: dict[str, Any] = {key: (item(key).config | None, None) for key in item_keys()}
    entry = create_model("CleanEntry", __base__=Frozen, **fields)
    return list[Annotated[entry, AfterValidator(_one_kind)]]  # type: ignore[valid-type]


def item_keys() -> list[str]:
    """Keys that may stand in the `clean` list."""
    return sorted(name.removeprefix("clean.") for name in registry.door("curate.steps") if name.startswith("clean."))


@cache
def item(key: str) -> CleanItem:
    """The item registered under a key."""
    found: CleanItem = registry.load("curate.steps", f"clean.{key}")
    return found


def plan(entries: list[Any], builder: PlanBuilder) -> None:
    """A measure layer (where something is measured) and a decide layer per shard."""
    items = [
        (key, item(key).located(getattr(entry, key), builder.base))
        for entry in entries
        for key in entry.model_fields_set
    ]
    known = {shard.source for shard in builder.shards}
    for key, config in items:
        for name in config.sources or []:
            if name not in known:
                raise UsageError(
                    f"clean: {key}: sources: there is no source {name!r}", registry.suggest(name, sorted(known))
                )

    def applied(shard: Shard) -> list[tuple[str, Any]]:
        return [(key, config) for key, config in items if not config.sources or shard.source in config.sources]

    def measured(shard: Shard) -> Json | None:
        wanted: list[Json] = []
        for key, config in applied(shard):
            part = item(key).measured(config)
            if part is not None and [key, part] not in wanted:
                wanted.append([key, part])
        fields = [field for key, part in wanted for field in item(key).columns(part)]
        if len({field.name for field in fields}) != len(fields):
            raise UsageError(f"clean: two entries measure the same column differently for {shard.source}")
        builder.add_columns(fields)
        return {"items": wanted} if wanted else None

    def decided(shard: Shard) -> Json | None:
        rules = [[key, item(key).decided(config)] for key, config in applied(shard)]
        return {"items": rules} if rules else None

    builder.add_layer(MEASURE, measured)
    builder.add_layer(DECIDE, decided, layers=True)
    builder.facts["thresholds"] = [
        {**one, "sources": config.sources}
        for key, config in items
        for one in item(key).thresholds(item(key).decided(config))
    ]


def run_measure(context: TaskContext) -> None:
    """One pass over the text: every item's columns."""
    items = [(item(key), part) for key, part in context.config["items"]]
    schema = pa.schema([field for one, part in items for field in one.columns(part)])
    writer = context.writer(LAYER, schema, align=True)
    for batch in context.batches([TEXT]):
        columns: Columns = {}
        for one, part in items:
            if one.measure is not None:
                columns |= one.measure(batch[TEXT], part)
        writer.write(pa.RecordBatch.from_arrays([columns[f.name].cast(f.type) for f in schema], schema=schema))


def run_decide(context: TaskContext) -> None:
    """The first item that removes a document, from measured columns only."""
    items = [(item(key), part) for key, part in context.config["items"]]
    wanted = {REMOVED_BY, *(name for one, _ in items for name in one.reads)}
    measured = [f.name for layer in context.task.inputs["layers"] for f in context.layer_schema(layer)]
    writer = context.writer(LAYER, VERDICT_SCHEMA, align=True)
    for batch in context.batches(sorted(wanted | set(measured))):
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        verdict: Columns = {name: pa.nulls(batch.num_rows, pa.string()) for name in (REMOVED_BY, REMOVED_DETAIL)}
        for one, part in items:
            removed_by, detail = one.decide(columns, part)
            merge(verdict, {REMOVED_BY: removed_by, REMOVED_DETAIL: detail})
        writer.write(pa.RecordBatch.from_arrays([verdict[f.name] for f in VERDICT_SCHEMA], schema=VERDICT_SCHEMA))


def _measure_versions(config: Json) -> dict[str, str]:
    versions: dict[str, str] = {}
    for key, part in config["items"]:
        versions |= {f"clean.{key}": str(item(key).version), **item(key).versions(part)}
    return versions


def _decide_versions(config: Json) -> dict[str, str]:
    return {f"clean.{key}": str(item(key).version) for key, _ in config["items"]}


VERDICT_SCHEMA = pa.schema([(REMOVED_BY, pa.string()), (REMOVED_DETAIL, pa.string())])
MEASURE = Step("measure", 1, run_measure, _measure_versions)
DECIDE = Step("decide", 1, run_decide, _decide_versions, reads_text=False)

SECTION = Section("clean", "_identity", plan, (MEASURE, DECIDE), config_type, "row-wise rules, applied in this order")
