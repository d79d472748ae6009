"""Optimizers over named parameters: which get weight decay, what Muon takes, fp32 master weights of a bf16 model.

AdamW decays matrices and experts, not embeddings, head, norms and other vectors (OLMo-core: 0 on embeddings).
Muon (Jordan 2024; torch.optim.Muon, 2-D only) takes the same matrices, every expert as a matrix of its own, which
shares the memory of the stacked parameter; embedding, head, router and vectors stay with AdamW.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from curation.pipeline.errors import UsageError
from proxy_model.dist import ALONE, Ranks
from proxy_model.dist.ranks import clip as clip_gradients
from proxy_model.train.settings import Optimizer, Precision

WIDE = ("embed.", "head.")  # rows are looked up, not multiplied through
ROUTER = "gate.weight"


class Weights:
    """The fp32 values that are trained, by name.  With bf16 the model holds their rounded copies."""

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self.live: dict[str, Tensor] = {name: one for name, one in model.named_parameters() if one.requires_grad}
        self.masters = self.live
        if precision == "bf16":
            self.masters = {
                name: one.detach().to(torch.float32, copy=True).requires_grad_() for name, one in self.live.items()
            }
            for one in self.live.values():  # not model.to(): buffers, such as the balancing bias, stay fp32
                one.data = one.data.to(torch.bfloat16)

    def collect(self) -> None:
        """Add the gradients of one backward pass to those of the masters, in fp32."""
        if self.masters is self.live:
            return
        for name, one in self.live.items():
            if one.grad is None:
                continue
            master = self.masters[name]
            grad = one.grad.float()
            master.grad = grad if master.grad is None else master.grad.add_(grad)
            one.grad = None

    def publish(self) -> None:
        """Round the masters into the model."""
        if self.masters is not self.live:
            with torch.no_grad():
                for name, one in self.live.items():
                    one.copy_(self.masters[name])

    def forget(self) -> None:
        """No gradients."""
        for one in (*self.live.values(), *self.masters.values()):
            one.grad = None


class Optimizers:
    """One or two torch optimizers behind one `step`, with their state by parameter name."""

    def __init__(self, weights: Weights, settings: Optimizer, lr: float) -> None:
        self.weights, self.settings, self.lr = weights, settings, lr
        self._experts: dict[str, list[Tensor]] = {}
        fused = any(one.is_cuda for one in weights.masters.values())
        groups: dict[bool, dict[str, Tensor]] = {True: {}, False: {}}
        muon: dict[str, Tensor] = {}
        for name, one in weights.masters.items():
            if settings.kind == "muon" and is_matrix(name, one) and not name.endswith(ROUTER):
                muon.update(self._matrices(name, one))
            else:
                groups[is_matrix(name, one)][name] = one
        self.named = {**groups[True], **groups[False], **muon}
        self._every: list[tuple[torch.optim.Optimizer, float]] = []
        adam = [
            {"params": list(some.values()), "weight_decay": settings.weight_decay if decayed else 0.0}
            for decayed, some in groups.items()
            if some
        ]
        if adam:
            made = torch.optim.AdamW(adam, lr=lr, betas=settings.betas, eps=settings.eps, fused=fused or None)
            self._every.append((made, lr))
        if muon:
            if not hasattr(torch.optim, "Muon"):
                raise UsageError(f"torch {torch.__version__} has no Muon", "say optimizer: {kind: adamw}")
            rate = settings.muon_lr
            decay = settings.weight_decay
            self._every.append((torch.optim.Muon(list(muon.values()), lr=rate, weight_decay=decay), rate))

    def _matrices(self, name: str, one: Tensor) -> Iterator[tuple[str, Tensor]]:
        if one.dim() == 2:
            yield name, one
            return
        views = [matrix.detach().requires_grad_() for matrix in one.detach().unbind(0)]
        self._experts[name] = views
        for number, matrix in enumerate(views):
            yield f"{name}[{number}]", matrix

    def step(self, factor: float) -> None:
        """Move the masters with the peak rates times `factor`, then the model."""
        for name, views in self._experts.items():
            grad = self.weights.masters[name].grad
            for number, matrix in enumerate(views):
                matrix.grad = None if grad is None else grad[number]
        for one, rate in self._every:
            for group in one.param_groups:
                group["lr"] = rate * factor
            one.step()
        self.weights.publish()

    def state(self) -> dict[str, Tensor]:
        """`NAME|KEY` → tensor of every state of every parameter."""
        made: dict[str, Tensor] = {}
        for name, one in self.named.items():
            for key, value in self._state_of(one).items():
                made[f"{name}|{key}"] = value
        return made

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the tensors of `state()` of equal parameters."""
        for entry, value in state.items():
            name, _, key = entry.rpartition("|")
            one = self.named[name]
            step_like = value.dim() == 0 and not one.is_cuda
            self._holder(one).state[one][key] = value.clone() if step_like else value.to(one.device, copy=True)

    def _holder(self, one: Tensor) -> torch.optim.Optimizer:
        for made, _ in self._every:
            if any(one is member for group in made.param_groups for member in group["params"]):
                return made
        raise KeyError("parameter of no optimizer")

    def _state_of(self, one: Tensor) -> dict[str, Any]:
        return {key: value for key, value in self._holder(one).state.get(one, {}).items() if isinstance(value, Tensor)}


def is_matrix(name: str, one: Tensor) -> bool:
    """Whether a parameter is decayed: a matrix or a stack of them, but no embedding and no head."""
    return one.dim() >= 2 and not name.startswith(WIDE)


def clip(weights: Weights, limit: float, ranks: Ranks = ALONE) -> Tensor:
    """Scale the masters' gradients to a common norm of at most `limit`; returns the norm before, a scalar tensor."""
    return clip_gradients([one.grad for one in weights.masters.values() if one.grad is not None], limit, ranks)
