"""The `mix:` section: how often each kept document stands in training, and where, in `mix/`.

One task over all documents (a barrier): cells, plan, sample, table.  What is before it does not know of it, so two
configs that differ in their mix share everything else.  `pack:` packs the run's own mix.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curation.pipeline.context import TaskContext
from curation.pipeline.errors import UsageError
from curation.pipeline.shards import temporary_name
from curation.pipeline.step import PlanBuilder, Section, Step
from curation.pipeline.task import Input

MIX = "mix"  # packing takes a task and an output of this name
STAGES = "stages"  # fact of the plan: packing packs these
TOKEN_COUNT = "token_count"


def mix(context: TaskContext) -> None:
    """`mix/`: the parts of the table, plan.json and `ablation/`."""
    from mixing.config import MixConfig
    from mixing.sample.make import make_mix

    config = MixConfig.model_validate(context.config["mix"])
    files = [context.path(one, "documents") for one in context.task.inputs["documents"]]
    scratch = temporary_name(context.directory / "cells")  # swept like any temporary file when its process is gone
    scratch.mkdir()
    try:
        made = make_mix(files, config, context.folder(MIX), seed=context.config["seed"], scratch=scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for name in ("documents", "occurrences", "tokens"):
        context.counts[name] += made.record[name]
    context.warnings += [f"mix: {line}" for line in made.warnings]


def plan(config: Any, builder: PlanBuilder) -> None:
    """One task over every shard's documents."""
    if TOKEN_COUNT not in builder.columns:
        raise UsageError(
            "mix: the documents have no token counts",
            "add the section  tokenizer: {path: tokenizer.json}  or  {train: {}}",
        )
    if config.stages is not None:
        from mixing.schedule.config import stages_of
        from mixing.schedule.stages import to_json

        builder.facts[STAGES] = to_json(stages_of(config.stages))
    documents = tuple(Input(shard.final) for shard in builder.shards if shard.final)
    if documents:
        builder.add(
            MAKE, MIX, {"mix": config.model_dump(mode="json"), "seed": builder.seed}, inputs={"documents": documents}
        )


def views(run: Path) -> dict[str, list[Path]]:
    """`mix` for `curate sql`."""
    found = sorted((run / MIX).glob("mix-*.parquet"))
    return {MIX: found} if found else {}


def _config() -> Any:
    from mixing.config import MixConfig

    return MixConfig


def _versions(config: Any) -> Mapping[str, str]:
    import pyarrow

    return {"pyarrow": pyarrow.__version__}  # the folder is identified by its bytes


MAKE = Step("mix", 2, mix, _versions, reads_text=False, views=(MIX,))
SECTION = Section("mix", "_documents", plan, (MAKE,), _config, "balanced sampling: copies of each document")
