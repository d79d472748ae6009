"""The processes of one run, as a training loop sees them.

Small sums are gathered and added in the order of ranks, so that every process holds the same bits and takes the same
decisions (skip a step, stop), whatever algorithm the library's reduction would choose.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from curation.pipeline.errors import UsageError

PATIENCE = timedelta(minutes=15)  # of a collective: a rank that evaluates or writes may be late, a dead one is noticed


@dataclass(frozen=True)
class Ranks:
    """`rank` of `world` processes; the mesh is None for one.  Serves as `moe.Peers`."""

    rank: int = 0
    world: int = 1
    mesh: Any = None  # torch DeviceMesh, one dimension

    @property
    def first(self) -> bool:
        """Whether this process writes what only one may write."""
        return self.rank == 0

    def gather(self, values: Tensor) -> Tensor:
        """[…] → [world, …], no gradient."""
        if self.world == 1:
            return values[None]
        flat = values.detach().reshape(1, -1).contiguous()
        found = flat.new_empty(self.world, flat.shape[1])
        _all_gather(found, flat)
        return found.view(self.world, *values.shape)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over processes, the same bits on all; no gradient."""
        return values if self.world == 1 else self.gather(values).sum(0)

    def mean(self, values: Tensor) -> Tensor:
        """What data parallelism makes of a loss."""
        return values if self.world == 1 else self.sum(values) / self.world

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        """Euclidean norm of all gradients: every process's own parts count once."""
        parts = [local(one) for one in gradients]
        wide = [one if one.dtype == torch.float64 else one.float() for one in parts]
        own = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in wide]))
        return own if self.world == 1 else self.sum(own.double().square()).sqrt().to(own.dtype)

    def collect(self, value: Any) -> list[Any]:
        """A JSON-like value of every process, on every process."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()


ALONE = Ranks()
# torch 2.13 renamed it and warns of the old name
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


def clip(gradients: Sequence[Tensor], limit: float, ranks: Ranks = ALONE) -> Tensor:
    """Scale to a common norm of at most `limit` (0: leave them); returns the norm before, the same on all ranks."""
    norm = ranks.norm(gradients)
    if limit:
        scale = torch.clamp(limit / (norm + 1e-6), max=1.0)
        for one in gradients:
            part = local(one)
            part.mul_(scale.to(part.dtype))
    return norm


def local(tensor: Tensor) -> Tensor:
    """This process's part of a distributed tensor; a plain tensor itself."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def first_process() -> bool:
    """Whether this process is the one that prints and reports, also after `started` has ended."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def started(device: torch.device) -> Iterator[Ranks]:
    """The processes that torchrun started, or ALONE; gloo on CPU, NCCL on CUDA, where each takes its own GPU.

    Raises UsageError when more processes than GPUs stand on one machine.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    here = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if here >= torch.cuda.device_count():
            raise UsageError(
                f"process {here} of this machine has no GPU of its own: there are {torch.cuda.device_count()}",
                f"torchrun --nproc-per-node {max(1, torch.cuda.device_count())} …",
            )
        torch.cuda.set_device(here)
    mine = not dist.is_initialized()
    if mine:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        from torch.distributed.device_mesh import init_device_mesh

        mesh = init_device_mesh(device.type, (dist.get_world_size(),), mesh_dim_names=("ranks",))
        yield Ranks(dist.get_rank(), dist.get_world_size(), mesh)
    finally:
        if mine:
            dist.destroy_process_group()
