"""What is fixed before the first run: one record, its hash, and what has changed since.

`content` is everything that decides the verdict: shards, seeds, model and training, items and how they are asked,
metric, weights, test, looks, exclusions, guardrails, code and library versions.  Places and processes are not in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

import packing
import proxy_model
from curation.decontaminate.index import long_enough
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import fingerprint
from curation.pipeline.shards import write_atomic
from proxy_model.experiment.arms import Arm
from proxy_model.experiment.contamination import needle
from proxy_model.experiment.design import design_of, looks_of
from proxy_model.experiment.registry import matching
from proxy_model.experiment.runs import RUNS
from proxy_model.experiment.seeds import run_seeds
from proxy_model.experiment.settings import Experiment
from proxy_model.experiment.statistics.registry_prior import NoiseKey
from proxy_model.experiment.suite import Suite

LOCK, FORMAT = "lock.json", 1
SOFTWARE = ("torch", "numpy", "scipy", "tokenizers")
SHOWN = 12  # changes in an error
SHOWING = (  # files that decide no number of a verdict
    "commands.py", "actions.py", "noise_actions.py", "progress.py", "planning.py", "simulation.py", "aa.py", "local.py",
    "worker.py", "screen.py",
)  # fmt: skip


def content(experiment: Experiment, arms: dict[str, Arm], suite: Suite) -> dict[str, Any]:
    """What a lock holds, from the config, the shards and the item files as they are now.

    Raises UsageError for a design that can give no verdict.
    """
    config = experiment.config
    key = noise_key(experiment, arms, suite)
    borrowed = _borrowed(experiment, key) if config.registry else []
    found = {
        "name": config.ab, "pilot": experiment.pilot, "baseline": next(iter(arms)),
        "arms": {name: arm.identity() for name, arm in arms.items()},
        "runs": config.runs_of, "randomize": sorted(config.randomize),
        "seeds": {
            arm: [run_seeds(experiment, arm, k).derived for k in range(runs)] for arm, runs in config.runs_of.items()
        },
        "training": training(experiment, next(iter(arms.values()))),
        "items": {
            "files": dict(suite.files), "hash": suite.hash, "counts": suite.counts, "weights": suite.weights,
            "skipped": suite.skipped,
        },
        "primary": config.primary.model_dump(mode="json", exclude={"items", "weights"}),
        "hypothesis": config.hypothesis.model_dump(mode="json"),
        "looks": [list(look) for look in looks_of(experiment)], "sequential": config.sequential.method,
        "e_effect": config.sequential.effect,
        "guardrails": config.model_dump(mode="json")["guardrails"],
        "exclude": config.exclude.model_dump(mode="json"), "exploratory": config.exploratory,
        "key": asdict(key), "registry": borrowed,
        "code": {"curate-lm": _version("curate-lm"), "source": source_digest(), **{n: _version(n) for n in SOFTWARE}},
    }  # fmt: skip
    plain: dict[str, Any] = json.loads(json.dumps(found))
    design_of(experiment, plain)  # refuses what can give no verdict
    _check_guardrails(experiment, suite)
    return plain


def _borrowed(experiment: Experiment, key: NoiseKey) -> list[dict[str, Any]]:
    """Of the registry now; of the lock once a run exists: experiments that finish meanwhile change no plan."""
    if has_runs(experiment) and (experiment.folder / LOCK).exists():
        before = read_lock(experiment)["content"]
        if before["key"] == asdict(key):
            return list(before["registry"])
    return [asdict(one) for one in matching(experiment.registry, key)]


def training(experiment: Experiment, arm: Arm) -> dict[str, Any]:
    """The training of every run without shards, seeds, share of the rows and device numbers of processes."""
    from proxy_model.settings import ProxyConfig

    out = {"run", "out", "shards", "tokenizer", "seed", "seeds", "subset_share", "threads", "checkpoint"}
    values = ProxyConfig.model_dump(experiment.proxy, mode="json", exclude=out)
    values["evaluate"].pop("baselines", None)
    return {**values, "tokens": -(-(experiment.proxy.tokens or 0) // arm.sequence_length) * arm.sequence_length}


def noise_key(experiment: Experiment, arms: dict[str, Arm], suite: Suite) -> NoiseKey:
    """Runs whose variance may be pooled: the same training of the same model, on other data; the same suite."""
    made = training(experiment, next(iter(arms.values())))
    tokens, precision = made.pop("tokens"), made.pop("precision")
    made["evaluate"] = None
    made |= {"randomize": sorted(experiment.config.randomize), "tokenizer": next(iter(arms.values())).tokenizer}
    how = [suite.hash, suite.weights, experiment.config.primary.mode, experiment.config.primary.unit]
    return NoiseKey(fingerprint(made), tokens, fingerprint(how), experiment.config.primary.metric, precision)


def lock_hash(found: dict[str, Any]) -> str:
    """32 hexadecimal digits over the content."""
    return fingerprint(found)


def read_lock(experiment: Experiment) -> dict[str, Any]:
    """lock.json: {format, hash, created, amended, content}.  Raises UsageError: none, or one that was edited."""
    path = experiment.folder / LOCK
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        if not isinstance(found, dict) or {"format", "hash", "amended", "content"} - set(found):
            raise ValueError("no lock stands in it")
    except FileNotFoundError:
        raise UsageError(
            f"{experiment.folder} has no lock", "fix the plan before the first run: curate ab lock CONFIG"
        ) from None
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}", "restore it") from None
    if found.get("format") != FORMAT or lock_hash(found["content"]) != found.get("hash"):
        raise UsageError(f"{path} was edited: its hash does not fit", "restore it, or lock anew with --amend")
    return found


def write_lock(
    experiment: Experiment, found: dict[str, Any], *, amend: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """(lock.json, what changed against an earlier lock).  The same content leaves the lock as it is.

    Raises UsageError where a run exists already and the content differs, unless `amend`, which says so in the lock.
    """
    path = experiment.folder / LOCK
    amended: list[str] = []
    changed: list[str] = []
    if not path.exists() and has_runs(experiment):
        if not amend:
            raise UsageError(
                f"{experiment.folder} has runs but no lock: it is fixed before the first run",
                "give the experiment another name, or --amend, which the verdict will say",
            )
        amended = ["locked after the first run"]
    if path.exists():
        before = read_lock(experiment)
        changed = changes(before["content"], found)
        if not changed:
            return before, []
        amended = list(before["amended"])
        if has_runs(experiment):
            if not amend:
                raise UsageError(
                    f"{experiment.folder.name} is locked and has runs; the config now differs:\n  " + _some(changed),
                    "restore it, give the experiment another name, or --amend, which the verdict will say",
                )
            amended += changed
    experiment.folder.mkdir(parents=True, exist_ok=True)
    lock = {
        "format": FORMAT, "hash": lock_hash(found), "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "amended": amended, "content": found,
    }  # fmt: skip
    write_atomic(path, orjson.dumps(lock, option=orjson.OPT_INDENT_2))
    return lock, changed


def has_runs(experiment: Experiment) -> bool:
    """Whether training of any run began."""
    return any(experiment.folder.glob(f"{RUNS}/*/config.json"))


def changes(before: Any, now: Any, name: str = "") -> list[str]:
    """`key: locked value, now …` for every leaf that differs."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        parts = [changes(before.get(key), now.get(key), f"{name}.{key}" if name else str(key)) for key in keys]
        return [line for part in parts for line in part]
    return [f"{name}: locked {_told(before)}, now {_told(now)}"]


