"""How plans are made and executed: steps, sections of the YAML, and the builder they add tasks to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from curation.pipeline.context import TaskContext
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint
from curation.pipeline.task import Input, Json, Shard, Task

_NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Step:
    """How one kind of task is executed.

    `versions(config)` names the software and data files that can change the output;
    `reads_text` is False for steps that only look at measured columns, which is what
    `curate whatif` may execute on the spot.
    """

    name: str
    version: int
    run: Callable[[TaskContext], None]
    versions: Callable[[Json], Mapping[str, str]] = lambda config: {}
    reads_text: bool = True
    views: tuple[str, ...] = ()  # outputs that the run's folder shows, e.g. documents, removed


@dataclass
class PlanBuilder:
    """What a section's planner adds its tasks to."""

    base: Path
    seed: int
    verify_inputs: str
    tasks: dict[str, Task] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    facts: dict[str, Json] = field(default_factory=dict)  # what the report needs to know, e.g. thresholds
    columns: dict[str, pa.DataType] = field(default_factory=dict)  # what layers and overlays add, over all shards
    _versions: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def add(self, step: Step, name: str, config: Json, **rest: Any) -> str:
        """Add one task; returns its name."""
        if name in self.tasks:
            raise UsageError(f"two tasks are called {name!r}", "rename one of the sources")
        key = (step.name, fingerprint(config))
        if key not in self._versions:  # looking up versions costs more than planning
            self._versions[key] = dict(step.versions(config))
        self.tasks[name] = Task(name, step.name, step.version, config, self._versions[key], **rest)
        return name

    def add_columns(self, fields: Iterable[pa.Field]) -> None:
        """Declare columns that some shards will have, so that every shard's documents get one schema."""
        for one in fields:
            if self.columns.setdefault(one.name, one.type) != one.type:
                raise UsageError(f"two steps write the column {one.name!r} with different types")

    def add_layer(
        self,
        step: Step,
        config_of: Callable[[Shard], Json | None],
        *,
        label: str | None = None,
        also: Mapping[str, Sequence[str]] = _NOTHING,
        overlays: Sequence[str] = (),
        beside: Sequence[str] = (),
        edits: bool = False,
        describes: bool = False,
    ) -> dict[str, str]:
        """Add a row-wise step: one task and one layer per shard (none where the config is None).

        It depends on the shard's text as edited so far, on the layers in `also` (by shard name), on its
        slices of the global tasks in `overlays` and on the tasks `beside` the shards (role `also` of its
        inputs); on nothing else, so that what it computed stays valid whatever happens to other columns.
        `edits`: the layer rewrites texts.  `describes`: it only adds columns (`Shard.deciding`).
        Returns the new tasks by shard name.
        """
        added: dict[str, str] = {}
        for i, shard in enumerate(self.shards):
            config = config_of(shard)
            if config is not None:
                inputs = shard.inputs((*shard.texts, *also.get(shard.name, ()), *overlays))
                if beside:
                    inputs["also"] = tuple(Input(one) for one in beside)
                task = self.add(step, f"{label or step.name}/{shard.name}", config, inputs=inputs)
                texts = (*shard.texts, task) if edits else shard.texts
                told = (*shard.describing, task) if describes else shard.describing
                self.shards[i] = replace(shard, parts=(*shard.parts, Input(task)), texts=texts, describing=told)
                added[shard.name] = task
        return added

    def add_reader(
        self, step: Step, name: str, config: Json, *, also: Sequence[str] = (), files: Sequence[Json] = ()
    ) -> str:
        """Add a task that reads every shard's columns (`TaskContext.all_shards`) and the outputs of `also`.

        It changes no shard; its outputs are for the tasks that name it.
        """
        parts = dict.fromkeys(Input(part.task) for shard in self.shards for part in shard.parts)
        inputs = {"read": tuple(Input(shard.read) for shard in self.shards), "parts": tuple(parts)}
        if also:
            inputs["also"] = tuple(Input(task) for task in also)
        shards = [
            [s.name, s.source, s.read, [[part.task, part.slice is not None] for part in s.parts]] for s in self.shards
        ]
        return self.add(step, name, {**config, "shards": shards}, inputs=inputs, files=tuple(files))

    def add_global(
        self, step: Step, config: Json, *, also: Sequence[str] = (), files: Sequence[Json] = (), describes: bool = False
    ) -> str:
        """Add a barrier: one task that reads every shard's columns and writes slices per shard.

        `describes`: they only add columns (`Shard.deciding`).
        """
        task = self.add_reader(step, step.name, config, also=also, files=files)
        told = (task,) if describes else ()
        self.shards = [
            replace(s, parts=(*s.parts, Input(task, s.name)), describing=(*s.describing, *told)) for s in self.shards
        ]
        return task


@dataclass(frozen=True, slots=True)
class Section:
    """A top-level key of the YAML: its config type, its planner and the steps it brings.

    Sections run in the order given by `after` (CONTRACTS: sources → clean → dedup → …).
    A section with `key` starting with `_` is always planned.
    """

    key: str
    after: str | None
    plan: Callable[[Any, PlanBuilder], None]
    steps: tuple[Step, ...]
    config: Callable[[], Any] | None = None  # gives the pydantic-compatible type; None: takes no config
    description: str = ""
