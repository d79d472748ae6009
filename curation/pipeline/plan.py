"""A plan: every task of a run as pure JSON, and which of them are finished.

Fingerprint = hash(step, version, config, software versions, input files, inputs),
where an input counts by its own fingerprint, or, for a slice of a global step, by
the digest of that slice.  The output of a task lives in `<workdir>/<step>/<fingerprint>/`;
its manifest, not any marker, says that it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline import registry
from curation.pipeline.config import RunConfig, sections
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint
from curation.pipeline.manifest import Manifest
from curation.pipeline.shards import write_atomic
from curation.pipeline.step import PlanBuilder, Step
from curation.pipeline.task import Input, Json, Shard, Task

PLAN_FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """Tasks in an order in which each comes after its dependencies."""

    run: str
    workdir: Path
    config: dict[str, Json]
    base: Path
    tasks: tuple[Task, ...]
    shards: tuple[Shard, ...]
    facts: dict[str, Json]
    strict: bool = False
    until: str | None = None

    @cached_property
    def by_name(self) -> dict[str, Task]:
        """Tasks by name."""
        return {task.name: task for task in self.tasks}

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the whole plan: what it would compute, not where or how."""
        return fingerprint([_task_identity(task, [asdict(i) for i in _inputs(task)]) for task in self.tasks])

    @property
    def directory(self) -> Path:
        """The run's own folder."""
        return self.workdir / self.run

    def to_json(self) -> bytes:
        """The plan as a file for other machines; nothing pickled, no code."""
        value = {
            "format": PLAN_FORMAT,
            "run": self.run,
            "fingerprint": self.fingerprint,
            "config": self.config,
            "base": str(self.base),
            "strict": self.strict,
            "until": self.until,
            "tasks": [asdict(task) for task in self.tasks],
            "shards": [asdict(shard) for shard in self.shards],
            "facts": self.facts,
        }
        return orjson.dumps(value, option=orjson.OPT_INDENT_2)

    def write(self, name: str = "plan.json") -> Path:
        """Write the plan into the run's folder."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / name
        write_atomic(path, self.to_json())
        return path

    @staticmethod
    def read(path: Path) -> Plan:
        """Read a plan file; its folder's parent is the workdir."""
        try:
            raw = orjson.loads(path.read_bytes())
            if raw["format"] != PLAN_FORMAT:
                raise UsageError(f"{path} has plan format {raw['format']}, this curate reads {PLAN_FORMAT}")
            tasks = tuple(
                Task(
                    **{
                        **task,
                        "inputs": {role: tuple(Input(**i) for i in some) for role, some in task["inputs"].items()},
                        "files": tuple(task["files"]),
                    }
                )
                for task in raw["tasks"]
            )
            shards = tuple(
                Shard(
                    **{
                        **shard,
                        "parts": tuple(Input(**part) for part in shard["parts"]),
                        "texts": tuple(shard["texts"]),
                        "describing": tuple(shard["describing"]),
                    }
                )
                for shard in raw["shards"]
            )
            base = Path(raw["base"])
            run, config, facts = raw["run"], raw["config"], raw["facts"]
            strict, until = raw["strict"], raw["until"]
        except FileNotFoundError:
            raise UsageError(f"no plan at {path}", "make one with `curate plan CONFIG --write`") from None
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is not a plan file: {error}") from None
        return Plan(run, path.absolute().parent.parent, config, base, tasks, shards, facts, strict, until)


def build(config: RunConfig, *, until: str | None = None, strict: bool = False) -> Plan:
    """Plan a run: each present section adds its tasks, in section order, up to and including `until`."""
    valid = [key for key, s in sections().items() if s.config is not None]
    if until is not None and until not in config.sections:
        raise UsageError(f"--until {until}: no such section in {config.path.name}", registry.suggest(until, valid))
    if "sources" not in config.sections:
        raise UsageError(
            f"{config.path}: there are no sources",
            "add for example  sources: {web: {read: warc, paths: [crawl/*.warc.gz]}}",
        )
    builder = PlanBuilder(config.base, config.core.seed, config.core.verify_inputs)
    reached_end = False
    for key, section in sections().items():
        if section.config is None:
            section.plan(None, builder)
        elif key in config.sections and not reached_end:
            section.plan(config.sections[key], builder)
            reached_end = key == until
    return Plan(
        config.core.run,
        Path(config.core.workdir).absolute(),
        config.raw,
        config.base,
        tuple(builder.tasks.values()),
        tuple(builder.shards),
        builder.facts,
        strict,
        until,
    )


