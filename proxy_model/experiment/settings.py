"""The YAML of `curate ab`: read with line numbers, validated once.

Relative paths (base configs, shards, items) are relative to the config file; `workdir` to the current directory.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from curation.pipeline.config import Frozen
from curation.pipeline.config_errors import Located, problems_of
from curation.pipeline.errors import ConfigError, ConfigProblem, UsageError
from curation.pipeline.registry import suggest
from proxy_model.config_file import read_config
from proxy_model.settings import ProxyConfig

NAME = r"^[A-Za-z0-9][A-Za-z0-9._]{0,39}$"
OURS = ("run", "out", "shards", "seed", "seeds", "epochs")  # of `train`: what an experiment sets itself
MOST_RUNS = 400  # of an arm; run numbers of different arms never meet (see seeds.ARM_STRIDE)
SUMS_TO_ONE = 1e-6
_POINTS = re.compile(r"([-+0-9.eE]+)\s*pt")


def _points(value: Any) -> Any:
    """0.5pt → 0.005."""
    if isinstance(value, str) and (found := _POINTS.fullmatch(value.strip())):
        try:
            return float(found[1]) / 100
        except ValueError:
            return value
    return value


Effect = Annotated[float, BeforeValidator(_points, json_schema_input_type=float | str), Field(gt=0)]
Runs = Annotated[int, Field(ge=1, le=MOST_RUNS)]
ArmName = Annotated[str, Field(pattern=NAME)]


class ArmConfig(Frozen):
    """One mix: the base config with some keys set, a run that packed it, or packed shards."""

    set: dict[str, Any] = Field({}, description="{dotted.key: value} of the base config")
    base: str | None = Field(None, description="another config of `curate run` than the experiment's")
    run: str | None = Field(None, description="a finished run: runs/NAME")
    shards: str | None = Field(None, description="a folder of packed shards")

    @model_validator(mode="after")
    def _one_kind(self) -> ArmConfig:
        made = bool(self.set) or self.base is not None
        if made + (self.run is not None) + (self.shards is not None) > 1:
            raise ValueError("give one of `run`, `shards`, or `base` and `set`")
        return self

    @property
    def finished(self) -> str | None:
        """Where its shards are, when nothing has to be built."""
        return self.shards or self.run


class PrimaryConfig(Frozen):
    """What decides: items, metric, weights."""

    items: list[str] = Field(min_length=1, description="files of items: paths or patterns")
    benchmarks: list[str] | None = Field(None, min_length=1, description="of the files; default: all")
    metric: Literal["acc", "acc_norm", "acc_bytes", "log_acc_norm2", "norm_prob_byte", "root_softmax", "bpb"] = (
        "norm_prob_byte"
    )
    weights: Literal["equal", "items"] | dict[str, Annotated[float, Field(gt=0)]] = Field(
        "equal", description="of benchmarks: all alike, by their number of items, or {benchmark: share of 1}"
    )
    limit: int | None = Field(500, ge=2, description="items of each benchmark, by a fixed hash; null: all")
    cluster: dict[str, Literal["group", "id"]] = Field({}, description="{benchmark: group}: a group is one unit")
    unit: Literal["cluster", "item"] = "cluster"
    units: Literal["random", "fixed"] = Field(
        "random", description="random: the claim is about benchmarks like these; fixed: about these items"
    )
    mode: Literal["lcp", "lm_eval", "separate"] = Field("lcp", description="how context and choice become ids")
    truncated: Literal["refuse", "drop"] = Field("refuse", description="items longer than a training row")
    unusable: Literal["refuse", "skip"] = Field("refuse", description="lines that give no item: no gold, one choice, …")

    @model_validator(mode="after")
    def _weights(self) -> PrimaryConfig:
        if isinstance(self.weights, dict):
            total = math.fsum(self.weights.values())
            if abs(total - 1) > SUMS_TO_ONE:
                scaled = ", ".join(f"{name}: {share / total:.4g}" for name, share in self.weights.items())
                raise ValueError(f"the weights sum to {total:.6g}, not to 1\n  → did you mean {{{scaled}}}?")
        return self


class HypothesisConfig(Frozen):
    """What is claimed, and how sure."""

    kind: Literal["superiority", "non_inferiority", "equivalence"] = "superiority"
    alpha: float = Field(0.05, gt=0, lt=0.5, description="one-sided level")
    two_sided: bool = False
    power: float = Field(0.8, gt=0, lt=1)
    mde: Effect | None = Field(None, description="smallest effect that matters, in metric units, or 0.5pt = 0.005")
    margin: Effect | None = Field(None, description="largest difference that does not matter")

    @model_validator(mode="after")
    def _margin(self) -> HypothesisConfig:
        if self.kind != "superiority" and self.margin is None:
            raise ValueError(f"{self.kind} needs `margin`: the largest difference that would not matter")
        return self


class SequentialConfig(Frozen):
    """Looks while runs are added."""

    method: Literal["obf", "pocock", "e_value", "none"] = "none"
    looks: list[Runs] = Field([], description="runs per arm at each look, the last one all of them")
    effect: float | None = Field(None, gt=0, description="of e_value, in σ_seed: what the evidence is weighed against")

    @model_validator(mode="after")
    def _rising(self) -> SequentialConfig:
        if self.method == "none" and self.looks:
            raise ValueError("looks without a method\n  → say method: obf")
        if (self.method == "e_value") != (self.effect is not None):
            raise ValueError("e_value and `effect` belong together\n  → method: e_value, effect: 2  (in σ_seed)")
        if self.method == "e_value":
            if self.looks:
                raise ValueError("an e-value may be looked at after every run\n  → leave `looks` out")
            return self
        if self.method != "none" and len(self.looks) < 2:
            raise ValueError("give at least two looks, e.g. looks: [3, 5]")
        if self.looks != sorted(set(self.looks)) or (self.looks and self.looks[0] < 2):
            raise ValueError("looks rise, from two runs per arm on")
        return self


class GuardrailConfig(Frozen):
    """Held-out text must not get worse by more than a margin."""

    bpb: Literal["all", "source", "language", "bucket"] | str = Field(description="source, …, or one source's name")
    margin: Effect = Field(description="bits per byte")


class ExcludeConfig(Frozen):
    """Runs that do not count, decided by their training loss alone; each is replaced by the arm's next number."""

    rule: Literal["loss_spike", "none"] = "loss_spike"
    z: float = Field(6.0, ge=3, description="median absolute deviations above the last steps' median")


