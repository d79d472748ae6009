"""A tagger on disk, complete in one folder and without pickle.

`card.json` (what it is, data hashes, held-out figures, its hash; written last), `heads.safetensors` (see
`RewardHeads`), `tokenizer.json` (as it was given), `backbone/` (`proxy_model.files`: model.safetensors, config.json).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import write_atomic
from proxy_model.files import load_model, save_model
from proxy_model.heads.model import HeadsSpec, RewardHeads
from proxy_model.heads.pool import POOLINGS, pooled_width
from proxy_model.heads.tagger import FORMAT, Tagger
from proxy_model.heads.texts import Reader, check_vocabulary

HEADS, CARD, TOKENIZER, BACKBONE = "heads.safetensors", "card.json", "tokenizer.json", "backbone"
KIND = "curate-proxy-heads"
MAX_CARD_BYTES = 4 << 20
REMEDY = "train it again: curate quality train … --model proxy:CHECKPOINT"


def save_tagger(tagger: Tagger, folder: Path | str) -> None:
    """Write all files; a folder without a card holds no tagger."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    save_model(tagger.model, folder / BACKBONE)
    heads = {name: value.detach().cpu().contiguous() for name, value in tagger.heads.state_dict().items()}
    write_atomic(folder / HEADS, save_tensors(heads))
    write_atomic(folder / TOKENIZER, tagger.reader.json)
    write_atomic(folder / CARD, json.dumps(_card(tagger), indent=1, ensure_ascii=False).encode() + b"\n")


def load_tagger(folder: Path | str, device: torch.device | str = "cpu") -> Tagger:
    """UsageError or ModelFileError names the file and what is wrong with it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such tagger", "give the folder that the training wrote")
    card = _read_card(folder / CARD)
    model = load_model(folder / BACKBONE, device).eval()
    try:
        spec = HeadsSpec(
            pooled_width(model.config.width, card["pooling"]),
            tuple(str(one["name"]) for one in card["scores"]),
            int(card["scores"][0]["levels"]),
            tuple(map(str, card["categories"])),
        )
        pooling, max_tokens = card["pooling"], int(card["max_tokens"])
        if pooling not in POOLINGS or max_tokens < 2:
            raise ValueError(f"pooling {pooling!r}, max_tokens {max_tokens}")
        heads = _heads(spec, folder / HEADS).to(device)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        told = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{folder}: this is no tagger of this program: {told}", REMEDY) from None
    reader = Reader(folder / TOKENIZER, max_tokens)
    check_vocabulary(reader, model.config.vocab_size, None, str(folder))
    tagger = Tagger(model, heads, reader, pooling, card)
    if card.get("hash") != tagger.hash:
        raise UsageError(f"{folder}: the files do not belong together", REMEDY)
    return tagger


def _card(tagger: Tagger) -> dict[str, Any]:
    spec = tagger.heads.spec
    made = {
        "kind": KIND,
        "format": FORMAT,
        "hash": tagger.hash,
        "tokenizer": tagger.reader.digest,
        "pooling": tagger.pooling,
        "max_tokens": tagger.reader.max_tokens,
        "scores": [{"name": name, "levels": spec.levels} for name in spec.dimensions],
        "categories": list(spec.categories),
    }
    return made | {key: value for key, value in tagger.card.items() if key not in made}


def _heads(spec: HeadsSpec, path: Path) -> RewardHeads:
    heads = RewardHeads(spec)
    try:
        found: dict[str, Tensor] = load_tensors(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", REMEDY) from None
    except SafetensorError as error:
        raise UsageError(f"{path}: no safetensors file: {error}", REMEDY) from None
    for name, value in found.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} has a value that is not finite")
    heads.load_state_dict(found)
    if (heads.scale <= 0).any():
        raise ValueError("scale has a value that is not positive")
    return heads.eval()


def _read_card(path: Path) -> dict[str, Any]:
    try:
        if os.path.getsize(path) > MAX_CARD_BYTES:
            raise UsageError(f"{path}: too large for a card", REMEDY)
        card = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", REMEDY) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no JSON: {error}", REMEDY) from None
    if not isinstance(card, dict) or card.get("kind") != KIND or card.get("format") != FORMAT:
        raise UsageError(f"{path}: not the card of a proxy tagger of format {FORMAT}", REMEDY)
    return card
