"""Which device and precision a run may ask for, and what the device could do at best."""

from __future__ import annotations

import os
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
            bf16 = " and precision: fp32" if precision == "bf16" else ""
            raise UsageError(f"device {name!r} was asked for, but torch finds no CUDA", f"say device: cpu{bf16}")
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
def told_of_memory() -> Iterator[None]:
    """Raises UsageError where memory ran out, of the GPU or of the machine."""
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in said:
            raise
        raise UsageError(
            f"out of memory: {said}",
            "lower micro_batch (sequences of one forward pass), or take a smaller model: curate proxy ladder",
        ) from None


@contextmanager
def reproducible(device: torch.device, threads: int) -> Iterator[None]:
    """A fixed number of CPU threads, and on CUDA only deterministic algorithms; as before afterwards.

    Not `warn_only`: torch's flash attention then keeps its atomic backward pass and only warns.  An operation that has
    no deterministic form raises RuntimeError with its name.
    """
    was = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # its attribute is a property of the module, which mypy does not see
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at the first product
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(was[0])
        torch.use_deterministic_algorithms(was[1], warn_only=warned)
        memory.fill_uninitialized_memory = filled