class AbConfig(Frozen):
    """An experiment: arms that differ in their data, the same training, a test of their scores."""

    ab: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$", description="name of the experiment and of its folder"
    )
    workdir: str = Field("runs", description="where outputs go, relative to the current directory")
    seed: int = Field(17, ge=0, lt=2**63, description="the one seed; runs are numbers under it")
    base: str | None = Field(None, description="config of `curate run` that the arms share")
    set: dict[str, Any] = Field({}, description="{dotted.key: value} of the base config, in every arm")
    arms: dict[ArmName, ArmConfig] = Field(min_length=1, description="the first is the baseline")
    train: dict[str, Any] = Field(description="keys of `curate proxy train`; tokens are required")
    runs: Runs | dict[ArmName, Runs] = Field(5, description="training runs of each arm")
    randomize: list[Literal["init", "order", "subset"]] = Field(
        ["init", "order", "subset"], min_length=1, description="what differs between the runs of an arm"
    )
    primary: PrimaryConfig
    hypothesis: HypothesisConfig = HypothesisConfig()
    sequential: SequentialConfig = SequentialConfig()
    guardrails: list[GuardrailConfig | Literal["contamination", "loss_spikes", "worst_benchmark"]] = []
    exclude: ExcludeConfig = ExcludeConfig()
    registry: bool = Field(False, description="borrow the variance between runs from earlier experiments like this")
    exploratory: bool = Field(False, description="one run per arm is allowed, and there is no verdict")

    @model_validator(mode="after")
    def _consistent(self) -> AbConfig:
        for name, arm in self.arms.items():
            if arm.finished is None and (arm.base or self.base) is None:
                raise ValueError(f"arm {name} has no config\n  → say base: web.yaml, or give the arm run: or shards:")
        if isinstance(self.runs, dict) and set(self.runs) != set(self.arms):
            wrong = ", ".join(sorted(set(self.runs) ^ set(self.arms)))
            raise ValueError(f"`runs` and `arms` name different arms: {wrong}")
        if len({name.lower() for name in self.arms}) < len(self.arms):
            raise ValueError("names of arms that differ only in upper and lower case")
        looks = self.sequential.looks
        if looks and any(looks[-1] != k for k in self.runs_of.values()):
            raise ValueError(f"the last look is at {looks[-1]} runs per arm, planned are {self.runs_of}")
        if self.sequential.method != "none" and len(self.arms) != 2:
            raise ValueError("looks while runs are added are for two arms")
        if self.sequential.method == "e_value" and (self.registry or min(self.runs_of.values()) < 2):
            raise ValueError("the e-value needs two runs per arm and takes no noise registry")
        if len(set(self.randomize)) < len(self.randomize):
            raise ValueError("`randomize` names something twice")
        return self

    @property
    def runs_of(self) -> dict[str, int]:
        """Planned runs of each arm, the baseline first."""
        return {name: self.runs if isinstance(self.runs, int) else self.runs[name] for name in self.arms}


