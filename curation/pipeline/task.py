"""What a plan is made of: tasks and shards, pure data.

A task names its step, its resolved config, the input files it reads and the tasks
it depends on.  A *layer* is the output of a row-wise step, row-aligned with the
read shard; a *slice* is the part of a global step's output that concerns one
shard: a task that reads a slice depends on that slice's content only, so a new
input file does not rerun shards whose verdicts did not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Input:
    """One task whose output is read; with `slice`, only that slice of a global step's output."""

    task: str
    slice: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A unit of work, file to file.  `files` and `config` are JSON values."""

    name: str
    step: str
    version: int
    config: Json
    versions: Mapping[str, str]
    inputs: Mapping[str, tuple[Input, ...]] = field(default_factory=dict)
    files: tuple[Json, ...] = ()
    input_bytes: int = 0

    def dependencies(self) -> list[str]:
        """Names of the tasks that must be finished first."""
        return [one.task for role in self.inputs.values() for one in role]


@dataclass(frozen=True, slots=True)
class Shard:
    """One read task's documents and everything that was learnt about them since."""

    name: str
    source: str
    read: str
    parts: tuple[Input, ...] = ()  # layers, and this shard's slices of global steps, in the order of the plan
    texts: tuple[str, ...] = ()  # the layers that rewrote texts
    describing: tuple[str, ...] = ()  # tasks whose parts only describe: they remove no document and edit no text
    final: str | None = None  # the task that wrote the shard's kept and removed documents

    def deciding(self) -> list[str]:
        """Tasks of the parts that decide which documents there are and what their texts say."""
        return [part.task for part in self.parts if part.task not in self.describing]

    def inputs(self, only: Sequence[str] | None = None) -> dict[str, tuple[Input, ...]]:
        """Task inputs that give a step the shard: its text as read, and the parts of these tasks (None: all)."""
        wanted = tuple(part for part in self.parts if only is None or part.task in only)
        return {"read": (Input(self.read),), "parts": wanted}
