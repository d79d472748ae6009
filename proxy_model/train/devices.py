"""Which device and precision a run may ask for, and what the device could do at best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from curation.pipeline.errors import UsageError
from proxy_model.train.settings import Precision

# dense bf16 FLOP/s of matrix products: H200 measured (reference, proxy model, head), others the maker's figure × 0.8,
# which is what the H200's measured figure is of its own (790 of 989)
PEAK = {"H200": 790e12, "H100": 790e12, "A100": 250e12, "B200": 1800e12}


def open_device(name: str, precision: Precision) -> torch.device:
    """Raises UsageError: no such device here, bf16 on a GPU that has none."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device {name!r} is unknown", "say cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r}: training runs on cpu and cuda", "say cpu, cuda or cuda:1")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            bf16 = "; bf16 without CUDA runs on device: cpu, slowly" if precision == "bf16" else ""
            raise UsageError(f"device {name!r} was asked for, but torch finds no CUDA{bf16}", "say device: cpu")
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise UsageError(f"device {name!r}: there are {torch.cuda.device_count()} GPUs here", "say cuda:0")
        if precision == "bf16" and torch.cuda.get_device_capability(device) < (8, 0):
            raise UsageError(
                f"{torch.cuda.get_device_name(device)} has no bf16 arithmetic",
                "say precision: fp32, or use an A100 or later",
            )
    return device


def peak_flops(device: torch.device) -> float | None:
    """Of the device's matrix units in bf16; None where it is not known (CPUs), so no MFU is told."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((flops for key, flops in PEAK.items() if key in name), None)


@contextmanager
def reproducible(device: torch.device, threads: int) -> Iterator[None]:
    """A fixed number of CPU threads, and on CUDA only deterministic algorithms; as before afterwards."""
    was = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic  # its attribute is a property of the module, which mypy does not see
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(was[0])
        torch.use_deterministic_algorithms(was[1])
        memory.fill_uninitialized_memory = filled
