"""A backbone with its heads and its tokenizer, and what it says of texts: the same figures as tier 0."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from proxy_model.heads.features import alone
from proxy_model.heads.model import RewardHeads
from proxy_model.heads.pool import Pooling
from proxy_model.heads.texts import Reader
from proxy_model.model import ProxyLM
from quality.rubric.rubric import SOLID
from quality.student.model import LOW_CATEGORY, Prediction

FORMAT = 1  # of the stored arrays and of what is computed from them


@dataclass(frozen=True)
class Tagger:
    """Everything that a label depends on, and the card about it."""

    model: ProxyLM
    heads: RewardHeads
    reader: Reader
    pooling: Pooling
    card: dict[str, Any] = field(repr=False)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of weights, heads, tokenizer and names, 32 hex digits (not of the card)."""
        spec = self.heads.spec
        names = [FORMAT, self.pooling, self.reader.max_tokens, self.reader.digest, spec.levels]
        described = [*names, list(spec.dimensions), list(spec.categories), self.model.config.to_json()]
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for name, value in _tensors(self):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.numpy().tobytes())
        return digest.hexdigest()[:32]

    def predict(self, texts: list[str]) -> Prediction:
        """Figures of each text, which depend on it alone.  A text of nothing but space has low confidence."""
        vectors = alone(self.model, self.reader.encode(texts), self.pooling).to(self.heads.mean.device)
        spec = self.heads.spec
        above = torch.zeros(len(texts), len(spec.dimensions), spec.levels - 1, dtype=torch.float64)
        p = torch.zeros(len(texts), len(spec.categories), dtype=torch.float64)
        for row in range(len(texts)):  # a product's last bits depend on its number of rows
            above[row : row + 1], p[row : row + 1] = self.heads.probabilities(vectors[row : row + 1])
        blank = np.array([not text.strip() for text in texts], dtype=bool)
        return assembled(above.numpy(), p.numpy(), self.heads.radius.tolist(), self.heads, blank)


def _tensors(tagger: Tagger) -> Iterator[tuple[str, Tensor]]:
    for prefix, module in (("backbone", tagger.model), ("heads", tagger.heads)):
        for name, value in sorted(module.state_dict().items()):
            yield f"{prefix}.{name}", value.detach().cpu().float().contiguous()


def assembled(above: Any, p: Any, radius: Any, heads: RewardHeads, blank: np.ndarray[Any, Any]) -> Prediction:
    """P(level ≥ j) float64[n, D, L − 1], categories float64[n, C] and radii ([D] or [n, D]) as a Prediction.

    blank: bool[n], texts that say nothing.
    """
    value, top = above.sum(axis=2), heads.spec.levels - 1.0
    half = np.broadcast_to(np.asarray(radius, np.float64), value.shape)
    lo, hi = np.clip(value - half, 0.0, top), np.clip(value + half, 0.0, top)
    level = (above > 0.5).sum(axis=2).astype(np.int8)
    solid = above[:, :, min(SOLID, heads.spec.levels - 1) - 1]
    unsure = p.max(axis=1) < LOW_CATEGORY if p.shape[1] else np.zeros(len(p), dtype=bool)

    def named(values: Any, kind: Any = np.float32) -> dict[str, Any]:
        return {name: values[:, d].astype(kind) for d, name in enumerate(heads.spec.dimensions)}

    return Prediction(
        named(value), named(lo), named(hi), named(level, np.int8), named(solid), p.astype(np.float32), unsure | blank
    )
