"""What experts cost beyond their arithmetic: an expert layer against a dense SwiGLU of equal active FLOPs.

    python benchmarks/moe_overhead.py [--presets nano,s] [--tokens 4096]

Forward and backward of (a) the feed-forward alone and (b) a whole block, experts and dense in turn (their order changes
every round), medians of the ratios; routing from random weights.  Checked in the same run: the expert layer equals a
loop over experts in float64.  CUDA: bf16, wall time around a synchronised call; CPU: fp32, CPU seconds, one thread.
Writes benchmarks/results/moe_overhead_{cpu,cuda}.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.results import write_result
from proxy_model.config import ModelConfig, preset
from proxy_model.layers.block import Block
from proxy_model.layers.feed_forward import FeedForward
from proxy_model.model import ProxyLM
from proxy_model.moe import MoE
from proxy_model.moe import layer as moe_layer
from proxy_model.moe.activation import weighted_swiglu
from proxy_model.moe.grouped import grouped_rows_reference
from proxy_model.packed import packed_sequences


def measure(config: ModelConfig, tokens: int, device: str, rounds: int = 15, warm: int = 3) -> dict[str, Any]:
    """Seconds of forward and backward of both kinds, and the median of their ratio, for the layer and the block."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    twin = replace(config, dense_width=config.experts_per_token * config.expert_width)
    x = torch.randn(tokens, config.width, device=device, dtype=dtype)
    upstream = torch.randn_like(x)
    error = _check(config, x[:256])

    experts, dense = MoE(config), FeedForward(config.width, twin.dense_width or 0)
    layers = _ratio(_timed(experts.to(device, dtype), x, upstream), _timed(dense.to(device, dtype), x, upstream),
                    device, rounds, warm)  # fmt: skip
    first = replace(config, vocab_size=64, layers=1, pattern=config.pattern[:1])  # enough to make a context
    model = ProxyLM(first).to(device, dtype)
    length = min(tokens, 1024)
    context = model.context(packed_sequences([torch.zeros(length, dtype=torch.int64)] * (tokens // length), device))
    blocks = _ratio(
        _timed(Block(config, 0).to(device, dtype), x, upstream, context),
        _timed(Block(twin, 0).to(device, dtype), x, upstream, context), device, rounds, warm,
    )  # fmt: skip
    return {
        "tokens": tokens, "dtype": str(dtype), "relative_error_against_the_loop": error,
        "feed_forward": layers, "block": blocks,
    }  # fmt: skip


def _check(config: ModelConfig, x: Tensor) -> float:
    """Raises AssertionError unless the layer is the loop's, up to its dtype's rounding."""
    layer = MoE(config).to(x.device, x.dtype)
    with torch.no_grad():
        y, _ = layer(x)

        def by_loop(gate_up: Tensor, down: Tensor, rows: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
            wide = [one.double() for one in (gate_up, down, rows, weights)]
            hidden = weighted_swiglu(grouped_rows_reference(wide[2], wide[0], ends, True), wide[3])
            return grouped_rows_reference(hidden, wide[1], ends, True)

        layer.compute = by_loop
        expected, _ = layer(x)
    assert layer.compute is not moe_layer.run_experts
    error = float((y.double() - expected).norm() / expected.norm())
    assert error <= (1e-5 if x.dtype == torch.float32 else 1e-2), f"experts differ from the loop by {error}"
    return error


def _timed(module: nn.Module, x: Tensor, upstream: Tensor, context: Any = None) -> Callable[[], None]:
    leaf = x.clone().requires_grad_()

    def call() -> None:
        for one in (leaf, *module.parameters()):
            one.grad = None
        y, routing = module(leaf) if context is None else module(leaf, context)
        loss = (y * upstream).sum()
        (loss if routing is None else loss + 0.01 * routing.aux + 0.001 * routing.z).backward()

    return call


def _ratio(
    experts: Callable[[], None], dense: Callable[[], None], device: str, rounds: int, warm: int
) -> dict[str, Any]:
    spent: dict[str, list[float]] = {"experts": [], "dense": []}
    clock = time.process_time if device == "cpu" else time.perf_counter
    for number in range(warm + rounds):
        pair = [("experts", experts), ("dense", dense)]
        for name, call in pair if number % 2 else pair[::-1]:
            if device == "cuda":
                torch.cuda.synchronize()
            began = clock()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            if number >= warm:
                spent[name].append(clock() - began)
    ratios = [a / b for a, b in zip(spent["experts"], spent["dense"], strict=True)]
    return {
        "overhead": statistics.median(ratios),
        **{k: statistics.median(v) for k, v in spent.items()},
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="nano,s")
    parser.add_argument("--tokens", type=int, help="4,096 on a CPU, 65,536 on CUDA")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    tokens = given.tokens or (4096 if device == "cpu" else 65_536)
    found = {}
    for name in given.presets.split(","):
        found[name] = measure(preset(name), tokens, device)
        print(f"{name}: feed-forward {found[name]['feed_forward']['overhead']:.2f}x, "
              f"block {found[name]['block']['overhead']:.2f}x a dense one")  # fmt: skip
    where = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    write_result(f"moe_overhead_{device}", {"device": where, "torch": torch.__version__, "presets": found})


if __name__ == "__main__":
    main()
