"""`curate pack --plan`: what packing a corpus would give, from its token counts alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.config import PackConfig
from packing.order.feasibility import Need
from packing.order.stages import CLASSES, Cell, Feasibility, length_class, plan_stages
from packing.plan.buckets import decompose
from packing.plan.report import PlanReport, report
from packing.write.occurrences import queue_of

COUNT, IDS = "token_count", "tokens"


def plan_corpus(corpus: Sequence[Path], config: PackConfig) -> dict[str, PlanReport]:
    """The plan of each queue, in order of names.  Raises UsageError: no documents, or none with token counts."""
    from packing.write.corpus import parquet_files

    plans = {}
    queues = queue_lengths(parquet_files(corpus), config)
    for number, rules in enumerate(config.sets(0)):
        room = rules.sequence_length - (rules.bos == "fragment")
        for name, chunks in sorted(queues.items()):
            lengths = np.concatenate(chunks)
            plans[name if number == 0 else f"{name}, rows of {rules.sequence_length}"] = report(
                lengths, room, rules.method, rules.long, rules.min_fragment, rules.window, budget=config.tokens,
                smallest_bucket=rules.smallest_bucket,
            )  # fmt: skip
    return plans


def plan_schedule(corpus: Sequence[Path], config: PackConfig) -> Feasibility:
    """What the stages ask of every queue, and of every class of lengths where a stage names shares of them.

    Tokens are those of the documents: what a method leaves out is still among them.  Raises UsageError as the
    schedule would for names and classes; not for too few tokens, which `epochs` say.
    """
    from packing.write.corpus import parquet_files

    sets = config.sets(0)
    divided = any(len(rules.length_classes) > 1 for rules in sets)
    cells = []
    for name, chunks in sorted(queue_lengths(parquet_files(corpus), config).items()):
        lengths = np.concatenate(chunks)
        if not divided:
            cells.append(Cell(name, "", int(lengths.sum())))
        elif config.method == "buckets":
            cut, _ = decompose(lengths, max(rules.sequence_length for rules in sets), config.smallest_bucket)
            tokens = {int(one): int(cut.length[cut.length == one].sum()) for one in np.unique(cut.length)}
            cells += [Cell(name, str(length), count) for length, count in tokens.items()]
        else:
            kinds = length_class(lengths, config.length_bounds)
            cells += [Cell(name, one, int(lengths[kinds == i].sum())) for i, one in enumerate(CLASSES)]
    return plan_stages([stage for rules in sets for stage in rules.stages], cells)


def queue_lengths(files: Sequence[Path], config: PackConfig) -> dict[str, list[NDArray[np.int64]]]:
    """Tokens of each document, ends and begins included, by queue; 8 bytes a document."""
    found: dict[str, list[NDArray[np.int64]]] = {}
    for path in files:
        for sources, counts in _counts(path):
            lengths = counts + 1 + (config.bos == "doc")
            for source in pc.unique(sources).to_pylist():
                here = pc.equal(sources, source).to_numpy(zero_copy_only=False) & (counts > 0)  # empty ones are dropped
                found.setdefault(queue_of(source, config.queues), []).append(lengths[here])
    if not found:
        raise UsageError(f"{files[0].parent}: no documents")
    return found


def _counts(path: Path) -> Iterator[tuple[pa.Array, NDArray[np.int64]]]:
    """(source, ids) of the documents, row group by row group; a null count is no ids."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        column = COUNT if COUNT in names else IDS
        if column not in names:
            raise UsageError(
                f"{path}: no column {COUNT}: nothing to plan with",
                "give documents of a run with a `tokenizer:` section, or ids of `curate tokenizer encode`",
            )
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=[one for one in ("source", column) if one in names])
            table = table.combine_chunks()
            counts = table[column] if column == COUNT else pc.list_value_length(table[column])
            empty = pa.array([""] * len(table)) if "source" not in names else pc.fill_null(table["source"], "")
            source = empty.combine_chunks() if isinstance(empty, pa.ChunkedArray) else empty
            yield source.cast(pa.string()), pc.fill_null(counts, 0).to_numpy().astype(np.int64)


def as_json(plans: Mapping[str, PlanReport]) -> dict[str, Any]:
    """For `--json`."""
    return {
        name: {**asdict(plan), "padding_share": plan.padding_share, "token_loss": plan.token_loss}
        for name, plan in plans.items()
    }


def schedule_as_json(schedule: Feasibility) -> dict[str, Any]:
    """For `--json`: needs by stage and queue, and over all stages."""
    stages = {plan.stage.name: {one.queue: _need(one) for one in plan.needs} for plan in schedule.stages}
    total = {one.queue: _need(one) for one in (*schedule.total, *schedule.by_class)}
    return {"by_stage": stages, "total": total}


def _need(need: Need) -> dict[str, Any]:
    epochs = need.epochs if np.isfinite(need.epochs) else None
    return {"wanted": round(need.wanted), "there": need.available, "epochs": epochs}
