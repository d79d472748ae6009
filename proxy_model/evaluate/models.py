"""From a path to a scorer and its tokenizer: a model of this project, or a Hugging Face folder."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.scoring import Scorer
from proxy_model.evaluate.tokens import EvaluationTokenizer

DTYPES = ("float32", "bfloat16", "float16")
BUDGETS = {"cpu": 2_048, "cuda": 65_536}  # tokens of a forward pass


@dataclass(frozen=True)
class Opened:
    """A model ready to be evaluated."""

    scorer: Scorer
    tokenizer: EvaluationTokenizer


def open_model(
    path: Path, tokenizer: Path | None, *, hf: bool = False, device: str | None = None, dtype: str | None = None,
    budget: int | None = None, max_length: int | None = None,
) -> Opened:  # fmt: skip
    """Raises UsageError: no torch or transformers, no such model, a tokenizer that is missing or not the model's."""
    try:
        import torch
    except ModuleNotFoundError:
        raise UsageError("evaluation needs torch", "pip install 'curate-lm[proxy]'") from None
    if not path.is_dir():
        raise UsageError(f"{path} is no folder of a model")
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if re.fullmatch(r"cpu|cuda(:\d+)?", where) is None:
        raise UsageError(f"no device is called {where!r}", "--device cpu, cuda or cuda:1")
    if where.startswith("cuda") and int(where.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise UsageError(f"there is no CUDA device {where} here", "--device cpu")
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"no dtype is called {dtype!r}", f"known: {', '.join(DTYPES)}")
    kind = getattr(torch, dtype or ("bfloat16" if where.startswith("cuda") else "float32"))
    tokens = budget or BUDGETS.get(where.partition(":")[0], BUDGETS["cpu"])
    if hf:
        return _hugging_face(path, tokenizer, where, kind, tokens, max_length)
    return _own(path, tokenizer, where, kind, tokens, max_length)


def _own(path: Path, tokenizer: Path | None, device: str, dtype: Any, budget: int, max_length: int | None) -> Opened:
    from proxy_model.evaluate.scoring import ProxyScorer
    from proxy_model.evaluate.tokens import JsonTokenizer
    from proxy_model.files import load_model, read_extra
    from proxy_model.own_tokenizer import own_tokenizer

    folder = path / "final" if (path / "final" / "config.json").is_file() else path  # a training run's folder
    model = load_model(folder, device, dtype)
    trained = read_extra(folder).get("tokenizer")
    tokenizer = tokenizer or own_tokenizer(folder, trained)
    if tokenizer is None:
        raise UsageError(f"{path}: no tokenizer beside it nor in the run of its shards", "name it with --tokenizer")
    opened = JsonTokenizer(tokenizer)
    if trained is not None and trained != opened.digest:
        raise UsageError(
            f"{tokenizer} ({opened.digest[:12]}) is not the tokenizer that {path} was trained with ({trained[:12]})",
            "scores of a model that reads other ids mean nothing: name the tokenizer of its shards",
        )
    return Opened(ProxyScorer(model, files_digest(folder), budget=budget, max_length=max_length), opened)


def _hugging_face(
    path: Path, tokenizer: Path | None, device: str, dtype: Any, budget: int, max_length: int | None
) -> Opened:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ModuleNotFoundError:
        raise UsageError("a Hugging Face model needs transformers", "pip install 'curate-lm[hf]'") from None
    from proxy_model.evaluate.hf import HFScorer
    from proxy_model.evaluate.tokens import HFTokenizer, JsonTokenizer

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, local_files_only=True, use_safetensors=True, dtype=dtype
        )
        own = None if tokenizer else AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise UsageError(f"{path} is no causal language model of transformers: {said}") from error
    opened = JsonTokenizer(tokenizer) if tokenizer else HFTokenizer(own)
    return Opened(HFScorer(model.to(device), files_digest(path), budget=budget, max_length=max_length), opened)


def files_digest(folder: Path) -> str:
    """SHA-256 over the weights and the config of a folder; names and order do not depend on the machine."""
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")]):
        digest.update(file.name.encode() + b"\0")
        with open(file, "rb") as stored:
            digest.update(hashlib.file_digest(stored, "sha256").digest())
    return digest.hexdigest()
