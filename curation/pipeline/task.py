"""What a plan is made of: tasks and shards, pure data.

A task names its step, its resolved config, the input files it reads and the tasks
it depends on.  A *layer* is the output of a row-wise step, row-aligned with the
read shard; an *overlay* is the part of a global step's output that concerns one
shard: a task that reads an overlay depends on that slice's content only, so a new
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
    layers: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()  # those of the layers that rewrote texts
    final: str | None = None  # the task that wrote the shard's kept and removed documents

    def inputs(self, layers: Sequence[str] | None = None, *, overlays: bool = True) -> dict[str, tuple[Input, ...]]:
        """Task inputs that give a step the shard: its text, these layers (None: all), and the overlays."""
        wanted = self.layers if layers is None else [name for name in self.layers if name in layers]
        return {
            "read": (Input(self.read),),
            "layers": tuple(Input(name) for name in wanted),
            "overlays": tuple(Input(name, self.name) for name in self.overlays) if overlays else (),
        }
