"""A ProxyLM as a transformers MiniMax checkpoint, with its tokenizer where one is known.

Refused where transformers would compute something else (`settings.losses`), unless told to go on.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from curation.pipeline.errors import UsageError
from proxy_model.files import replacing
from proxy_model.hf.load import SINGLE
from proxy_model.hf.names import Expert, hf_name
from proxy_model.hf.settings import losses, to_hf
from proxy_model.model import ProxyLM

TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json")
MAX_LENGTH = 131_072  # max_position_embeddings: nothing here depends on it


class LossyExport(UsageError):
    """transformers would not compute what the model computes."""


def export_hf(
    model: ProxyLM,
    directory: str | os.PathLike[str],
    *,
    allow_lossy: bool = False,
    tokenizer: Path | None = None,
    max_length: int = MAX_LENGTH,
) -> list[str]:
    """Write config.json, model.safetensors and the tokenizer's files; returns what was lost (empty unless allowed).

    `tokenizer`: a tokenizer.json; tokenizer_config.json beside it comes along.  Raises LossyExport, ModelConfigError.
    """
    lost = losses(model.config)
    if lost and not allow_lossy:
        remedy = "pass --allow-lossy to export all the same; logits of the exported model will differ"
        raise LossyExport(f"the export would change the model: {'; '.join(lost)}", remedy)
    specials = _specials(tokenizer)
    described = to_hf(model.config, max_length, specials)
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = dict(_hf_tensors(model))
    with replacing(folder / SINGLE) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    if tokenizer is not None:
        for name in TOKENIZER_FILES:
            source = tokenizer if name == TOKENIZER else tokenizer.with_name(name)
            if source.exists():
                with replacing(folder / name) as temporary:
                    shutil.copyfile(source, temporary)
    return lost


def _hf_tensors(model: ProxyLM) -> Iterator[tuple[str, Tensor]]:
    config = model.config
    parameters = {name: value.detach().float().cpu() for name, value in model.named_parameters()}
    for name, value in parameters.items():
        if name in ("embed.weight", "head.weight"):
            value = value[: config.vocab_size]
        theirs = hf_name(name, config)
        if theirs is not None:
            yield theirs, value.contiguous()
            continue
        layer = int(name.split(".")[1])
        for expert, matrix in enumerate(value):
            if name.endswith("gate_up"):
                gate, up = matrix.chunk(2)
                yield Expert(layer, expert, "w1").name, gate.contiguous()
                yield Expert(layer, expert, "w3").name, up.contiguous()
            else:
                yield Expert(layer, expert, "w2").name, matrix.contiguous()


def _specials(tokenizer: Path | None) -> dict[str, int | None]:
    """Numbers of the special tokens that tokenizer_config.json names, looked up in tokenizer.json."""
    if tokenizer is None:
        return {}
    beside = tokenizer.with_name("tokenizer_config.json")
    if not beside.exists():
        return {}
    roles: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    added = json.loads(tokenizer.read_text(encoding="utf-8")).get("added_tokens", [])
    numbers = {token["content"]: token["id"] for token in added}
    names = {role: roles.get(f"{role}_token") for role in ("bos", "eos", "pad")}
    texts = {role: name.get("content") if isinstance(name, dict) else name for role, name in names.items()}
    return {f"{role}_token_id": numbers.get(text) for role, text in texts.items() if text is not None}
