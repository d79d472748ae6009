"""Expert parallelism: every process holds E / world experts whole, and rows travel to them.

    rows by expert ──all-to-all──▶ rows by (sender, expert) ──▶ by expert ──▶ experts ──▶ back the same way

Splits are what the router chose: uneven, and empty where nothing was chosen.  Dropped and padding rows stay at home.
Worth it where experts are large against the rows that travel (reference, proxy model §8: above some 2B parameters).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed._functional_collectives import all_to_all_single_autograd

from proxy_model.architecture import ModelConfigError
from proxy_model.dist.ranks import Ranks, local
from proxy_model.moe.dispatch import permute, plan_dispatch, unpermute
from proxy_model.moe.layer import MoE, run_experts


def spread_experts(layer: MoE, ranks: Ranks) -> list[nn.Parameter]:
    """Keep this process's experts only, as distributed tensors (E, …) split along E; returns the two parameters.

    The gradient of an expert comes from all processes' losses, of which training takes the mean: it is divided by
    their number here, as FSDP does elsewhere.  Raises ModelConfigError when E is no multiple of the processes.
    """
    from torch.distributed.tensor import DTensor, Shard

    if layer.config.experts % ranks.world:
        raise ModelConfigError(
            f"{layer.config.experts} experts cannot be spread evenly over {ranks.world} processes",
            "take a number of processes that divides the experts, or leave experts to FSDP",
        )
    own = layer.config.experts // ranks.world
    mine = slice(ranks.rank * own, (ranks.rank + 1) * own)
    made = []
    for name in ("gate_up", "down"):
        part = getattr(layer, name).detach()[mine].clone()
        whole = nn.Parameter(DTensor.from_local(part, ranks.mesh, [Shard(0)], run_check=False))
        whole.register_hook(lambda gradient: gradient / ranks.world)
        setattr(layer, name, whole)
        made.append(whole)
    layer.compute = Exchange(ranks)
    return made


class Exchange:
    """`moe.layer.Compute` with the experts of all processes."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def __call__(self, gate_up: Tensor, down: Tensor, rows: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
        world = self.ranks.world
        gate_up, down = local(gate_up), local(down)
        own = len(gate_up)
        counts = torch.diff(ends.long(), prepend=ends.new_zeros(1).long())
        table = self.ranks.gather(counts).view(world, world, own)  # [sender, receiver, expert of the receiver]
        sent = table[self.ranks.rank].sum(1).tolist()  # splits are the host's business: this waits for the device
        arriving = table[:, self.ranks.rank]
        received = arriving.sum(1).tolist()
        there = self._moved(rows[: sum(sent)], received, sent)
        their_weights = self._moved(weights[: sum(sent)], received, sent)
        experts = torch.arange(own, device=rows.device).repeat(world)
        plan = plan_dispatch(torch.repeat_interleave(experts, arriving.flatten(), output_size=sum(received)), own)
        made = run_experts(gate_up, down, permute(there, plan, 1), permute(their_weights, plan, 1), plan.ends)
        back = self._moved(unpermute(made, plan, 1), sent, received)
        return torch.cat([back, back.new_zeros(len(rows) - len(back), back.shape[1])])

    def _moved(self, values: Tensor, received: list[int], sent: list[int]) -> Tensor:
        return all_to_all_single_autograd(values.contiguous(), received, sent, self.ranks.mesh)  # type: ignore[no-any-return]
