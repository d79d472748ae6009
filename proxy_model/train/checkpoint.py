"""Checkpoints: a folder with every tensor (safetensors) and every number (JSON), put in place by one rename.

    checkpoints/00000120/tensors.safetensors   weights (fp32 masters), optimizer state, buffers, random states
    checkpoints/00000120/state.json            identity of the run, steps done, watch

A run that is killed at any moment goes on from the newest one with the same losses, bit for bit, on one machine.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from curation.pipeline.errors import UsageError
from proxy_model.dist import ALONE, Ranks

FOLDER, TENSORS, SHARDS, STATE = "checkpoints", "tensors.safetensors", "shards", "state.json"
FORMAT = 1
SHOWN = 12  # differences that an error names


@dataclass(frozen=True)
class Checkpoint:
    """`steps`: finished before it.  `tensors` by name, `state` as it was given."""

    steps: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save(
    folder: Path, steps: int, tensors: dict[str, Tensor], state: dict[str, Any], keep: int, ranks: Ranks = ALONE
) -> Path:
    """Write checkpoints/<steps>, then remove all but the newest `keep`.

    On more processes each writes its shards (dist/checkpoint.py), and the first does the rest.
    """
    if ranks.world > 1:
        from proxy_model.dist.checkpoint import write_shards

        shards = folder / FOLDER / f".{steps:08}.{SHARDS}.tmp"
        if ranks.first:
            shutil.rmtree(shards, ignore_errors=True)
        ranks.wait()
        write_shards(shards, tensors, ranks)
        if ranks.first:
            _put(folder, steps, lambda filling: os.rename(shards, filling / SHARDS), state, keep)
        ranks.wait()
    else:
        whole = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
        _put(folder, steps, lambda filling: save_file(whole, filling / TENSORS), state, keep)
    return folder / FOLDER / f"{steps:08}"


def _put(folder: Path, steps: int, write: Callable[[Path], None], state: dict[str, Any], keep: int) -> None:
    parent = folder / FOLDER
    parent.mkdir(parents=True, exist_ok=True)
    for stale in parent.glob(".*.tmp"):
        if f".{SHARDS}." not in stale.name:
            shutil.rmtree(stale, ignore_errors=True)
    path = parent / f"{steps:08}"
    filling = parent / f".{path.name}.{os.getpid()}.tmp"
    filling.mkdir()
    write(filling)
    (filling / STATE).write_text(json.dumps({"format": FORMAT, "steps": steps, **state}, indent=1))
    for file in filling.rglob("*"):
        _sync(file)
    if path.exists():  # the same step again, after a resume from before it
        shutil.rmtree(path)
    os.rename(filling, path)
    _sync(parent)
    for old in found(folder)[:-keep]:
        (old / STATE).unlink()  # no checkpoint any more, even if the rest stays
        shutil.rmtree(old)


def found(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(path.parent for path in (folder / FOLDER).glob(f"[0-9]*/{STATE}"))


def load(path: Path, like: Mapping[str, Tensor] | None = None, ranks: Ranks = ALONE) -> Checkpoint:
    """Read one, whatever number of processes wrote it, spread as the tensors of `like` are.

    Raises UsageError when it is damaged or of another format.
    """
    try:
        state = json.loads((path / STATE).read_text())
        if (path / SHARDS).is_dir():
            from proxy_model.dist.checkpoint import read_shards

            tensors = read_shards(path / SHARDS, like or {}, ranks)
        else:
            tensors = load_file(path / TENSORS)
            if ranks.world > 1:
                from proxy_model.dist.checkpoint import spread_like

                tensors = spread_like(tensors, like or {})
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is damaged ({error})", "remove it: the checkpoint before it is used then") from None
    except Exception as error:  # safetensors' own error class is no ValueError
        if type(error).__name__ != "SafetensorError":
            raise
        raise UsageError(f"{path} is damaged ({error})", "remove it: the checkpoint before it is used then") from None
    if not isinstance(state, dict) or {"steps", "identity", "watch", "tally"} - state.keys():
        raise UsageError(f"{path / STATE} is damaged", "remove the checkpoint: the one before it is used then")
    if state.get("format") != FORMAT:
        raise UsageError(f"{path}: format {state.get('format')!r}, expected {FORMAT}")
    return Checkpoint(int(state["steps"]), tensors, state)


def read_run(path: Path) -> dict[str, Any]:
    """config.json of a training run.  Raises UsageError where it is none; FileNotFoundError."""
    try:
        described = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}", "train again under another name") from None
    if not isinstance(described, dict) or not isinstance(described.get("identity"), dict):
        raise UsageError(f"{path} does not describe a training run", "name the folder of a run of `curate proxy train`")
    return described


def check_identity(path: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    """Raises UsageError naming what differs between a checkpoint's run and this one."""
    lines = differences(there, here)
    if lines:
        more = f"\n  and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        raise UsageError(
            f"{path} belongs to another run:\n  " + "\n  ".join(lines[:SHOWN]) + more,
            "give this run another name (run: …), or restore the old settings",
        )


def differences(there: Any, here: Any, name: str = "") -> list[str]:
    """`key: old in the checkpoint, new here` for leaves that differ."""
    if isinstance(there, dict) and isinstance(here, dict):
        lines = []
        for key in [*there, *(key for key in here if key not in there)]:
            if there.get(key) != here.get(key):
                lines += differences(there.get(key), here.get(key), f"{name}.{key}" if name else str(key))
        return lines
    return [f"{name}: {there!r:.80} in the checkpoint, {here!r:.80} here"] if there != here else []


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Of torch's generators."""
    made = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        made["random.cuda"] = torch.cuda.get_rng_state(device)
    return made


def set_random_states(tensors: dict[str, Tensor], device: torch.device) -> None:
    """Back to those of a checkpoint."""
    torch.set_rng_state(tensors["random.cpu"])
    if device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], device)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
