"""GPU rows of `kernels.py`: correctness and repeatability first, then ours, fla-core and softmax attention in turns.

A row is one shape.  Contenders alternate; every call gets the next of several input sets (together larger than the L2
cache).  Bytes floor: q, k, v read and o written once (forward), and q, k, v, do read and dq, dk, dv written once
(backward), at the copy bandwidth measured in the same run.
"""

from __future__ import annotations

import inspect
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from proxy_model.kernels import lightning_attention, lightning_slopes
from proxy_model.kernels.reference import lightning_reference

L2_BYTES = 60 * 2**20
ROUNDS, SECONDS_EACH = 20, 8.0  # of one contender and shape: whichever ends first, after three warm-up calls
LIMITS = {torch.bfloat16: 5e-3, torch.float32: 1e-5}


@dataclass(frozen=True)
class Shape:
    name: str
    lengths: list[int]
    heads: int
    head_dim: int


def lognormal(total: int, mean: int, seed: int = 1) -> list[int]:
    """Document lengths of the given mean (sigma 1), cut so that they add up to `total`."""
    draw, lengths = random.Random(seed), []
    while (left := total - sum(lengths)) > 0:
        lengths.append(min(left, max(1, round(draw.lognormvariate(0, 1) * mean / 1.6487))))
    return lengths


K = 1024
SHAPES = [
    Shape("64K x 16, documents of mean 1K", lognormal(64 * K, K), 16, 128),
    Shape("64K x 16, one document", [64 * K], 16, 128),
    Shape("64K x 16, documents of 1K", [K] * 64, 16, 128),
    Shape("64K x 16, documents of 8K", [8 * K] * 8, 16, 128),
    Shape("64K x 16, documents of 32K", [32 * K] * 2, 16, 128),
    Shape("64K x 16, one of 60K and many of 200", [60 * K, *([200] * 20), 96], 16, 128),
    Shape("4 x 4096 x 64", [4 * K] * 4, 64, 128),
    Shape("1 x 8192 x 96", [8 * K], 96, 128),
    Shape("64K x 16, d=64, documents of mean 1K", lognormal(64 * K, K), 16, 64),
    Shape("2048 x 8, one document", [2 * K], 8, 128),
    Shape("1M x 16, documents of mean 1K", lognormal(K * K, K), 16, 128),
]


def gpu_rows(budget_seconds: float) -> dict[str, Any]:
    """Everything measured on the present GPU; shapes that the time does not suffice for are named."""
    begun = time.perf_counter()
    bandwidth = copy_bandwidth()
    contenders, missing = find_contenders()
    checked = {str(dtype): correctness(dtype, contenders) for dtype in LIMITS}
    rows, left_out = [], []
    for shape in SHAPES:
        if time.perf_counter() - begun > budget_seconds:
            left_out.append(shape.name)
            continue
        rows.append(measure(shape, contenders, bandwidth))
        print(rows[-1], flush=True)
    return {
        "device": torch.cuda.get_device_name(),
        "copy_terabytes_per_second": round(bandwidth / 1e12, 3),
        "missing": missing,
        "relative_norms_against_float64": checked,
        "bitwise_equal_twice": repeats(),
        "rows": rows,
        "left_out_for_time": left_out,
    }


Call = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, int], Tensor]


def find_contenders() -> tuple[dict[str, Call], dict[str, str]]:
    """Who takes part, and who is missing and why."""
    found: dict[str, Call] = {
        "ours": lambda q, k, v, s, resets, bounds, longest: lightning_attention(q, k, v, s, resets)
    }
    missing: dict[str, str] = {}
    try:
        from fla.ops.simple_gla import chunk_simple_gla

        def fla(q: Tensor, k: Tensor, v: Tensor, s: Tensor, resets: Tensor, bounds: Tensor, longest: int) -> Tensor:
            return chunk_simple_gla(q[None], k[None], v[None], g_gamma=-s, scale=1.0, cu_seqlens=bounds.long())[0][0]

        found["fla"] = fla
    except ImportError as error:
        missing["fla"] = f"not installed: {error} (pip install fla-core)"
    try:
        from torch.nn.attention.varlen import varlen_attn

        parameters = inspect.signature(varlen_attn).parameters
        causal = {"window_size": (-1, 0)} if "window_size" in parameters else {"is_causal": True}

        def softmax(q: Tensor, k: Tensor, v: Tensor, s: Tensor, resets: Tensor, bounds: Tensor, longest: int) -> Tensor:
            return varlen_attn(q, k, v, bounds, bounds, longest, longest, **causal)

        found["varlen_attn"] = softmax
    except ImportError as error:
        missing["varlen_attn"] = f"not in this torch: {error}"
    return found, missing


def inputs(shape: Shape, dtype: torch.dtype, seed: int = 0) -> tuple[list[Tensor], tuple[Tensor, Tensor, Tensor, int]]:
    """[q, k, v, do] and (slopes, resets, cumulative lengths, longest), on the GPU."""
    generator = torch.Generator("cuda").manual_seed(seed)
    size = (sum(shape.lengths), shape.heads, shape.head_dim)
    tensors = [torch.randn(size, device="cuda", dtype=dtype, generator=generator) for _ in range(4)]
    resets = torch.cat([torch.arange(n) for n in shape.lengths]).int().cuda()
    bounds = torch.tensor([0, *shape.lengths]).cumsum(0).int().cuda()
    return tensors, (lightning_slopes(shape.heads, 0, 2).cuda(), resets, bounds, max(shape.lengths))


