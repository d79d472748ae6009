"""The `clean:` section: edit, measure every document once, then decide from the measurements.

Per pass (see `passes`) and shard up to three layers: `edit` rewrites texts and logs every change,
`measure` is one walk over the text for all that the pass's rules look at, `decide` reads only
those columns, so a changed threshold never touches a text.  The first item that removes a
document is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, create_model

from curation.pipeline import registry
from curation.pipeline.config import Frozen
from curation.pipeline.context import LAYER, TaskContext, merge
from curation.pipeline.errors import UsageError
from curation.pipeline.schema import EDITS, REMOVED_BY, REMOVED_DETAIL, TEXT
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.pipeline.task import Json, Shard
from curation.rules.item import Columns, item, item_keys
from curation.rules.passes import Names, Part, expanded, passes
from curation.text import edits


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


def plan(entries: list[Any], builder: PlanBuilder) -> None:
    """For each pass the layers that its items need, per shard."""
    listed = [
        Part(key, item(key).located(getattr(entry, key), builder.base))
        for entry in entries
        for key in entry.model_fields_set
    ]
    sources = list(dict.fromkeys(shard.source for shard in builder.shards))
    parts = expanded(listed)
    _check_sources(parts, sources)
    _check_order(parts, sources)
    _check_not_after(parts, sources)
    names = {source: Names() for source in sources}
    learnt: dict[str, list[str]] = {shard.name: [] for shard in builder.shards}  # edit and measure layers so far
    builder.facts["thresholds"] = []
    for number, some in enumerate(passes(parts), start=1):
        _plan_pass(some, number, names, learnt, builder)
        builder.facts["thresholds"] += _thresholds(some, names)


def _plan_pass(
    parts: list[Part], number: int, names: dict[str, Names], learnt: dict[str, list[str]], builder: PlanBuilder
) -> None:
    edited, measured = ({s: wanted(parts, s) for s in names} for wanted in (_edited, _measured))
    renamed: dict[str, dict[str, str]] = {}
    for source, known in names.items():
        fields = [field for key, part in edited[source] + measured[source] for field in item(key).columns(part)]
        new = known.of_pass(fields, number, source)
        builder.add_columns(new)
        renamed[source] = {field.name: actual.name for field, actual in zip(fields, new, strict=True)}

    def configured(wanted: dict[str, list[Json]], shard: Shard) -> Json | None:
        items = wanted[shard.source]
        return {"items": items, "names": renamed[shard.source]} if items else None

    def decided(shard: Shard) -> Json | None:
        rules = [
            [one.key, one.item.decided(one.config)] for one in parts if one.item.decide and one.applies(shard.source)
        ]
        return {"items": rules, "names": dict(names[shard.source].actual)} if rules else None

    def label(step: Step) -> str:
        return step.name if number == 1 else f"{step.name}-{number}"

    layers = builder.add_layer(EDIT, lambda shard: configured(edited, shard), label=label(EDIT), edits=True)
    for shard, task in layers.items():
        learnt[shard].append(task)
    layers = builder.add_layer(MEASURE, lambda shard: configured(measured, shard), label=label(MEASURE))
    for shard, task in layers.items():
        learnt[shard].append(task)
    builder.add_layer(DECIDE, decided, label=label(DECIDE), also=learnt)


def _edited(parts: Iterable[Part], source: str) -> list[Json]:
    return [[one.key, one.edited] for one in parts if one.edited is not None and one.applies(source)]


def _measured(parts: Iterable[Part], source: str) -> list[Json]:
    """Each measurement once, whoever wants it."""
    wanted: list[Json] = []
    for one in parts:
        for part in one.item.measured(one.config) if one.applies(source) else []:
            if [one.key, part] not in wanted:
                wanted.append([one.key, part])
    return wanted


def _thresholds(parts: list[Part], names: dict[str, Names]) -> list[Json]:
    """The pass's thresholds for the report, with the columns that hold their statistics."""
    rows: list[Json] = []
    for one in parts:
        for row in one.item.thresholds(one.item.decided(one.config)):
            column = row["column"]
            by_name: dict[str, list[str]] = {}
            for source, known in names.items():
                if one.applies(source):
                    by_name.setdefault(known.actual[column], []).append(source)
            for actual, sources in by_name.items():
                rows.append({**row, "column": actual, "sources": one.config.sources if len(by_name) == 1 else sources})
    return rows


def _check_sources(parts: list[Part], known: list[str]) -> None:
    for one in parts:
        for name in one.config.sources or []:
            if name not in known:
                raise UsageError(
                    f"clean: {one.key}: sources: there is no source {name!r}", registry.suggest(name, sorted(known))
                )


