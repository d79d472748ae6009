"""A transformers MiniMax checkpoint as a ProxyLM: one file or shards, either naming of experts, tied or not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from proxy_model.architecture import ModelConfig
from proxy_model.files import ModelFileError, filled
from proxy_model.hf.names import BUFFERS, Expert, own_name
from proxy_model.hf.settings import from_hf
from proxy_model.model import ProxyLM

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def load_hf(
    directory: str | os.PathLike[str], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ProxyLM:
    """The model in a folder that `save_pretrained` wrote.  Raises ModelFileError, ModelConfigError."""
    folder = Path(directory)
    try:
        config = from_hf(_json(folder / "config.json"))
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{folder / 'config.json'} is no config of MiniMax: {said}", "copy it again") from None
    return filled(config, lambda: own_tensors(folder, config), str(folder), device, dtype)


def own_tensors(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    """Their tensors under our names; those without a counterpart keep theirs, so that the check names them."""
    tensors: dict[str, Tensor] = {}
    experts: dict[int, dict[str, dict[int, Tensor]]] = {}
    for name, tensor in _tensors(folder):
        if BUFFERS.search(name):
            continue
        own = own_name(name, config)
        if isinstance(own, Expert):
            experts.setdefault(own.layer, {}).setdefault(own.matrix, {})[own.expert] = tensor
        else:
            tensors[own or name] = tensor
    for layer, matrices in experts.items():
        stacked = {matrix: _stacked(folder, layer, matrix, parts, config) for matrix, parts in matrices.items()}
        if missing := {"w1", "w2", "w3"} - set(stacked):
            raise ModelFileError(f"{folder}: layer {layer} lacks the experts' {', '.join(sorted(missing))}")
        tensors[f"blocks.{layer}.feed_forward.gate_up"] = torch.cat([stacked["w1"], stacked["w3"]], dim=1)
        tensors[f"blocks.{layer}.feed_forward.down"] = stacked["w2"]
    if config.tied:
        tensors.pop("head.weight", None)
    for name in ("embed.weight", "head.weight"):
        if name in tensors and len(tensors[name]) == config.vocab_size:
            rest = tensors[name].new_zeros(config.rows - config.vocab_size, config.width)
            tensors[name] = torch.cat([tensors[name], rest])
    return tensors


def _stacked(folder: Path, layer: int, matrix: str, parts: dict[int, Tensor], config: ModelConfig) -> Tensor:
    if sorted(parts) != list(range(config.experts)):
        raise ModelFileError(f"{folder}: layer {layer} has {matrix} of {len(parts)} experts, not of {config.experts}")
    return torch.stack([parts[expert] for expert in range(config.experts)])


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    names = [SINGLE]
    if (folder / INDEX).exists():
        names = sorted(set(_json(folder / INDEX)["weight_map"].values()))
    for name in names:
        path = folder / Path(name).name  # an index may not lead out of its folder
        try:
            with safe_open(path, framework="pt") as handle:
                for key in handle.keys():  # noqa: SIM118 - no mapping
                    yield key, handle.get_tensor(key)
        except FileNotFoundError:
            raise ModelFileError(f"{path} is not there", "only safetensors checkpoints are read") from None
        except SafetensorError as error:
            raise ModelFileError(f"{path} is damaged: {error}", "copy the checkpoint again") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFileError(f"{path} is not there", "name a folder that save_pretrained wrote") from None
    except ValueError as error:
        raise ModelFileError(f"{path} is no JSON: {error}", "copy the checkpoint again") from None
    if not isinstance(found, dict):
        raise ModelFileError(f"{path} is no JSON object", "copy the checkpoint again")
    return found
