"""The arms: packed shards of each mix, built by the code of `curate run`, or taken from where they are.

Two arms of one base config share everything that their settings do not change, because steps are found by their
fingerprints.  Where `mix.ablation` is set, an arm is the ablation: the documents that stand e times in the mix with all
their copies (or without, `matched: false`), packed anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.config import load
from curation.pipeline.errors import UsageError
from curation.pipeline.run import run
from curation.pipeline.shards import write_atomic
from packing.layout.manifest import LayoutError, Manifest
from proxy_model.experiment.consumption import STANDS_FOR
from proxy_model.experiment.settings import ArmConfig, Experiment
from proxy_model.settings import find_shards

ARMS = "arms"
MIX, MIX_PLAN, ABLATION = "mix", "plan.json", "ablation"
SLACK = 1.02  # rows of a subset beyond those that a run reads: every queue's share is rounded


@dataclass(frozen=True)
class Arm:
    """shards: the packed folder; run: the run that packed it, or None; root: digest of what can be trained on.

    rows, tokens: sequences of all stages, and their tokens; weights: share of tokens of each queue, as scheduled;
    mix: summary of the run's mix plan; subset_share: of the rows that a run draws from.
    """

    name: str
    shards: str
    run: str | None
    root: str
    tokenizer: str
    sequence_length: int
    vocab_rows: int
    rows: int
    tokens: int
    sources: list[str]
    weights: dict[str, float]
    mix: dict[str, Any]
    subset_share: float
    warnings: list[str]

    def identity(self) -> dict[str, Any]:
        """All but places: what a lock holds."""
        return {k: v for k, v in asdict(self).items() if k not in ("shards", "run", "warnings")}


def build_arms(experiment: Experiment, *, yes: bool = False, quiet: bool = False) -> dict[str, Arm]:
    """Build or find every arm, check that they can be compared, and write arms/<arm>.json.

    Raises UsageError: no packed shards, other tokenizers or lengths of rows, fewer tokens than a run reads.
    """
    arms = {
        name: describe(experiment, name, *_place(experiment, name, arm, yes=yes, quiet=quiet))
        for name, arm in experiment.config.arms.items()
    }
    check_arms(arms)
    folder = experiment.folder / ARMS
    folder.mkdir(parents=True, exist_ok=True)
    for name, arm in arms.items():
        write_atomic(folder / f"{name}.json", orjson.dumps(asdict(arm), option=orjson.OPT_INDENT_2))
    return arms


def read_arms(experiment: Experiment) -> dict[str, Arm]:
    """As last built, with the digests that the shards have now.  Raises UsageError for an arm that is not built."""
    arms = {}
    for name in experiment.config.arms:
        path = experiment.folder / ARMS / f"{name}.json"
        try:
            known = json.loads(path.read_bytes())
            shards, folder = Path(known["shards"]), None if known["run"] is None else Path(known["run"])
        except FileNotFoundError:
            raise UsageError(
                f"arm {name} is not built: no {path}", "curate ab lock CONFIG builds and locks it"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is damaged: {error}", "curate ab lock CONFIG writes it again") from None
        arms[name] = describe(experiment, name, shards, folder)
    return arms


def overrides_of(experiment: Experiment, name: str) -> list[str]:
    """What `--set` would be told to `curate run` for this arm."""
    given = {**experiment.config.set, **experiment.config.arms[name].set}
    values = {**given, "run": f"{experiment.config.ab}-{name}", "workdir": experiment.config.workdir}
    return [f"{key}={orjson.dumps(value).decode()}" for key, value in values.items()]


def _place(experiment: Experiment, name: str, arm: ArmConfig, *, yes: bool, quiet: bool) -> tuple[Path, Path | None]:
    """(shards, run folder or None), built where needed."""
    if arm.finished is not None:
        return find_shards(arm.finished, experiment.base, lambda error: UsageError(f"arm {name}: {error}"))
    base = experiment.base / str(arm.base or experiment.config.base)
    told = overrides_of(experiment, name)
    config = load(base, told)
    if "pack" not in config.sections:
        raise UsageError(f"arm {name}: {base.name} packs nothing", "add  pack: {sequence_length: 2048}")
    mix = config.sections.get("mix")
    if mix is None or mix.ablation is None:
        run(config, yes=yes, quiet=quiet)
        folder = Path(config.core.workdir) / config.core.run
    else:
        run(config, until="mix", yes=yes, quiet=quiet)
        folder = Path(config.core.workdir) / config.core.run
        mixed = folder / MIX
        small = load(
            base, [*told, f"run={config.core.run}-{ABLATION}", "mix=null", f"pack.mix={(mixed / ABLATION).absolute()}"]
        )
        run(small, yes=yes, quiet=quiet)
        folder = Path(small.core.workdir) / small.core.run
        (folder / MIX).mkdir(exist_ok=True)  # the plan that the ablation stands for, for what compares with it
        plan = json.loads((mixed / MIX_PLAN).read_bytes()) | {STANDS_FOR: True}
        write_atomic(folder / MIX / MIX_PLAN, json.dumps(plan).encode())
    return folder.absolute() / "shards", folder.absolute()


def describe(experiment: Experiment, name: str, shards: Path, folder: Path | None) -> Arm:
    """The arm that these shards are.  Raises UsageError where a run would repeat rows without being planned."""
    try:
        manifest = Manifest.read(shards)
    except LayoutError as error:
        raise UsageError(f"arm {name}: {error}") from None
    rows = sum(stage.sequences for stage in manifest.stages)
    held = experiment.proxy.evaluate.holdout
    usable = round(rows * (1 - held)) if isinstance(held, float) else rows
    wanted = -(-(experiment.proxy.tokens or 0) // manifest.sequence_length)
    share = experiment.proxy.subset_share
    if "subset" in experiment.config.randomize and "subset_share" not in experiment.config.train and usable:
        share = round(min(1.0, (SLACK * wanted + len(manifest.queues)) / usable), 6)
    if wanted > usable * share:
        least = usable * share * manifest.sequence_length
        raise UsageError(
            f"arm {name}: a run reads {wanted:,} rows, its shards have {usable:,}"
            + (f" of which {share:.0%} take part" if share < 1 else "")
            + ": some would repeat without being planned",
            f"train on at most {least / 1e6:.3g}M tokens, or give the mix a larger budget",
        )
    warnings = []
    if "subset" in experiment.config.randomize and share == 1:
        warnings.append(f"arm {name}: every run reads all rows, so the document subset does not vary between runs")
    queues = {queue.name: queue.tokens for queue in manifest.queues}
    whole = max(1, sum(queues.values()))
    return Arm(
        name, str(shards.absolute()), None if folder is None else str(folder.absolute()), manifest.root,
        manifest.tokenizer, manifest.sequence_length, manifest.vocab_rows, rows, rows * manifest.sequence_length,
        list(manifest.sources), {queue: tokens / whole for queue, tokens in queues.items()}, _mix(folder), share,
        warnings,
    )  # fmt: skip


def check_arms(arms: dict[str, Arm]) -> None:
    """Raises UsageError where arms differ in more than their data."""
    first, *others = arms.values()
    for arm in others:
        if arm.tokenizer != first.tokenizer:
            raise UsageError(
                f"arms {first.name} and {arm.name} have different tokenizers "
                f"({first.tokenizer[:12]}, {arm.tokenizer[:12]})",
                "their tokens, and so their budgets, are not the same: share one (tokenizer: {path: …})",
            )
        if arm.sequence_length != first.sequence_length:
            raise UsageError(
                f"arms {first.name} and {arm.name} have rows of {first.sequence_length:,} and "
                f"{arm.sequence_length:,} tokens",
                "pack both with one sequence_length",
            )


def _mix(folder: Path | None) -> dict[str, Any]:
    """Tokens, documents and repeats of the run's mix."""
    path = None if folder is None else folder / MIX / MIX_PLAN
    if path is None or not path.is_file():
        return {}
    plan = json.loads(path.read_bytes())
    return {
        key: plan[key] for key in ("tokens", "documents", "occurrences", "repeats", "policy", "ablation") if key in plan
    }
