"""One run of an arm: train, score the items, write down what it was.  A killed run goes on where it stopped.

runs/<arm>-<k>/            a folder of `curate proxy train`
    train.yaml             its config: `curate proxy train` can run it by hand
    parts/                 scores of finished parts of the evaluation, until all are there
    scores.parquet         log-likelihood of every option of every item
    run.json               written last: a folder without it is unfinished
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from filelock import FileLock

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import write_atomic
from proxy_model.experiment.arms import Arm
from proxy_model.experiment.seeds import run_seeds
from proxy_model.experiment.settings import Experiment
from proxy_model.experiment.spike_rule import excluded
from proxy_model.experiment.suite import Suite

FIELDS = (  # of run.json, without which a run cannot be counted
    "run", "lock", "seeds", "shards", "items", "tokens", "steps", "spikes", "bpb", "excluded", "flops", "cost",
)  # fmt: skip
RUNS, RUN, SCORES, TRAIN, PARTS, LOG = "runs", "run.json", "scores.parquet", "train.yaml", "parts", "log.txt"
Told = Callable[[str, int, int, str], None]  # stage (train | evaluate), done, of, words


@dataclass(frozen=True)
class RunName:
    """The k-th run of an arm."""

    arm: str
    number: int

    def __str__(self) -> str:
        return f"{self.arm}-{self.number}"


def folder_of(experiment: Experiment, name: RunName) -> Path:
    return experiment.folder.absolute() / RUNS / str(name)


def read_run(experiment: Experiment, name: RunName) -> dict[str, Any] | None:
    """run.json of a finished run, or None.  Raises UsageError for one that is damaged or of another run."""
    path = folder_of(experiment, name) / RUN
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        if not isinstance(found, dict) or (lost := [key for key in FIELDS if key not in found]):
            raise ValueError(f"no {lost[0]!r}" if isinstance(found, dict) else "no JSON object")
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError(
            f"{path} is damaged: {error}", "remove the file: curate ab run evaluates the run again"
        ) from None
    if (found.get("arm"), found.get("number")) != (name.arm, name.number):
        raise UsageError(
            f"{path} is run {found.get('number')} of arm {found.get('arm')}", "a copied folder is no run: remove it"
        )
    return found


def training_config(experiment: Experiment, arm: Arm, name: RunName) -> dict[str, Any]:
    """What `train.yaml` says: the keys of `train:` with paths made absolute, and what the experiment sets."""
    given = {**experiment.config.train}
    if experiment.proxy.tokenizer is not None:
        given["tokenizer"] = str((experiment.base / experiment.proxy.tokenizer).absolute())
    held = given.get("evaluate", {}).get("holdout")
    if isinstance(held, dict):
        documents = held["documents"] if isinstance(held["documents"], list) else [held["documents"]]
        places = [str((experiment.base / one).absolute()) for one in documents]
        given["evaluate"] = {**given["evaluate"], "holdout": {"documents": places}}
    numbers = run_seeds(experiment, name.arm, name.number).numbers
    return {
        **given, "run": str(name), "out": str(experiment.folder.absolute() / RUNS), "shards": arm.run or arm.shards,
        "seed": experiment.config.seed, "seeds": numbers,
        **({"subset_share": arm.subset_share} if "subset" in numbers else {}),
    }  # fmt: skip


def one_run(
    experiment: Experiment, arm: Arm, name: RunName, suite: Suite, lock: str, told: Told | None = None
) -> dict[str, Any]:
    """Train and evaluate, or go on; what is finished is read.  Raises UsageError, Diverged."""
    folder = folder_of(experiment, name)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):  # a process that outlived its parent may still be at it
        done = read_run(experiment, name)
        return _run(experiment, arm, name, suite, lock, told or _silent) if done is None else done


def _run(experiment: Experiment, arm: Arm, name: RunName, suite: Suite, lock: str, told: Told) -> dict[str, Any]:
    from proxy_model.config import flops
    from proxy_model.evaluate import JsonTokenizer, ProxyScorer, evaluate, header_of, write_table
    from proxy_model.evaluate.run import remove_parts
    from proxy_model.experiment.consumption import consumed
    from proxy_model.experiment.health import training_facts
    from proxy_model.held_out_text import held_out_of
    from proxy_model.settings import load_settings
    from proxy_model.train.devices import reproducible
    from proxy_model.train.loop import train_model

    began, folder = time.perf_counter(), folder_of(experiment, name)
    text = yaml.safe_dump(training_config(experiment, arm, name), sort_keys=False)
    write_atomic(folder / TRAIN, text.encode())
    request = load_settings(folder / TRAIN)
    if request.manifest.root != arm.root:
        raise UsageError(f"{request.settings.shards} changed: its root is not the locked one of arm {arm.name}")
    held, lengths = held_out_of(request)
    trained = train_model(request.settings, held, resume=True, listener=_Steps(told), byte_lengths=lengths)
    told("evaluate", 0, len(suite.items), "")
    if request.tokenizer is None:
        raise UsageError(f"arm {arm.name}: its tokenizer is not known", "say train: {tokenizer: PATH}")
    primary, settings = experiment.config.primary, request.settings
    with reproducible(trained.model.embed.weight.device, settings.threads):
        table = evaluate(
            ProxyScorer(trained.model, trained.run_id, max_length=arm.sequence_length),
            JsonTokenizer(request.tokenizer), suite.items, primary.mode, parts=folder / PARTS,
            too_long="error" if primary.truncated == "refuse" else "drop_item",
        )  # fmt: skip
    write_table(table, folder / SCORES)
    remove_parts(folder / PARTS)
    steps = pq.read_table(folder / "steps.parquet")
    identity = json.loads((folder / "config.json").read_bytes())["identity"]
    read, written = consumed(folder), run_seeds(experiment, name.arm, name.number).derived
    record = {
        "arm": name.arm, "number": name.number, "run": trained.run_id, "lock": lock, "seeds": written,
        "shards": arm.root, "held_out": identity["held_out"], "items": asked(suite.hash, header_of(table)),
        **training_facts(folder),
        "tokens": trained.tokens, "steps": trained.steps, "loss": trained.loss,
        "spikes": sum(steps["spike"].to_pylist()), "skipped": sum(steps["skipped"].to_pylist()),
        "consumed": read.sources, "copies": read.copies, "documents": read.documents, "rows": read.rows,
        "bpb": {"all" if s.kind == "all" else f"{s.kind}:{s.name}": s.bits_per_byte for s in trained.held_out},
        "excluded": excluded(steps, experiment.config.exclude),
        "flops": flops(settings.model, arm.sequence_length).total * trained.tokens,
        "cost": {
            "seconds": round(time.perf_counter() - began, 3), "train_seconds": round(_seconds(steps), 3),
            "threads": settings.threads, "device": settings.device,
        },
    }  # fmt: skip
    write_atomic(folder / RUN, orjson.dumps(record, option=orjson.OPT_INDENT_2))
    told("evaluate", len(suite.items), len(suite.items), "")
    return record


def asked(items: str, header: dict[str, Any]) -> str:
    """What a table of scores answers: the items (`Suite.hash`), and how they were asked, from its header."""
    how = "-".join(str(header[key]) for key in ("mode", "max_length", "too_long"))
    return f"{items}-{how}-{header['tokenizer'][:12]}"


def _seconds(steps: pa.Table) -> float:
    """Of training alone, over all processes that worked on it."""
    return float((steps["batch_tokens"].to_numpy() / steps["tokens_per_s"].to_numpy()).sum())


def _silent(stage: str, done: int, of: int, words: str) -> None:
    """Says nothing."""


class _Steps:
    """The training loop's listener."""

    def __init__(self, told: Told) -> None:
        self.told, self.steps = told, 0

    def begins(self, step: int, steps: int, tokens: int) -> None:
        self.steps = steps
        self.told("train", step, steps, "")

    def stepped(self, row: Any) -> None:
        self.told("train", row["step"] + 1, self.steps, f"loss {row['loss']:.3f}")

    def evaluated(self, step: int, scores: Any) -> None: ...

    def note(self, text: str) -> None: ...
