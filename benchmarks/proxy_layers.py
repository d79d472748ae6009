"""What the model's own torch code saves on one CPU thread: softmax attention in groups, cross-entropy in chunks.

    python benchmarks/proxy_layers.py

Forward and backward, median CPU time of 9 alternating runs; each contender's result is checked against the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from results import write_result
from torch import Tensor
from torch.nn import functional as F

from proxy_model.layers import groups
from proxy_model.layers.softmax import masked_attention
from proxy_model.loss import token_nats

TOKENS = 4096


def milliseconds(contenders: dict[str, Callable[[], Tensor]], leaves: list[Tensor]) -> dict[str, float]:
    """Median of each; raises AssertionError where gradients differ."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    reference: list[Tensor] | None = None
    for _ in range(9):
        for name, work in contenders.items():
            start = time.process_time()
            gradients = list(torch.autograd.grad(work(), leaves))
            times[name].append(1000 * (time.process_time() - start))
            reference = reference or gradients
            for a, b in zip(gradients, reference, strict=True):
                assert (a - b).norm() <= 1e-4 * b.norm(), name
    return {name: round(median(values), 1) for name, values in times.items()}


def attention() -> dict[str, float]:
    """Documents of lognormal length (median 148, at most 1,024), 2 heads of 32, one key head."""
    generator = torch.Generator().manual_seed(0)
    lengths: list[int] = []
    while sum(lengths) < TOKENS:
        drawn = int(torch.empty(1).log_normal_(5, 1, generator=generator).clamp(2, 1024))
        lengths.append(min(drawn, TOKENS - sum(lengths)))
    cu = torch.tensor([0, *lengths]).cumsum(0).int()
    q, k, v = (torch.randn(TOKENS, h, 32, generator=generator).requires_grad_() for h in (2, 1, 1))
    weights = torch.randn(TOKENS, 2, 32, generator=generator)
    planned, spare = groups.plan(cu, 64), groups.SPARE
    groups.SPARE = 0
    apart = groups.plan(cu, 64)
    groups.SPARE = spare
    ids = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    contenders = {
        f"{len(planned)} groups": lambda: (groups.grouped_attention(q, k, v, planned) * weights).sum(),
        f"{len(apart)} documents apart": lambda: (groups.grouped_attention(q, k, v, apart) * weights).sum(),
        "one dense mask": lambda: (masked_attention(q, k, v, ids) * weights).sum(),
    }
    return milliseconds(contenders, [q, k, v])


def cross_entropy() -> dict[str, float]:
    """4,096 ids, d = 64."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(TOKENS, 64, generator=generator).requires_grad_()
    weight = (torch.randn(4096, 64, generator=generator) * 0.1).requires_grad_()
    labels = torch.randint(0, 4096, (TOKENS,), generator=generator)
    contenders = {
        "token_nats": lambda: token_nats(hidden, weight, labels).sum() / TOKENS,
        "F.cross_entropy": lambda: F.cross_entropy(hidden @ weight.T, labels),
    }
    return milliseconds(contenders, [hidden, weight])


def main() -> None:
    torch.set_num_threads(1)
    results = {"attention_ms": attention(), "cross_entropy_ms": cross_entropy()}
    print(results)
    write_result("proxy_layers", results, {"torch": torch.__version__})


if __name__ == "__main__":
    main()
