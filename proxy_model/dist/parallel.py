"""Spreading a model over processes: FSDP2 by block, experts by process where asked for.

FSDP keeps fp32 shards of every parameter, gathers a block's before it runs, and leaves the mean of the processes'
gradients on the shards; with bf16 the gathered copies are bf16 and gradients are reduced in fp32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from proxy_model.dist.experts import spread_experts
from proxy_model.dist.ranks import Ranks
from proxy_model.moe import routers


def wrap(model: nn.Module, ranks: Ranks, *, bf16: bool = False, expert_parallel: bool = False) -> nn.Module:
    """Spread a ProxyLM whose weights every process holds whole and equal; in place, nothing on one process.

    Afterwards `model.parameters()` are distributed tensors: an optimizer made from them keeps its state in shards.
    """
    if ranks.world == 1:
        return model
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    _let_fsdp_look_into_output()
    apart: set[nn.Parameter] = set()
    for layer in routers(model):
        layer.peers = ranks
        if expert_parallel:
            apart.update(spread_experts(layer, ranks))
    narrow = torch.bfloat16 if bf16 else None
    policy = MixedPrecisionPolicy(param_dtype=narrow, reduce_dtype=torch.float32 if bf16 else None)
    settings: dict[str, Any] = {"mesh": ranks.mesh, "mp_policy": policy, "ignored_params": apart}
    for block in model.get_submodule("blocks").children():
        fully_shard(block, **settings)
    # the root holds embedding, norm and head: kept after forward, because the loss multiplies with the head's weight
    fully_shard(model, **settings, reshard_after_forward=False)
    return model


def gathered(model: nn.Module) -> dict[str, Tensor]:
    """The whole state dict as plain CPU tensors, on the first process; on others an empty dict.  A collective."""
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    if isinstance(model, FSDPModule):
        model.reshard()
    found: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            found[name] = whole.detach().cpu()
    return found


def _let_fsdp_look_into_output() -> None:
    """FSDP hooks the tensors that it finds in a module's result; a dataclass has to be made known to it."""
    from torch.utils import _pytree as pytree

    from proxy_model.model import Output

    if Output not in pytree.SUPPORTED_NODES:
        pytree.register_dataclass(Output)