@dataclass(frozen=True, slots=True)
class Work:
    """One task with its place and its inputs' files: a worker needs no plan, whatever the plan's size."""

    task: Task
    directory: Path
    fingerprint: str
    inputs: dict[str, dict[str, Path]]
    strict: bool


class State:
    """What is finished of a plan; asks the disk again for whatever was not finished before."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._fingerprints: dict[str, str] = {}
        self._manifests: dict[str, Manifest] = {}

    def fingerprint(self, name: str) -> str | None:
        """The task's fingerprint; None while a slice that it depends on is not computed yet."""
        if name not in self._fingerprints:
            task = self.plan.by_name[name]
            parts: list[Json] = []
            for one in _inputs(task):
                if one.slice is None:
                    part = self.fingerprint(one.task)
                else:
                    manifest = self.manifest(one.task)
                    part = None if manifest is None else manifest.slices.get(one.slice, "empty")
                if part is None:
                    return None
                parts.append(part)
            self._fingerprints[name] = fingerprint(_task_identity(task, parts))
        return self._fingerprints[name]

    def directory(self, name: str) -> Path | None:
        """Where the task's output lives (or will live)."""
        mark = self.fingerprint(name)
        return None if mark is None else self.plan.workdir / self.plan.by_name[name].step / mark

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of a finished task, else None."""
        if name not in self._manifests:
            directory = self.directory(name)
            found = None if directory is None else Manifest.read(directory)
            if found is None:
                return None
            self._manifests[name] = found
        return self._manifests[name]

    def finished(self, name: str) -> bool:
        """True when the task's manifest is there."""
        return self.manifest(name) is not None

    def ready(self, name: str) -> bool:
        """True when everything the task reads is finished."""
        return all(self.finished(one) for one in self.plan.by_name[name].dependencies())

    def work(self, name: str) -> Work:
        """Everything that executing the task needs; raises UsageError while its inputs are not finished."""
        task = self.plan.by_name[name]
        directory, mark = self.directory(name), self.fingerprint(name)
        if directory is None or mark is None or not self.ready(name):
            waiting = [one for one in task.dependencies() if not self.finished(one)]
            raise UsageError(f"{name} waits for {', '.join(waiting[:3])}", "run those tasks first")
        inputs = {}
        for one in dict.fromkeys(task.dependencies()):
            manifest, source = self.manifest(one), self.directory(one)
            if manifest is not None and source is not None:
                inputs[one] = {key: source / output.file for key, output in manifest.outputs.items()}
        return Work(task, directory, mark, inputs, self.plan.strict)

    def output(self, name: str, file: str) -> Path:
        """Path of one output file of a finished task."""
        directory, manifest = self.directory(name), self.manifest(name)
        if directory is None or manifest is None:
            raise UsageError(f"{name} is not finished", "run `curate run` first")
        return directory / manifest.outputs[file].file


def step_of(task: Task) -> Step:
    """The step that executes a task, found among the registered sections."""
    steps = {step.name: step for section in sections().values() for step in section.steps}
    if task.step not in steps:
        raise UsageError(f"no installed package knows the step {task.step!r}", registry.suggest(task.step, list(steps)))
    return steps[task.step]


def _inputs(task: Task) -> Iterator[Input]:
    for role in sorted(task.inputs):
        yield from task.inputs[role]


def _task_identity(task: Task, inputs: list[Any]) -> Json:
    """Files count by name, size and version: moving a folder does not change what is in it."""
    files = [{key: value for key, value in file.items() if key != "path"} for file in task.files]
    return [task.step, task.version, task.config, dict(task.versions), files, inputs]
