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
from packing.plan.report import PlanReport, report

COUNT, IDS = "token_count", "tokens"


def plan_corpus(corpus: Sequence[Path], config: PackConfig) -> dict[str, PlanReport]:
    """The plan of each queue, in order of names.  Raises UsageError: no documents, or none with token counts."""
    from packing.write.corpus import parquet_files

    room = config.sequence_length - (config.bos == "fragment")
    plans = {}
    for name, chunks in sorted(queue_lengths(parquet_files(corpus), config).items()):
        lengths = np.concatenate(chunks)
        plans[name] = report(
            lengths, room, config.method, config.long, config.min_fragment, config.window, budget=config.tokens
        )
    return plans


def queue_lengths(files: Sequence[Path], config: PackConfig) -> dict[str, list[NDArray[np.int64]]]:
    """Tokens of each document, ends and begins included, by queue; 8 bytes a document."""
    found: dict[str, list[NDArray[np.int64]]] = {}
    for path in files:
        for sources, counts in _counts(path):
            lengths = counts + 1 + (config.bos == "doc")
            for source in pc.unique(sources).to_pylist():
                here = pc.equal(sources, source).to_numpy(zero_copy_only=False)
                found.setdefault(_queue_of(source, config.queues), []).append(lengths[here])
    if not found:
        raise UsageError(f"{files[0].parent}: no documents")
    return found


def _queue_of(source: str, queues: str | Mapping[str, list[str]]) -> str:
    if isinstance(queues, str):
        return source if queues == "source" else queues
    for name, members in queues.items():
        if source in members:
            return name
    raise UsageError(f"source {source!r} stands in no queue", f"add it to one: {', '.join(queues)}")


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
