"""The layer: router, dispatch by expert, two grouped products, combination.

Plain on one process.  `peers` lets it see the counts of others, `compute` lets somebody else run the experts
(`dist/experts.py` sends rows to the process that holds the expert); neither is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from proxy_model.architecture import ModelConfig, ModelConfigError
from proxy_model.moe.activation import weighted_swiglu
from proxy_model.moe.balance import balance_loss, shares, z_loss
from proxy_model.moe.capacity import capacity, within_capacity
from proxy_model.moe.dispatch import permute, plan_dispatch, unpermute
from proxy_model.moe.grouped import ALIGN, grouped_linear
from proxy_model.moe.peers import ALONE, Peers
from proxy_model.moe.router import choose, router_logits
from proxy_model.moe.routing import Routing

# (gate_up, down, rows [R, d] by expert, weights [R], ends int32 [E]) → [R, d]
Compute = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


class MoE(nn.Module):
    """x [T, d] → y [T, d] and how it was routed.  Parameters gate.weight (E, d), gate_up (E, 2I, d), down (E, d, I).

    Raises ModelConfigError for sizes that grouped products cannot take.
    """

    steps: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        for name in ("width", "expert_width"):
            if getattr(config, name) % ALIGN:
                raise ModelConfigError(f"{name} {getattr(config, name)} is no multiple of {ALIGN}, as experts need")
        self.config = config
        shape = config.experts, 2 * config.expert_width, config.width
        self.gate = nn.Linear(config.width, config.experts, bias=False)
        self.gate_up = nn.Parameter(torch.empty(shape))
        self.down = nn.Parameter(torch.empty(config.experts, config.width, config.expert_width))
        self.peers: Peers = ALONE
        self.compute: Compute = run_experts
        if config.bias_rate:
            # whole steps, not their value: exact in every dtype that a model is cast to
            self.register_buffer("steps", torch.zeros(config.experts, dtype=torch.int64))
        self.pending: Tensor | None = None  # global counts since the last update of the bias
        for weight in (self.gate_up, self.down):
            nn.init.normal_(weight, std=0.02)

    def forward(self, x: Tensor, real: Tensor | None = None) -> tuple[Tensor, Routing]:
        """`real` bool [T]: tokens that are no padding.  Others take no room and enter no loss and no count.

        Without a capacity they are computed like the rest, which is cheaper than to cut out the thousandth that they
        are; with one they find no room.  A capacity holds while training only: evaluation drops nothing, or an item's
        score would depend on its neighbours.
        """
        k, count = self.config.experts_per_token, self.config.experts
        logits = router_logits(x, self.gate.weight)
        probabilities = logits.softmax(-1)
        experts, weights = choose(probabilities, k, self._bias(probabilities))
        choices = experts.flatten()
        real_choices = None if real is None else real.repeat_interleave(k)

        first = choices if self.config.aux == "switch" else experts[:, 0]
        real_first = real_choices if self.config.aux == "switch" else real
        counts = _counts(choices, count, real_choices)
        tokens = torch.full_like(counts[:1], len(x)) if real is None else real.sum(0, keepdim=True)
        everywhere = self.peers.gather(torch.cat([counts, _counts(first, count, real_first), tokens]))
        summed = everywhere.sum(0)
        all_tokens = summed[-1]

        kept = None
        if self.config.capacity_factor is not None and self.training:
            room = capacity(self.config.capacity_factor, k, all_tokens, count)
            before = everywhere[: self.peers.rank, :count].sum(0)
            kept = within_capacity(choices, count, room, before, real_choices)
        dropped = counts.sum() - kept.sum() if kept is not None else torch.zeros_like(all_tokens)

        plan = plan_dispatch(choices, count, kept)
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        rows = permute(x.to(dtype), plan, k)
        row_weights = permute(weights.flatten(), plan, 1)
        rows = self.compute(self.gate_up.to(dtype), self.down.to(dtype), rows, row_weights, plan.ends)
        y = unpermute(rows, plan, k)

        if self.training and self.config.bias_rate:
            self.pending = summed[:count] if self.pending is None else self.pending + summed[:count]
        # a process's own share of the global batch times the number of processes: see balance.py
        divisor = all_tokens.clamp(min=1).to(logits.dtype) / self.peers.world
        return y, Routing(
            experts=experts,
            weights=weights.detach(),
            probabilities=probabilities.detach(),
            kept=None if kept is None else kept.view(-1, k),
            aux=balance_loss(probabilities, shares(summed[count : 2 * count]), divisor, real),
            z=z_loss(logits, divisor, real),
            counts=counts,
            dropped=dropped,
        )

    def _bias(self, like: Tensor) -> Tensor | None:
        return self.config.bias_rate * self.steps.to(like.dtype) if self.config.bias_rate else None

    @torch.no_grad()
    def update_bias(self, move: bool = True) -> None:
        """After an optimizer step: one step up for experts below the mean of their counts, one down above."""
        if self.pending is not None and move:
            mean = self.pending.double().mean()
            self.steps += (mean - self.pending.double()).sign().long()
        self.pending = None


def run_experts(gate_up: Tensor, down: Tensor, rows: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
    """The experts that the matrices hold, on rows in their order: down(SiLU(gate) ∘ up · weight)."""
    return grouped_linear(weighted_swiglu(grouped_linear(rows, gate_up, ends), weights), down, ends)


def routers(model: nn.Module) -> Iterator[MoE]:
    """All MoE layers of a model, in order."""
    return (module for module in model.modules() if isinstance(module, MoE))


def update_biases(model: nn.Module, move: bool = True) -> None:
    """What a training loop calls after every step, with `move` False after a skipped one: its counts are forgotten."""
    for layer in routers(model):
        layer.update_bias(move)


def _counts(choices: Tensor, experts: int, real: Tensor | None) -> Tensor:
    """int64 [E] by comparison: no atomics, and no wait for the device as torch.bincount has."""
    hits = choices[:, None] == torch.arange(experts, device=choices.device)
    return (hits if real is None else hits & real[:, None]).sum(0)