@dataclass(frozen=True)
class Experiment:
    """A validated config; `proxy`: the keys of `train` with all defaults, its `run` and `shards` still to be set."""

    config: AbConfig
    proxy: ProxyConfig
    path: Path
    overrides: tuple[str, ...] = ()
    pilot: int = 0  # runs of an A/A or a screening beside it, with seeds of its own; 0: none

    @property
    def base(self) -> Path:
        """What relative paths are relative to."""
        return self.path.parent

    @property
    def folder(self) -> Path:
        """Everything of the experiment, except what `curate run` made for its arms."""
        return Path(self.config.workdir) / "ab" / (self.config.ab + self._suffix)

    @property
    def _suffix(self) -> str:
        return "" if not self.pilot else "-aa" if len(self.config.arms) == 1 else "-screen"

    @property
    def registry(self) -> Path:
        return Path(self.config.workdir) / "ab" / "registry.jsonl"


def load_experiment(path: Path, overrides: list[str] | None = None) -> Experiment:
    """Read, override (`dotted.key=value`, value in YAML) and validate.

    Raises ConfigError with every mistake found, each with file, line, key and the nearest valid one.
    """
    config, located = read_config(path, overrides or (), AbConfig)
    return Experiment(config, _proxy(config, located, path), path.absolute(), tuple(overrides or ()))


def pilot_of(experiment: Experiment, arms: list[str], runs: int) -> Experiment:
    """An A/A of one arm, or a screening of two: runs, folder and seeds of its own, no evidence of the experiment."""
    for name in arms:
        if name not in experiment.config.arms:
            raise UsageError(f"no arm is called {name!r}", suggest(name, list(experiment.config.arms)))
    if not (4 if len(arms) == 1 else 2) <= runs <= MOST_RUNS:
        raise UsageError(
            f"{runs} runs: an A/A needs four or more, a screening two of each arm",
            "eight tell σ_seed to about a quarter of its size",
        )
    changed = {
        "arms": {name: experiment.config.arms[name] for name in arms}, "runs": runs, "sequential": SequentialConfig(),
        "guardrails": [], "registry": False,
    }  # fmt: skip
    return replace(experiment, config=experiment.config.model_copy(update=changed), pilot=runs)


def _proxy(config: AbConfig, located: Located, path: Path) -> ProxyConfig:
    """`train:` as a config of `curate proxy train`, mistakes at their lines."""

    def refuse(key: str, message: str, hint: str | None) -> ConfigError:
        place = ("train", key) if key else ("train",)
        return ConfigError([ConfigProblem(str(path), located.line(place), ".".join(place), message, hint)])

    for key in OURS:
        if key in config.train:
            hint = "a run's length is `tokens`" if key == "epochs" else "an experiment sets it for every run"
            raise refuse(key, "not here", hint)
    if "tokens" not in config.train:
        raise refuse("", "`tokens` is missing: every arm trains on as many", "tokens: 20M")
    raw = {
        **config.train, "run": "x", "shards": "x", "seed": config.seed,
        "seeds": dict.fromkeys(("init", *config.randomize), 0),
    }  # fmt: skip
    try:
        return ProxyConfig.model_validate_json(orjson.dumps(raw))
    except ValidationError as error:
        inner = Located(raw, _node(located.root, "train"))
        found = problems_of(error, inner, str(path), ProxyConfig.model_json_schema())
        raise ConfigError([replace(one, key=f"train.{one.key}".rstrip(".")) for one in found]) from None


def _node(root: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)
