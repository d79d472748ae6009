"""The user's YAML: read with line numbers, overridden, validated once, typed inside.

The model is put together from the registered sections, so a key such as `quality:`
is valid exactly when a package that knows it is installed.  Input paths are
relative to the config file (a config and its data travel together); `workdir` is
relative to the current directory (outputs appear where the command is run).
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, field_validator

from curation.pipeline import registry
from curation.pipeline.config_errors import Located, problems_of, read_yaml
from curation.pipeline.errors import ConfigError, ConfigProblem, UsageError
from curation.pipeline.step import Section

ENVIRONMENT_PREFIX = "CURATE__"
_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGBT]?)")
_SCALE = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def count_of(value: Any) -> Any:
    """20M → 20,000,000; anything else is left to the validation after."""
    if isinstance(value, str) and (found := _COUNT.fullmatch(value.strip())):
        return round(float(found[1]) * _SCALE[found[2]])
    return value


Count = Annotated[int, BeforeValidator(count_of, json_schema_input_type=int | str), Field(ge=1)]


class Frozen(BaseModel):
    """Base of every config model: strict types, unknown keys refused, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LocalExecutor(Frozen):
    """Tasks run in a pool of processes on this machine."""

    kind: Literal["local"] = "local"
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="processes; auto = cores, as memory allows"
    )
    retries: int = Field(1, ge=0, le=10, description="extra attempts of a task after an infrastructure error")


class DatatroveExecutor(Frozen):
    """The same tasks run through datatrove's local executor, one rank a task."""

    kind: Literal["datatrove"]
    workers: int = Field(1, ge=1)


class RayExecutor(Frozen):
    """The same tasks as plain tasks of a Ray cluster whose nodes all see `workdir` (extra `ray`)."""

    kind: Literal["ray"]
    address: str | None = Field(None, description="auto, host:6379 or ray://host:10001; default: started here")
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="tasks at once; auto = the cluster's cores"
    )
    memory_mb: int | None = Field(None, ge=1, description="memory that Ray sets aside for a task")
    retries: int = Field(3, ge=0, le=100, description="extra attempts of a task, e.g. when its node goes away")


class SlurmExecutor(Frozen):
    """The same tasks as Slurm job arrays on nodes that all see `workdir`."""

    kind: Literal["slurm"]
    partition: str | None = Field(None, min_length=1)
    time: str | None = Field(None, pattern=r"^[0-9][0-9:-]{0,15}$", description="limit of a job, e.g. 04:00:00")
    mem_gb: int = Field(4, ge=1, description="memory of a job")
    tasks_per_job: int = Field(1, ge=1, description="shards that one element of an array works on, one by one")
    max_array: int = Field(1001, ge=1, description="elements of one job array (Slurm's MaxArraySize)")
    max_running: int | None = Field(None, ge=1, description="elements of an array that run at once")
    options: dict[Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")], str | int | bool] = Field(
        {}, description="further long options of sbatch, e.g. {account: lab, constraint: avx2, exclusive: true}"
    )
    setup: list[str] = Field([], description="shell lines that a job starts with, e.g. module load python")
    python: str | None = Field(None, description="interpreter on the nodes; default: this one")
    poll_s: float = Field(15, gt=0, description="seconds between two looks at the queue")
    retries: int = Field(1, ge=0, le=100, description="extra attempts of a task")

    @field_validator("options")
    @classmethod
    def _not_ours(cls, options: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        ours = sorted({"array", "output", "error", "open-mode", "parsable", "wrap", "wait"} & set(options))
        if ours:
            raise ValueError(f"{', '.join(ours)}: curate sets this itself")
        return options


def _local_by_default(value: Any) -> Any:
    return {"kind": "local", **value} if isinstance(value, dict) else value


Executor = Annotated[
    Annotated[LocalExecutor | DatatroveExecutor | RayExecutor | SlurmExecutor, Field(discriminator="kind")],
    BeforeValidator(_local_by_default),
]


class Core(Frozen):
    """The keys that belong to no section."""

    run: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="name of the run and of its folder")
    workdir: str = Field("runs", description="where outputs go, relative to the current directory")
    seed: int = Field(17, ge=0, lt=2**63, description="the one seed; every use of it has a name")
    verify_inputs: Literal["mtime", "digest"] = Field(
        "mtime", description="what identifies an input file beside its name and size"
    )
    executor: Executor = LocalExecutor()


