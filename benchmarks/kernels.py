"""Lightning attention: is it right, does it repeat, and how fast is it beside its rivals?

On a CUDA machine: `kernels_gpu.py` → results/kernels_<gpu>.json; no further shape is begun after --budget seconds.
Everywhere else: the offline build of every table entry for sm_80, sm_90 and sm_100, and, on one thread, the tiled torch
path against a quadratic formula a document and against transformers' MiniMaxLightningAttention, forward and backward →
results/kernels_cpu.json.

    python benchmarks/kernels.py [--budget SECONDS]
"""

from __future__ import annotations

import argparse
import copy
import os
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)  # the kernels are compiled here, never interpreted

import torch
from kernels_gpu import Shape, gpu_rows, lognormal
from results import write_result
from torch import Tensor

from proxy_model.kernels import lightning_attention, lightning_slopes, offline
from proxy_model.kernels.reference import documents, lightning_reference
from proxy_model.kernels.table import CAPABILITIES, HEAD_DIMS

ROUNDS = 9
SHAPES = [
    Shape("1K x 4, d=32, documents of mean 200", lognormal(1024, 200), 4, 32),
    Shape("4K x 4, d=64, documents of mean 500", lognormal(4096, 500), 4, 64),
    Shape("4K x 4, d=64, one document", [4096], 4, 64),
]


def quadratic(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor) -> Tensor:
    """The formula in float32, a document at a time, by batched products and autograd."""
    out = []
    for start, stop in documents(resets):
        age = torch.arange(stop - start)
        lag = age[:, None] - age
        decay = torch.exp(-slopes[:, None, None] * lag.clamp(min=0)).tril()
        a, b, c = (x[start:stop].transpose(0, 1) for x in (q, k, v))
        out.append((((a @ b.transpose(-1, -2)) * decay) @ c).transpose(0, 1))
    return torch.cat(out)


def side_by_side(
    work: dict[str, Callable[[], tuple[Tensor, ...]]], truth: tuple[Tensor, ...], limit: float
) -> dict[str, Any]:
    """CPU milliseconds of each, taken in turns (median), after its results were compared with the truth."""
    row: dict[str, Any] = {}
    for who, run in work.items():
        norms = [((a.double() - b).norm() / b.norm()).item() for a, b in zip(run(), truth, strict=True)]
        row[who] = {"largest_relative_norm": float(f"{max(norms):.2g}")}
        if max(norms) > limit:
            raise SystemExit(f"{who} is wrong: {norms}")
    taken: dict[str, list[float]] = {who: [] for who in work}
    for _ in range(ROUNDS):
        for who, run in work.items():
            begun = time.process_time()
            run()
            taken[who].append(time.process_time() - begun)
    for who, seconds in taken.items():
        row[who]["milliseconds"] = round(1e3 * statistics.median(seconds), 2)
    return row


def attention_rows() -> list[dict[str, Any]]:
    """Ours and the quadratic formula: o, dq, dk, dv."""
    rows = []
    for shape in SHAPES:
        torch.manual_seed(0)
        size = (sum(shape.lengths), shape.heads, shape.head_dim)
        q, k, v = (torch.randn(size, requires_grad=True) for _ in range(3))
        do, slopes = torch.randn(size), lightning_slopes(shape.heads, 0, 2)
        resets = torch.cat([torch.arange(n) for n in shape.lengths]).int()

        def passes(attention: Callable[..., Tensor], given: Any = (q, k, v, do, slopes, resets)) -> tuple[Tensor, ...]:
            *inputs, do, slopes, resets = given
            out = attention(*inputs, slopes, resets)
            return out.detach(), *torch.autograd.grad(out, inputs, do.to(out.dtype))

        contenders = {"ours": lightning_attention, "quadratic": quadratic}
        work = {who: (lambda call=call, run=passes: run(call)) for who, call in contenders.items()}
        rows.append({"shape": shape.name, **side_by_side(work, passes(lightning_reference), 1e-5)})
        print(rows[-1], flush=True)
    return rows


def block_rows() -> list[dict[str, Any]] | str:
    """The whole block of transformers' MiniMax against the same weights around our attention: output, input's gradient.

    transformers has no document resets: it gets one document a call, ours the packed row.
    """
    try:
        from transformers import MiniMaxConfig
        from transformers.models.minimax.modeling_minimax import MiniMaxLightningAttention
    except ImportError as error:
        return f"not measured: {error} (pip install transformers)"
    rows = []
    for shape in SHAPES:
        torch.manual_seed(0)
        width = shape.heads * shape.head_dim
        config = MiniMaxConfig(
            hidden_size=width, num_attention_heads=shape.heads, head_dim=shape.head_dim, num_hidden_layers=2,
            layer_types=["linear_attention", "full_attention"],
        )  # fmt: skip
        block = MiniMaxLightningAttention(config, 0)
        tokens = sum(shape.lengths)
        x, dy = torch.randn(tokens, width, requires_grad=True), torch.randn(tokens, width)
        resets = torch.cat([torch.arange(n) for n in shape.lengths]).int()

        def theirs(
            block: Any = block, x: Tensor = x, dy: Tensor = dy, lengths: list[int] = shape.lengths
        ) -> tuple[Tensor, ...]:
            y = torch.cat([block(part[None], None, None)[0][0] for part in x.split(lengths)])
            return y.detach(), *torch.autograd.grad(y, x, dy)

        def ours(
            block: Any = block, x: Tensor = x, dy: Tensor = dy, resets: Tensor = resets, shape: Shape = shape
        ) -> tuple[Tensor, ...]:
            fused = block.act_fn(block.qkv_proj(x)).view(-1, shape.heads, 3 * shape.head_dim)
            slopes = block.slope_rate.flatten()
            o = lightning_attention(*fused.split(shape.head_dim, dim=-1), slopes, resets)
            y = block.out_proj(torch.sigmoid(block.output_gate(x)) * block.norm(o.flatten(1)))
            return y.detach(), *torch.autograd.grad(y, x, dy)

        wide = copy.deepcopy(block).double()
        truth = theirs(wide, x.detach().double().requires_grad_(), dy.double())
        rows.append({"shape": shape.name, **side_by_side({"ours": ours, "transformers": theirs}, truth, 1e-4)})
        print(rows[-1], flush=True)
    return rows


def cpu_rows() -> dict[str, Any]:
    """The offline build and the two comparisons; says that no GPU row was measured."""
    torch.set_num_threads(1)
    built = offline.build([offline.Job(d, c) for c in CAPABILITIES for d in HEAD_DIMS])
    return {
        "gpu": "not measured: no CUDA device on this machine",
        "attention": attention_rows(),
        "block": block_rows(),
        "offline": {
            "faults": [fault for one in built for fault in offline.faults(one)],
            "kernels": [{k: v for k, v in asdict(one).items() if k != "seconds"} for one in built],
        },
    }


def main() -> None:
    """Measure what this machine can, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=240, help="seconds after which no further GPU shape is begun")
    chosen = parser.parse_args()
    peers = {}
    for name in ("torch", "triton", "transformers", "fla-core"):
        try:
            peers[name] = version(name)
        except PackageNotFoundError:
            peers[name] = "not installed"
    if torch.cuda.is_available():
        name = re.sub(r"\W+", "_", torch.cuda.get_device_name().lower()).strip("_")
        write_result(f"kernels_{name}", gpu_rows(chosen.budget), peers)
    else:
        write_result("kernels_cpu", cpu_rows(), peers)


if __name__ == "__main__":
    main()
