"""A model on disk: `model.safetensors` and `config.json`, no pickle.

Both are written to a temporary name and renamed, the config last: a folder without one holds no model.  The weights
carry the config too, so that two halves of different models are never taken for one.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from curation.pipeline.errors import CurateError
from proxy_model.architecture import ModelConfig, from_json
from proxy_model.model import ProxyLM

FORMAT = "curate-proxy-1"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
SHOWN = 5  # names in an error


class ModelFileError(CurateError):
    """A folder that holds no model, or another one than was asked for."""


def save_model(model: ProxyLM, directory: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> None:
    """Write a model; `extra` is JSON about where it comes from (see `read_extra`)."""
    save_state(model.config, model.state_dict(), directory, extra)


def save_state(
    config: ModelConfig,
    state: Mapping[str, Tensor],
    directory: str | os.PathLike[str],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """The same from a state dict (whole tensors, any device)."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    described = json.dumps(config.to_json(), sort_keys=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with replacing(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"config": described})  # one key: the order of several is random
    record = {"format": FORMAT, "model": config.to_json(), "extra": dict(extra or {})}
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_config(directory: str | os.PathLike[str]) -> ModelConfig:
    """The config of a saved model.  Raises ModelFileError, or ModelConfigError for unknown keys."""
    return from_json(_record(Path(directory))["model"])


def read_extra(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What `save_model` was told."""
    return dict(_record(Path(directory)).get("extra", {}))


def load_model(
    directory: str | os.PathLike[str],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    config: ModelConfig | None = None,
) -> ProxyLM:
    """The saved model.  With `config` given, a checkpoint of any other is refused.

    Raises ModelFileError naming what differs and what to do.
    """
    folder = Path(directory)
    saved = read_config(folder)
    if config is not None and config != saved:
        raise ModelFileError(
            f"{folder} is a checkpoint of another config: {differences(saved, config)}",
            "use the config it was trained with, or start a new run in another folder",
        )
    return filled(saved, lambda: _read_weights(folder, saved), str(folder / WEIGHTS), device, dtype)


def filled(
    config: ModelConfig, read: Callable[[], Mapping[str, Tensor]], origin: str, device: Any, dtype: torch.dtype
) -> ProxyLM:
    """A model with the tensors that `read` gives; raises ModelFileError when they are not exactly its own."""
    with torch.device("meta"):
        model = ProxyLM(config)
    model = model.to(dtype).to_empty(device=device)
    own, given = model.state_dict(), read()
    problems = [f"{name} is missing" for name in own if name not in given]
    problems += [f"{name} is not part of the model" for name in given if name not in own]
    problems += [
        f"{name} has shape {list(given[name].shape)}, the config makes it {list(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        remedy = "the weights belong to another config: take both from the same checkpoint"
        raise ModelFileError(f"{origin}: {'; '.join(problems[:SHOWN])}{more}", remedy)
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(given[name])
    return model


def differences(saved: ModelConfig, wanted: ModelConfig) -> str:
    """The keys in which two configs differ, in words."""
    a, b = saved.to_json(), wanted.to_json()
    return ", ".join(f"{key} is {a[key]}, not {b[key]}" for key in a if a[key] != b[key])


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; afterwards its content is on the disk and has taken the place of `path`."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _record(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFileError(
            f"{folder} holds no model: there is no {CONFIG}", "name a folder of `final/` kind"
        ) from None
    except ValueError as error:
        raise ModelFileError(f"{path} is no JSON: {error}", "copy the checkpoint again") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        remedy = "a checkpoint of transformers is loaded with proxy_model.hf.load_hf"
        raise ModelFileError(f"{path} does not describe a model of this project (format {FORMAT})", remedy)
    if not isinstance(record.get("model"), dict) or not isinstance(record.get("extra", {}), dict):
        raise ModelFileError(f"{path} is damaged: 'model' and 'extra' have to be objects", "copy the checkpoint again")
    return record


def _read_weights(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise ModelFileError(f"{folder} has no {WEIGHTS}", "copy the checkpoint again") from None
    except SafetensorError as error:
        raise ModelFileError(f"{path} is damaged: {error}", "copy the checkpoint again") from None
    try:
        written = from_json(json.loads(metadata["config"])) if "config" in metadata else config
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"{path}: its own config is unreadable: {error}", "copy the checkpoint again") from None
    if written != config:
        raise ModelFileError(
            f"{path} was written for another config than {CONFIG} beside it: {differences(written, config)}",
            "take both files from the same checkpoint",
        )
    return tensors