def both_passes(call: Call, tensors: list[Tensor], rest: tuple[Tensor, Tensor, Tensor, int]) -> tuple[Tensor, ...]:
    q, k, v = (x.detach().requires_grad_() for x in tensors[:3])
    out = call(q, k, v, *rest)
    return out.detach(), *torch.autograd.grad(out, (q, k, v), tensors[3])


def correctness(dtype: torch.dtype, contenders: dict[str, Call]) -> dict[str, Any]:
    """Relative norms of o, dq, dk, dv against float64; ours must keep the limit, in memory that held NaN before."""
    report: dict[str, Any] = {}
    layouts = {"ragged": [1, 700, 3, 64, 1, 1, 900, 129], "one": [2500], "tiny": [1] * 300}
    for name, lengths in layouts.items():
        tensors, rest = inputs(Shape(name, lengths, 2, 128), dtype)
        wide = [x.detach().double().requires_grad_() for x in tensors[:3]]
        out = lightning_reference(*wide, *rest[:2])
        expected = (out.detach(), *torch.autograd.grad(out, wide, tensors[3].double()))
        for who in ("ours", "fla"):
            if who not in contenders or (who == "fla" and dtype == torch.float32):
                continue  # fla computes float32 in tf32: another question
            poison = torch.full((2**28,), float("nan"), device="cuda")
            del poison
            got = both_passes(contenders[who], tensors, rest)
            norms = [((a.double() - b).norm() / b.norm()).item() for a, b in zip(got, expected, strict=True)]
            report[f"{who}, {name}"] = [float(f"{n:.3g}") for n in norms]
            if who == "ours" and not max(norms) <= LIMITS[dtype]:
                raise SystemExit(f"wrong results on {name} in {dtype}: {norms}; nothing was timed")
    return report


def repeats() -> bool:
    """Whether two runs on packed rows agree in every bit of o, dq, dk, dv."""
    tensors, rest = inputs(SHAPES[0], torch.bfloat16)
    ours = find_contenders()[0]["ours"]
    first, second = both_passes(ours, tensors, rest), both_passes(ours, tensors, rest)
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def measure(shape: Shape, contenders: dict[str, Call], bandwidth: float) -> dict[str, Any]:
    """Median times, share of the bytes floor and memory of every contender on one shape."""
    one_set = 4 * sum(shape.lengths) * shape.heads * shape.head_dim * 2
    sets = [inputs(shape, torch.bfloat16, seed) for seed in range(1 + L2_BYTES // one_set)]
    times: dict[str, list[tuple[float, float]]] = {}
    row: dict[str, Any] = {"shape": shape.name, "tokens": sum(shape.lengths), "heads": shape.heads, "d": shape.head_dim}
    memory: dict[str, int] = {}
    for who, call in contenders.items():
        try:
            for turn in range(3):
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                both_passes(call, *sets[turn % len(sets)])
                memory[who] = torch.cuda.max_memory_allocated() - before
            times[who] = []
        except torch.OutOfMemoryError:
            row[who] = "out of memory"
            torch.cuda.empty_cache()
    spent = dict.fromkeys(times, 0.0)
    for turn in range(ROUNDS):
        for who in times:
            if spent[who] < SECONDS_EACH:
                times[who].append(timed(contenders[who], *sets[turn % len(sets)]))
                spent[who] += sum(times[who][-1])
    units = row["tokens"] * row["heads"]
    for who, pairs in times.items():
        forward, both = statistics.median(f for f, _ in pairs), statistics.median(f + b for f, b in pairs)
        row[who] = {
            "forward_ns": round(forward * 1e9 / units, 4),
            "both_ns": round(both * 1e9 / units, 4),
            "forward_floor_percent": round(100 * 8 * shape.head_dim * units / bandwidth / forward, 1),
            "both_floor_percent": round(100 * 22 * shape.head_dim * units / bandwidth / both, 1),
            "peak_bytes": memory[who],
        }
    return row


def timed(call: Call, tensors: list[Tensor], rest: tuple[Tensor, Tensor, Tensor, int]) -> tuple[float, float]:
    """Seconds of the forward and of the backward pass, by CUDA events."""
    q, k, v = (x.detach().requires_grad_() for x in tensors[:3])
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(3)]
    marks[0].record()
    out = call(q, k, v, *rest)
    marks[1].record()
    torch.autograd.grad(out, (q, k, v), tensors[3])
    marks[2].record()
    torch.cuda.synchronize()
    return marks[0].elapsed_time(marks[1]) / 1e3, marks[1].elapsed_time(marks[2]) / 1e3


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a copy of 2 GiB: the best of ten."""
    source = torch.empty(2**31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(10):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        target.copy_(source)
        end.record()
        torch.cuda.synchronize()
        best = min(best, begin.elapsed_time(end) / 1e3)
    return 2 * source.numel() / best