def _check_order(parts: list[Part], sources: list[str]) -> None:
    for i, one in enumerate(parts):
        for needed in one.item.needs(one.config):
            missing = [
                s for s in sources if one.applies(s) and not any(p.key == needed and p.applies(s) for p in parts[:i])
            ]
            if missing:
                raise UsageError(
                    f"clean: {one.key}: needs a `{needed}:` entry before it for the source {missing[0]!r}",
                    f"add  - {needed}:  above it in the `clean` list",
                )


def _check_not_after(parts: list[Part], sources: list[str]) -> None:
    for i, one in enumerate(parts):
        for source in sources:
            earlier = [p.key for p in parts[:i] if p.applies(source) and p.key in one.item.not_after]
            if earlier and one.applies(source):
                raise UsageError(
                    f"clean: {one.key}: stands after `{earlier[0]}` for the source {source}, whose edits it would undo",
                    f"move  - {one.key}:  above it",
                )


def run_edit(context: TaskContext) -> None:
    """One editor after the other; null where the text stays as it is, else the new text and all edits so far."""
    items = [(item(key), part) for key, part in context.config["items"]]
    names = context.config["names"]
    fields = [field.with_name(names[field.name]) for one, part in items for field in one.columns(part)]
    schema = pa.schema([pa.field(TEXT, pa.large_string()), pa.field(EDITS, edits.EDITS), *fields])
    writer = context.writer(LAYER, schema, align=True)
    reads = sorted({name for one, _ in items for name in one.reads})
    for batch in context.batches([TEXT, EDITS, *reads]):
        read = {name: batch[name] for name in reads}
        text, logs = batch[TEXT], []
        columns: Columns = {}
        for one, part in items:
            if one.edit is not None:
                outcome = one.edit(text, read, part)
                text = outcome.text
                logs.append(outcome.edits)
                columns |= {names[name]: column for name, column in outcome.columns.items()}
        changed = np.zeros(len(text), np.bool_)
        for log in logs:
            changed |= np.asarray(pc.fill_null(pc.list_value_length(log), 0)) > 0
        earlier = [batch[EDITS]] if EDITS in batch.schema.names else []
        same = pa.array(~changed)
        columns[TEXT] = pc.if_else(same, pa.scalar(None, pa.large_string()), text)
        columns[EDITS] = edits.joined([*earlier, *logs], same)
        writer.write(pa.RecordBatch.from_arrays([columns[f.name].cast(f.type) for f in schema], schema=schema))


def run_measure(context: TaskContext) -> None:
    """One pass over the text: every item's columns."""
    items = [(item(key), part) for key, part in context.config["items"]]
    names = context.config["names"]
    schema = pa.schema([field.with_name(names[field.name]) for one, part in items for field in one.columns(part)])
    writer = context.writer(LAYER, schema, align=True)
    for batch in context.batches([TEXT]):
        columns: Columns = {}
        for one, part in items:
            if one.measure is not None:
                columns |= {names[name]: column for name, column in one.measure(batch[TEXT], part).items()}
        writer.write(pa.RecordBatch.from_arrays([columns[f.name].cast(f.type) for f in schema], schema=schema))


def run_decide(context: TaskContext) -> None:
    """The first item that removes a document, from measured columns only."""
    items = [(item(key), part) for key, part in context.config["items"]]
    names = context.config["names"]
    reads = {name for one, _ in items for name in one.reads}
    writer = context.writer(LAYER, VERDICT_SCHEMA, align=True)
    for batch in context.batches(sorted({REMOVED_BY, *reads, *names.values()})):
        known = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns = {name: known[name] for name in reads} | {
            name: known[actual] for name, actual in names.items() if actual in known
        }
        verdict: Columns = {name: pa.nulls(batch.num_rows, pa.string()) for name in (REMOVED_BY, REMOVED_DETAIL)}
        for one, part in items:
            if one.decide is not None:
                removed_by, detail = one.decide(columns, part)
                merge(verdict, {REMOVED_BY: removed_by, REMOVED_DETAIL: detail})
        writer.write(pa.RecordBatch.from_arrays([verdict[f.name] for f in VERDICT_SCHEMA], schema=VERDICT_SCHEMA))


def _text_versions(config: Json) -> dict[str, str]:
    versions: dict[str, str] = {}
    for key, part in config["items"]:
        versions |= {f"clean.{key}": str(item(key).version), **item(key).versions(part)}
    return versions


def _decide_versions(config: Json) -> dict[str, str]:
    return {f"clean.{key}": str(item(key).version) for key, _ in config["items"]}


VERDICT_SCHEMA = pa.schema([(REMOVED_BY, pa.string()), (REMOVED_DETAIL, pa.string())])
EDIT = Step("edit", 1, run_edit, _text_versions)
MEASURE = Step("measure", 1, run_measure, _text_versions)
DECIDE = Step("decide", 1, run_decide, _decide_versions, reads_text=False)

SECTION = Section(
    "clean", "_identity", plan, (EDIT, MEASURE, DECIDE), config_type, "row-wise rules, applied in this order"
)