@dataclass(frozen=True)
class RunConfig:
    """A validated config: the core, the typed sections in order, and the plain values they came from."""

    path: Path
    core: Core
    sections: dict[str, Any]
    raw: dict[str, Any]

    @property
    def base(self) -> Path:
        """Directory that input paths are relative to."""
        return self.path.parent


@cache
def sections() -> dict[str, Section]:
    """Every registered section in run order (each after the one it names)."""
    found: list[Section] = [
        registry.load("curate.steps", name) for name in registry.door("curate.steps") if "." not in name
    ]
    ordered: dict[str, Section] = {}
    while found:
        ready = sorted((s for s in found if s.after is None or s.after in ordered), key=lambda s: s.key)
        if not ready:
            names = ", ".join(f"{s.key} (after {s.after})" for s in found)
            raise UsageError(f"sections wait for sections that are not installed: {names}")
        for section in ready:
            ordered[section.key] = section
            found.remove(section)
    return ordered


@cache
def model() -> type[BaseModel]:
    """The pydantic model of a whole config file."""
    fields: dict[str, Any] = {
        s.key: (s.config() | None, Field(None, description=s.description))
        for s in sections().values()
        if s.config is not None
    }
    return create_model("CurateConfig", __base__=Core, **fields)


def valid_keys() -> list[str]:
    """Top-level keys of a config."""
    return list(model().model_fields)


def load(path: Path, overrides: list[str] | None = None, environ: Mapping[str, str] = os.environ) -> RunConfig:
    """Read, override and validate a config file.

    `overrides` are `dotted.key=value` (value in YAML); environment variables
    `CURATE__SECTION__KEY=value` come before them.  Raises ConfigError with every
    mistake found, each with file, line, key and the nearest valid one.
    """
    located = read_yaml(path)
    raw = located.value
    for name, value in sorted(environ.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            override_key(raw, f"{'.'.join(keys)}={value}", f"environment variable {name}")
    for text in overrides or []:
        override_key(raw, text, "--set")
    return validate(located, path)


def validate(located: Located, path: Path) -> RunConfig:
    """Validate plain values (JSON types) against the model of all installed sections."""
    raw = located.value
    try:
        encoded = orjson.dumps(raw)
    except TypeError as error:  # dates, sets, binary: YAML types that JSON has not
        raise ConfigError([ConfigProblem(str(path), None, "", f"{error}", "put such values in quotes")]) from None
    try:
        checked = model().model_validate_json(encoded)
    except ValidationError as error:
        raise ConfigError(problems_of(error, located, str(path), model().model_json_schema())) from None
    core = Core(**{name: getattr(checked, name) for name in Core.model_fields})
    present = {
        key: getattr(checked, key) for key, s in sections().items() if s.config and getattr(checked, key) is not None
    }
    named_steps = {step.name for section in sections().values() for step in section.steps}
    if core.run in named_steps:
        line = located.line(("run",))
        raise ConfigError(
            [ConfigProblem(str(path), line, "run", f"{core.run!r} is the name of a step's folder", "rename the run")]
        )
    return RunConfig(path.absolute(), core, present, raw)


def override_key(raw: dict[str, Any], text: str, origin: str, valid: Sequence[str] | None = None) -> None:
    """Apply one `dotted.key=value` (value in YAML) in place; raises ConfigError naming where it came from.

    valid: keys of the top level; default: those of a run's config.
    """
    valid = valid_keys() if valid is None else valid
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"{origin} {text!r} is not key=value", "write for example --set seed=3")
    keys = key.split(".")
    if keys[0] not in valid:
        raise ConfigError([ConfigProblem(origin, None, key, "unknown key", registry.suggest(keys[0], valid))])
    try:
        assign(raw, keys, yaml.safe_load(value))
    except (KeyError, IndexError, ValueError, TypeError, yaml.YAMLError) as error:
        raise ConfigError([ConfigProblem(origin, None, key, f"cannot be set: {error}")]) from None


def assign(raw: Any, keys: list[str], value: Any) -> None:
    """Set `a.b.0.c` inside nested mappings and lists, making mappings on the way."""
    for key, following in itertools.pairwise(keys):
        if isinstance(raw, list):
            raw = raw[int(key)]
        else:
            if raw.get(key) is None:
                raw[key] = {}
            raw = raw[key]
        if not isinstance(raw, dict | list):
            raise ValueError(f"{key!r} holds a plain value, so it has no {following!r}")
    if isinstance(raw, list):
        raw[int(keys[-1])] = value
    else:
        raw[keys[-1]] = value
