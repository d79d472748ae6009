"""The training loop, read from top to bottom: data in order, one step after another, looks and checkpoints between.

config.json       what the run is: identity, id, shards, versions
steps, sources, experts .parquet   see log.py
checkpoints/      to go on from
final/            the model (files.save_model), written last: a folder with it is a finished run
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError, explain_os_error
from packing.loader.dataset import PackedDataset
from proxy_model.config import flops
from proxy_model.dist import Ranks, started
from proxy_model.dist.parallel import gathered
from proxy_model.files import save_state
from proxy_model.model import ProxyLM
from proxy_model.train import checkpoint, data
from proxy_model.train.devices import open_device, peak_flops, reproducible, told_of_memory
from proxy_model.train.held_out import HeldOut, Score, nats_of, of_rows, scores
from proxy_model.train.listener import Listener, Silent
from proxy_model.train.log import Log
from proxy_model.train.optim import Optimizers
from proxy_model.train.running import Run, no_usage, restore, state_of, tensors_of
from proxy_model.train.settings import TrainSettings, run_id
from proxy_model.train.spikes import Diverged, Watch
from proxy_model.train.step import Done, take_step
from proxy_model.train.tally import Tally, read_groups
from proxy_model.train.together import check_ranks, everywhere, fold, own_sequences, spread
from proxy_model.train.token_table import Step

CONFIG, FINAL = "config.json", "final"


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    folder: Path
    run_id: str
    steps: int
    tokens: int
    loss: float  # mean of the last tenth of the accepted steps, nats a labelled token
    held_out: list[Score]
    spikes: int
    skipped: int
    seconds: float  # of this process
    model: ProxyLM = field(repr=False)


def train_model(
    settings: TrainSettings, held_out: HeldOut | None = None, *, resume: bool = False,
    listener: Listener | None = None, byte_lengths: NDArray[np.uint32] | None = None,
) -> Trained:  # fmt: skip
    """Train to the end, or go on from the newest checkpoint of `settings.folder`.

    byte_lengths: UTF-8 bytes of every id, for bits per byte of held-out rows (`settings.holdout_share`).
    Raises UsageError before any work for what does not fit together, Diverged when steps or the end cannot be trusted.
    """
    began, listener = time.perf_counter(), listener or Silent()
    device = open_device(settings.device, settings.precision)
    with told_of_memory(), reproducible(device, settings.threads), started(device) as ranks:
        run = _open(settings, held_out, device, ranks, byte_lengths)
        start = _start(run, resume, listener)
        listener.begins(start, len(run.plan), run.settings.tokens)
        for step in run.plan[start:]:
            _one(run, step, listener)
        return _finished(run, time.perf_counter() - began)


def check(settings: TrainSettings, dataset: PackedDataset) -> None:
    """Raises UsageError when the model cannot read the shards."""
    manifest = dataset.manifest
    if manifest.vocab_rows > settings.model.vocab_size:
        raise UsageError(
            f"{settings.shards}: ids up to {manifest.vocab_rows - 1:,}, the model has {settings.model.vocab_size:,} "
            "tokens",
            f"say model: {{vocab_size: {manifest.vocab_rows}}}, or pack with a smaller tokenizer",
        )


def _open(
    settings: TrainSettings, held: HeldOut | None, device: torch.device, ranks: Ranks,
    byte_lengths: NDArray[np.uint32] | None,
) -> Run:  # fmt: skip
    dataset = data.open_shards(settings.shards)
    check(settings, dataset)
    manifest = dataset.manifest
    rows, kept = data.split_off(data.scheduled(dataset), settings.holdout_share, manifest)
    if held is None and len(kept):
        held = of_rows(dataset, kept, data.documents_of(dataset, rows), byte_lengths)
        if not len(held):
            raise UsageError(
                f"every document of the {len(kept)} held-out rows also stands in a training row",
                "give documents instead: evaluate: {holdout: {documents: …}}",
            )
    if settings.subset_share < 1 and settings.seeds.subset is not None:
        rows = data.subset(rows, settings.subset_share, settings.seeds.subset)
    plan = settings.batch.steps(settings.tokens, manifest.sequence_length)
    check_ranks(settings, plan, ranks)
    order = data.run_order(rows, plan[-1].first + plan[-1].sequences, settings.seeds.order)
    identity = settings.identity(manifest.root, held.digest() if held else "")
    model = ProxyLM(settings.model, settings.seeds.init).to(device)
    weights = spread(settings, model, ranks)
    return Run(
        settings, dataset, order, plan, held, identity, device, ranks, model, weights,
        Optimizers(weights, settings.optimizer, settings.lr), Watch(settings.policy),
        Tally(manifest, read_groups(dataset.directory)), no_usage(settings, manifest, device),
        Log(settings.folder, ranks.first),
    )  # fmt: skip


def _start(run: Run, resume: bool, listener: Listener) -> int:
    """Number of steps that are done; the folder is ready afterwards."""
    folder = run.settings.folder
    there = checkpoint.found(folder)
    if not resume and (there or (folder / CONFIG).exists()):
        raise UsageError(f"{folder} holds a run already", "add --resume to go on with it, or name another run")
    if resume and (folder / CONFIG).exists():
        checkpoint.check_identity(folder, checkpoint.read_run(folder / CONFIG)["identity"], run.identity)
    run.ranks.wait()
    if run.ranks.first:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_json(folder / CONFIG, _described(run))
        except OSError as error:
            raise UsageError(f"{folder}: {explain_os_error(error)}", "name another folder: out: …") from None
    if not (resume and there):
        return 0
    found = checkpoint.load(there[-1], tensors_of(run), run.ranks)
    checkpoint.check_identity(there[-1], found.state["identity"], run.identity)
    restore(run, found)
    run.log.go_back(found.steps)
    listener.note(f"goes on after step {found.steps} ({there[-1]})")
    return found.steps


def _one(run: Run, step: Step, listener: Listener) -> None:
    settings, manifest = run.settings, run.dataset.manifest
    began = time.perf_counter()
    rows = run.order.take(own_sequences(step, run.ranks))
    size = min(settings.micro_batch or step.sequences, len(rows))
    parts = list(data.batches(run.dataset, rows, size))
    seen = step.tokens + step.sequences * manifest.sequence_length
    factor = settings.schedule.factor(seen, max(settings.tokens, seen))
    done = take_step(
        run.model, run.weights, run.optimizers, run.usage, parts, factor, settings.clip,
        lambda loss, norm: run.watch.judge(step.number, loss, norm), run.ranks,
    )  # fmt: skip
    for batch, nats in zip(parts, done.nats, strict=True):
        run.tally.add(batch, nats)
    _record(run, step, done, seen, factor, time.perf_counter() - began, listener)
    number, last = step.number + 1, step.number + 1 == len(run.plan)
    if last or (settings.evaluate_every and number % settings.evaluate_every == 0):
        _look(run, step.number, seen, listener)
    if last or (settings.checkpoint_every and number % settings.checkpoint_every == 0):
        run.log.flush()
        fold(run.tally, run.ranks)
        checkpoint.save(settings.folder, number, tensors_of(run), state_of(run), settings.keep, run.ranks)


def _record(run: Run, step: Step, done: Done, seen: int, factor: float, seconds: float, listener: Listener) -> None:
    tokens = step.sequences * run.dataset.manifest.sequence_length
    one_gpu = peak_flops(run.device)
    peak = None if one_gpu is None else one_gpu * run.ranks.world
    speed = tokens / seconds
    row = {
        "step": step.number, "tokens": seen, "loss": done.loss, "nats": done.loss * done.labels, "labels": done.labels,
        "aux": done.aux, "z": done.z, "lr": run.settings.lr * factor, "batch_tokens": tokens,
        "grad_norm": done.norm, "clipped": bool(run.settings.clip and done.norm > run.settings.clip),
        "skipped": done.verdict.skip, "spike": done.verdict.spike, "dropped": done.dropped, "tokens_per_s": speed,
        "mfu": None if peak is None else flops(run.settings.model, done.length).total * speed / peak,
    }  # fmt: skip
    run.log.add("steps", **row)
    listener.stepped(row)
    if done.verdict.skip or done.verdict.spike:
        what = "loss spike" if done.verdict.finite else "non-finite loss or gradient"
        listener.note(
            f"step {step.number}: {what} (loss {done.loss:.4g}, gradient norm {done.norm:.4g}), "
            + ("skipped" if done.verdict.skip else "counted")
        )


def _look(run: Run, number: int, seen: int, listener: Listener) -> None:
    """Bits per byte of held-out and training text, and what the experts did since the last look."""
    fold(run.tally, run.ranks)
    found = {"training": run.tally.take()}
    if run.held is not None:
        nats = nats_of(run.model, run.held, 4 * run.dataset.manifest.sequence_length)
        found["held_out"] = scores(run.held, nats)
        listener.evaluated(number, found["held_out"])
    for name, some in found.items():
        for one in some:
            run.log.add(
                "sources", step=number, tokens=seen, set=name, kind=one.kind, name=one.name, nats=one.nats,
                labels=one.labels, bytes=one.n_bytes, bits_per_byte=one.bits_per_byte,
            )  # fmt: skip
    for name, value in everywhere(run.usage, run.ranks).items():
        setattr(run.usage, name, value)
    for row in run.usage.table().to_pylist():
        for expert, (chosen, dropped) in enumerate(zip(row["chosen"], row["dropped"], strict=True)):
            run.log.add(
                "experts", step=number, layer=row["layer"], source=row["source"], expert=expert, chosen=chosen,
                dropped=dropped, tokens=row["tokens"], entropy=row["entropy"],
            )  # fmt: skip
    run.usage = no_usage(run.settings, run.dataset.manifest, run.device)


def _finished(run: Run, seconds: float) -> Trained:
    settings, log = run.settings, run.log
    with torch.no_grad():  # the final model has the fp32 values
        if run.weights.masters is not run.weights.live:
            run.model.float()
            for name, one in run.model.named_parameters():
                one.copy_(run.weights.masters[name])
    identity = run_id(run.identity)
    every = log.tables["steps"].to_pylist()
    steps = [one for one in every if not one["skipped"]]
    tail = [one["loss"] for one in steps[-max(1, len(steps) // 10) :]]
    found = [one for one in log.tables["sources"].to_pylist() if one["set"] == "held_out"]
    ending = max((one["step"] for one in found), default=-1)
    held = [
        Score(one["kind"], one["name"], one["nats"], one["labels"], one["bytes"])
        for one in found
        if one["step"] == ending
    ]
    _check_end(every[-2:], held)
    tokens = run.plan[-1].tokens + run.plan[-1].sequences * run.dataset.manifest.sequence_length
    extra = {"run": identity, "tokenizer": run.dataset.manifest.tokenizer, "tokens": tokens, "steps": len(run.plan)}
    state = gathered(run.model)
    if run.ranks.first:
        save_state(settings.model, state, settings.folder / FINAL, extra)
    run.ranks.wait()
    return Trained(
        settings.folder, identity, len(run.plan), tokens, float(np.mean(tail)) if tail else float("nan"), held,
        run.watch.spikes, run.watch.skipped, seconds, run.model,
    )  # fmt: skip


def _check_end(last: list[dict[str, Any]], held: list[Score]) -> None:
    """A run may be too short for the policy to end it; one that ends in NaN is no finished run all the same."""
    broken = all(not (math.isfinite(one["loss"]) and math.isfinite(one["grad_norm"])) for one in last)
    if broken or not all(math.isfinite(one.nats) for one in held):
        raise Diverged(
            f"step {last[-1]['step']}: the run ends without a finite {'loss' if broken else 'held-out score'}",
            "lower lr or lengthen the warmup; no final model was written",
        )


def _described(run: Run) -> dict[str, Any]:
    manifest = run.dataset.manifest
    gpu = torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else None
    return {
        "run": run_id(run.identity), "identity": run.identity, "shards": str(run.settings.shards.absolute()),
        "tokenizer": manifest.tokenizer, "sequence_length": manifest.sequence_length, "sources": manifest.sources,
        "versions": {"python": platform.python_version(), "torch": torch.__version__}, "gpu": gpu,
        "threads": run.settings.threads,
    }  # fmt: skip


def _write_json(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    os.replace(temporary, path)
