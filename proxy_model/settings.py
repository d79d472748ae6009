"""The YAML of `curate proxy train`: read with line numbers, validated once, turned into `TrainSettings`.

Relative paths of data are relative to the config file; `out` and a run's name (`runs/NAME`) to the current directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from curation.pipeline.config import Count, Frozen, count_of
from curation.pipeline.config_errors import Located
from curation.pipeline.errors import ConfigError, ConfigProblem, UsageError
from curation.pipeline.hashing import Purpose, derive_seed
from packing.layout.files import MANIFEST
from packing.layout.manifest import LayoutError, Manifest
from proxy_model.config import ModelConfig, ModelConfigError, params, preset
from proxy_model.config_file import read_config
from proxy_model.numbers import Real
from proxy_model.train.schedule import Schedule
from proxy_model.train.settings import Optimizer, Seeds, TrainSettings
from proxy_model.train.spikes import Policy
from proxy_model.train.token_table import TokenTable, constant

# OLMo-core's model ladder (reference, proxy model §6), on active parameters without embeddings
BATCH_AT, LR_AT, PARAMETERS_AT = 2048 * 160, 0.5 * 0.0047, 108e6
LR_MOST = 0.005  # pico learned best with it of 0.002, 0.005 and 0.01; the formula gives 0.017 there
WARMUP_MOST = 0.1  # of the run; OLMo's own is one token a parameter

Tokens = Annotated[int, BeforeValidator(count_of), Field(ge=0)]


class BatchRow(Frozen):
    """From so many tokens on, a step has so many."""

    start: Tokens = Field(alias="from")
    batch: Count


class OptimizerConfig(Frozen):
    """AdamW, or Muon for matrices and AdamW for the rest."""

    kind: Literal["adamw", "muon"] = "adamw"
    betas: Annotated[tuple[float, float], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = (
        0.9, 0.95,
    )  # fmt: skip
    weight_decay: Real = Field(0.1, ge=0, description="not of embeddings, head and norms")
    muon_lr: Real = Field(0.02, gt=0, description="of the matrices, with kind: muon")


class SeedsConfig(Frozen):
    """Numbers of runs; what they decide is independent of each other."""

    init: int = Field(0, ge=0, description="initial weights")
    order: int | None = Field(None, ge=0, description="which row of a queue comes when; default: as the shards have it")
    subset: int | None = Field(None, ge=0, description="which rows take part, with `subset_share`")


class DocumentsConfig(Frozen):
    """Held-out documents in files of their own."""

    documents: str | list[str] = Field(description="Parquet or JSON lines (id, text): paths or patterns")


class EvaluateConfig(Frozen):
    """When bits per byte of held-out text are measured, and of which."""

    every: int = Field(0, ge=0, description="steps; 0: at the end only")
    holdout: Annotated[float, Field(gt=0, lt=0.5)] | DocumentsConfig | Literal["run", "none"] = Field(
        "run", description="run: the run's own held-out documents; {documents: …}; or a share of the rows"
    )
    baselines: bool = Field(True, description="unigram and 5-grams of the training text, on the same held-out text")


class CheckpointConfig(Frozen):
    """Where a killed run goes on."""

    every: int = Field(0, ge=0, description="steps; 0: at the end only")
    keep: int = Field(2, ge=1, description="newest checkpoints that stay")


class PolicyConfig(Frozen):
    """Steps that are not trusted."""

    non_finite: Literal["skip", "stop"] = "skip"
    spike: Literal["count", "skip"] = "count"
    most_in_a_row: int = Field(10, ge=1, description="skipped steps in a row that end the run")


class ProxyConfig(Frozen):
    """A training run of one proxy model."""

    run: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="name of the run and of its folder")
    out: str = Field("runs", description="where the folder goes, relative to the current directory")
    shards: str = Field(description="a folder of packed shards, or a run that packed them: runs/web-demo")
    tokenizer: str | None = Field(None, description="that the shards were made with; default: the run's own")
    model: str | dict[str, Any] = Field("pico", description="a preset, or {preset: …, vocab_size: …, …}")
    tokens: Count | None = Field(None, description="to train on, e.g. 20M; default: `epochs`")
    epochs: float | None = Field(None, gt=0, description="of the shards; 1 unless `tokens` says otherwise")
    batch: Count | list[BatchRow] | None = Field(None, description="tokens a step, or a table of {from, batch}")
    micro_batch: int | None = Field(None, ge=1, description="sequences of one forward pass; default: the whole step")
    lr: Real | None = Field(None, gt=0, description="peak learning rate; default by active parameters")
    schedule: Literal["wsd", "paper"] = "wsd"
    warmup: Tokens | None = Field(None, description="tokens; default: one a parameter, at most a tenth of the run")
    decay: float = Field(0.2, ge=0, le=1, description="share of the run that falls linearly to 0 (wsd)")
    optimizer: OptimizerConfig = OptimizerConfig()
    clip: Real = Field(1.0, ge=0, description="largest norm of the gradient; 0: none")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 keeps fp32 master weights")
    seed: int = Field(17, ge=0, lt=2**63, description="the one seed; `seeds` are numbers of runs under it")
    seeds: SeedsConfig = SeedsConfig()
    subset_share: float = Field(1.0, gt=0, le=1, description="of the rows of every queue")
    device: str = "cpu"
    threads: int = Field(1, ge=1, description="of the CPU; the result depends on it in the last bits")
    expert_parallel: bool = Field(
        False, description="under torchrun: every process holds whole experts; worth it above some 2B parameters"
    )
    evaluate: EvaluateConfig = EvaluateConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    policy: PolicyConfig = PolicyConfig()

    @model_validator(mode="after")
    def _consistent(self) -> ProxyConfig:
        if self.tokens is not None and self.epochs is not None:
            raise ValueError("give either `tokens` or `epochs`")
        if self.subset_share < 1 and self.seeds.subset is None:
            raise ValueError("a subset needs its seed: seeds: {subset: 0}")
        if self.precision == "bf16" and self.device == "cpu":  # emulated there: the loop's tests use it, nobody else
            raise ValueError("bf16 is for CUDA; a CPU only emulates it\n  → precision: fp32, or device: cuda")
        return self


@dataclass(frozen=True)
class Request:
    """A validated config: what the loop needs, and what the edge does with text."""

    config: ProxyConfig
    settings: TrainSettings
    manifest: Manifest
    run_folder: Path | None  # the curate run that packed the shards
    tokenizer: Path | None
    base: Path


def load_settings(path: Path, overrides: list[str] | None = None) -> Request:
    """Read, override (`dotted.key=value`, value in YAML) and validate.

    Raises ConfigError with every mistake found, each with file, line, key and the nearest valid one.
    """
    config, located = read_config(path, overrides or (), ProxyConfig)
    return _request(config, located, path)


def _request(config: ProxyConfig, located: Located, path: Path) -> Request:
    def problem(key: str, error: Exception) -> ConfigError:
        message, _, hint = str(error).partition("\n  → ")
        return ConfigError([ConfigProblem(str(path), located.line((key,)), key, message, hint or None)])

    shards, run_folder = find_shards(config.shards, path.parent, lambda error: problem("shards", error))
    try:
        manifest = Manifest.read(shards)
    except LayoutError as error:
        raise problem("shards", error) from None
    try:
        model = _model(config.model)
    except ModelConfigError as error:
        raise problem("model", error) from None
    tokenizer = path.parent / config.tokenizer if config.tokenizer else None
    if tokenizer is None and run_folder is not None and (run_folder / "tokenizer").is_dir():
        tokenizer = run_folder / "tokenizer"
    try:
        settings = _settings(config, model, shards, manifest)
    except UsageError as error:
        raise problem("batch", error) from None
    return Request(config, settings, manifest, run_folder, tokenizer, path.parent)


def find_shards(name: str, base: Path, problem: Any) -> tuple[Path, Path | None]:
    """(shard directory, run that packed it or None) for a path relative to the config or to the current directory."""
    for folder in (base / name, Path(name)):
        for shards in (folder, folder / "shards"):
            if (shards / MANIFEST).is_file():
                run = shards.absolute().parent
                return shards, run if (run / "plan.json").is_file() else None
    raise problem(
        UsageError(
            f"no packed shards at {name}",
            "pack some first: curate run examples/web.yaml gives runs/web-demo, curate pack a folder",
        )
    )


def _model(given: str | dict[str, Any]) -> ModelConfig:
    if isinstance(given, str):
        return preset(given)
    name = given.get("preset")
    if not isinstance(name, str):
        raise ModelConfigError("a model starts from a preset", "write model: {preset: pico, vocab_size: 8064}")
    return preset(name, **{key: value for key, value in given.items() if key != "preset"})


def _settings(config: ProxyConfig, model: ModelConfig, shards: Path, manifest: Manifest) -> TrainSettings:
    active = params(model).active
    length = manifest.sequence_length
    there = sum(stage.sequences for stage in manifest.stages) * length
    tokens = config.tokens or round((config.epochs or 1.0) * there)
    most = round(WARMUP_MOST * tokens)
    share = config.evaluate.holdout
    return TrainSettings(
        model=model,
        shards=shards,
        folder=Path(config.out) / config.run,
        tokens=tokens,
        batch=_table(config.batch, active, length),
        lr=config.lr or default_lr(active),
        schedule=Schedule(config.schedule, min(active, most) if config.warmup is None else config.warmup, config.decay),
        seeds=Seeds(
            derive_seed(config.seed, Purpose.INIT, config.seeds.init),
            _seed(config.seed, Purpose.ORDER, config.seeds.order),
            _seed(config.seed, Purpose.SUBSET, config.seeds.subset),
        ),
        optimizer=Optimizer(
            config.optimizer.kind, config.optimizer.betas, weight_decay=config.optimizer.weight_decay,
            muon_lr=config.optimizer.muon_lr,
        ),
        micro_batch=config.micro_batch,
        subset_share=config.subset_share,
        holdout_share=share if isinstance(share, float) else 0.0,
        clip=config.clip,
        precision=config.precision,
        policy=Policy(config.policy.non_finite, config.policy.spike, config.policy.most_in_a_row),
        device=config.device,
        threads=config.threads,
        expert_parallel=config.expert_parallel,
        evaluate_every=config.evaluate.every,
        checkpoint_every=config.checkpoint.every,
        keep=config.checkpoint.keep,
    )  # fmt: skip


def _seed(seed: int, purpose: Purpose, number: int | None) -> int | None:
    return None if number is None else derive_seed(seed, purpose, number)


def _table(given: int | list[BatchRow] | None, active: int, length: int) -> TokenTable:
    if isinstance(given, list):
        return TokenTable(tuple((row.start, row.batch) for row in given))
    return constant(given or default_batch(active, length))


def default_lr(active: int) -> float:
    """0.5 · 0.0047 · (N/108M)^(-1/3), at most LR_MOST."""
    return min(LR_MOST, LR_AT * float((active / PARAMETERS_AT) ** (-1 / 3)))


def default_batch(active: int, length: int) -> int:
    """2048 · 160 · (N/108M)^(2/3) tokens, in whole sequences."""
    tokens = BATCH_AT * float((active / PARAMETERS_AT) ** (2 / 3))
    return max(1, round(tokens / length)) * length
