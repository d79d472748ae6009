"""What a `curate mix` command is about: files of documents, the mix that is asked for, the folder of a finished one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml
from pydantic import ValidationError

from curation.commands.output import find_run
from curation.pipeline.config import assign, load
from curation.pipeline.errors import UsageError
from mixing.config import MixConfig
from mixing.sample.make import PLAN

YAML = (".yaml", ".yml")
SEED = 17  # as of a run without one


def request(
    targets: Sequence[Path], budget: str | None, settings: Sequence[str], ablation: str | None
) -> tuple[list[Path], MixConfig, int]:
    """Files of documents, the mix that is asked for, and the seed."""
    raw: dict[str, Any] = {}
    seed, files = SEED, list[Path]()
    for target in targets:
        run = _run_of(target, alone=len(targets) == 1)
        if run is None:
            files += sorted(target.rglob("*.parquet")) if target.is_dir() else [target]
            continue
        folder, section, seed = run
        raw |= section
        files += sorted((folder / "documents").glob("*.parquet"))
    missing = [one for one in files if not one.is_file()]
    if missing or not files:
        raise UsageError(
            f"{missing[0] if missing else targets[0]}: no documents",
            "run it first: curate run CONFIG --until tokenizer; or give Parquet files with source and token_count",
        )
    for text in settings:
        key, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"--set {text!r} is not key=value", "write for example --set kl=0.5")
        try:
            assign(raw, key.split("."), yaml.safe_load(value))
        except (KeyError, IndexError, ValueError, TypeError, yaml.YAMLError) as error:
            raise UsageError(f"--set {text!r}: {error}") from None
    if budget is not None:
        raw["budget"] = budget
    if ablation is not None:
        raw["ablation"] = {"tokens": ablation}
    if "budget" not in raw:
        raise UsageError("there is no budget", "give --budget 20M, or a config with  mix: {budget: 20M}")
    try:
        return files, MixConfig.model_validate_json(orjson.dumps(raw)), seed
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(map(str, ("mix", *mistake["loc"])))
        raise UsageError(f"{place}: {mistake['msg'].removeprefix('Value error, ')}") from None


def _run_of(target: Path, *, alone: bool) -> tuple[Path, dict[str, Any], int] | None:
    """(folder, its `mix:` section as written, seed) of a config or a run; None for files."""
    if target.suffix in YAML:
        config = load(target)
        return find_run(str(target)), dict(config.raw.get("mix") or {}), config.core.seed
    if ((target / PLAN).is_file() and (target / "documents").is_dir()) or (alone and not target.exists()):
        folder = find_run(str(target))
        config_of = orjson.loads((folder / PLAN).read_bytes()).get("config") or {}
        return folder, dict(config_of.get("mix") or {}), int(config_of.get("seed", SEED))
    return None


def mix_folder(target: Path) -> Path:
    """The folder of a mix: itself, or of a run."""
    for folder in (target, target / "mix"):
        if any(folder.glob("mix-*.parquet")) and (folder / PLAN).is_file():
            return folder
    folder = find_run(str(target)) / "mix"
    if not (folder / PLAN).is_file():
        raise UsageError(f"{target}: this run has no mix", "add  mix: {budget: 20M}  to its config")
    return folder