def check_locked(experiment: Experiment, found: dict[str, Any]) -> dict[str, Any]:
    """The lock, for a command that makes new results.  Raises UsageError where the content is not the locked one."""
    lock = read_lock(experiment)
    changed = changes(lock["content"], found)
    if changed:
        raise UsageError(
            f"{experiment.folder.name} is not as it was locked:\n  " + _some(changed),
            "restore it, or lock anew: curate ab lock CONFIG --amend (the verdict will say so)",
        )
    return lock


def _check_guardrails(experiment: Experiment, suite: Suite) -> None:
    if "contamination" in experiment.config.guardrails and not any(long_enough([needle(one) for one in suite.items])):
        raise UsageError(
            "the guardrail contamination finds nothing: no item has five words or more",
            "leave it out of `guardrails`",
        )
    if not isinstance(experiment.proxy.evaluate.holdout, float):
        return
    if any(not isinstance(one, str) for one in experiment.config.guardrails):
        raise UsageError(
            "a guardrail on bits per byte needs one held-out text; a share of the rows is another in every arm",
            "say train: {evaluate: {holdout: run}} or {documents: …}",
        )


@cache
def source_digest() -> str:
    """Of the code that trains, reads shards, scores and tests; pages and commands decide no number."""
    made = hashlib.blake2b(digest_size=8)
    for package, parts in ((packing, ("loader", "layout")), (proxy_model, ("",))):
        root = Path(str(package.__file__)).parent
        for part in parts:
            for path in sorted((root / part).rglob("*.py")):
                name = path.relative_to(root).as_posix()
                if not _presents(name):
                    made.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return made.hexdigest()


def _presents(name: str) -> bool:
    """Whether a file only shows results, or is about other formats."""
    last = name.rpartition("/")[2]
    return name.startswith(("hf/", "dist/")) or "report" in name or last in SHOWING


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _told(value: Any) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"{len(value)} values ({fingerprint(value)[:8]})"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _some(lines: list[str]) -> str:
    more = f"\n  and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "\n  ".join(lines[:SHOWN]) + more
