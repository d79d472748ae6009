"""Cross-entropy by the token without ever holding all logits, and the training objective.

The head is applied to a few tokens at a time.  Where a gradient will be needed, it is made on the way, for an upstream
gradient of one: `nats.sum()` sends the same number to every token, so backward only scales (three matrix products; two
more where tokens are weighted differently, which is seen from the stride and costs no look at the device).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from proxy_model.architecture import ModelConfig

if TYPE_CHECKING:
    from proxy_model.model import Output

IGNORE = -100
CHUNK_LOGITS = {"cpu": 1 << 19, "cuda": 1 << 27}  # logits held at once


def token_nats(
    hidden: Tensor, head_weight: Tensor, labels: Tensor, *, vocab_size: int | None = None, chunk: int | None = None
) -> Tensor:
    """hidden [T, d], head_weight [rows, d], labels int64 [T] → -log p(label) float32 [T]; 0 where the label is -100.

    Rows from `vocab_size` on are no tokens.  float64 inputs give float64.  `chunk`: tokens at a time.  Labels outside
    the vocabulary are not looked for; the loader's contract rules them out.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden = hidden.to(dtype)
    rows = head_weight.shape[0]
    if chunk is None:
        chunk = max(1, CHUNK_LOGITS.get(hidden.device.type, CHUNK_LOGITS["cpu"]) // rows)
    sizes = (rows if vocab_size is None else vocab_size, chunk)
    needed = torch.is_grad_enabled() and (hidden.requires_grad or head_weight.requires_grad)
    nats: Tensor = _ChunkedNats.apply(  # type: ignore[no-untyped-call]
        hidden, head_weight.to(hidden.dtype), labels, sizes, needed
    )
    return nats


def objective(
    output: Output, nats: Tensor, labels: Tensor, config: ModelConfig, count: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean nats of the labelled tokens, plus the experts' losses (means over layers) by their weights.

    `count`: number of labelled tokens to divide by, where a batch is spread over several calls or processes.  The
    parts are detached: nats, aux, z, count.  Without a labelled token nats are 0.
    """
    if count is None:
        count = (labels != IGNORE).sum()
    loss = nats.sum() / count.clamp(min=1)
    parts = {"nats": loss.detach(), "count": count}
    for name, weight in (("aux", config.aux_weight), ("z", config.z_weight)):
        losses = [getattr(routing, name) for routing in output.routing]
        mean = torch.stack(losses).mean() if losses else nats.new_zeros(())
        parts[name] = mean.detach()
        if losses and weight:
            loss = loss + weight * mean
    return loss, parts


class _ChunkedNats(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, sizes: tuple[int, int], needed: bool
    ) -> Tensor:
        wide = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        nats = torch.empty(len(hidden), dtype=wide, device=hidden.device)
        vocab_size, chunk = sizes
        d_hidden = torch.empty_like(hidden) if needed else None
        d_weight = torch.zeros_like(weight, dtype=wide) if needed else None
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            logits = _logits(hidden[part], weight, vocab_size)
            nats[part] = _nats_then_gradient(logits, labels[part], needed)
            if d_hidden is not None and d_weight is not None:
                _spread(logits, hidden[part], weight, d_hidden[part], d_weight)
        ctx.save_for_backward(hidden, weight, labels, d_hidden, d_weight)
        ctx.sizes = sizes
        return nats

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        hidden, weight, labels, d_hidden, d_weight = ctx.saved_tensors
        if g.stride(0) == 0:  # an expanded scalar
            return (d_hidden * g[:1, None].to(d_hidden.dtype), (d_weight * g[0]).to(weight.dtype), None, None, None)
        vocab_size, chunk = ctx.sizes
        d_hidden, d_weight = torch.empty_like(hidden), torch.zeros_like(d_weight)
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            logits = _logits(hidden[part], weight, vocab_size)
            _nats_then_gradient(logits, labels[part], True)
            _spread(logits.mul_(g[part, None]), hidden[part], weight, d_hidden[part], d_weight)
        return d_hidden, d_weight.to(weight.dtype), None, None, None


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b in float32 at least; on CUDA half-precision factors are multiplied without rounding the result."""
    if a.is_cuda and a.dtype in (torch.bfloat16, torch.float16):
        return torch.mm(a, b, out_dtype=torch.float32)
    product = a @ b
    return product if product.dtype == torch.float64 else product.float()


def _logits(hidden: Tensor, weight: Tensor, vocab_size: int) -> Tensor:
    logits = _product(hidden, weight.t())
    if vocab_size < logits.shape[-1]:
        logits[:, vocab_size:] = -torch.inf
    return logits


def _nats_then_gradient(logits: Tensor, labels: Tensor, gradient: bool) -> Tensor:
    """Nats [n]; with `gradient`, `logits` [n, rows] is overwritten by softmax - one-hot, and 0 for ignored labels."""
    kept = labels != IGNORE
    target = torch.where(kept, labels, 0)[:, None]
    top = logits.amax(-1, keepdim=True)
    chosen = logits.gather(1, target)
    exponentials = logits.sub_(top).exp_()
    total = exponentials.sum(-1, keepdim=True)
    nats = torch.where(kept, (total.log() + top - chosen)[:, 0], 0.0)
    if gradient:
        exponentials.mul_(kept[:, None] / total)
        exponentials.scatter_add_(1, target, -kept[:, None].to(exponentials.dtype))
    return nats


def _spread(d_logits: Tensor, hidden: Tensor, weight: Tensor, d_hidden: Tensor, d_weight: Tensor) -> None:
    """Write the chunk's gradient of hidden, add its gradient of the weight."""
    d_logits = d_logits.to(hidden.dtype)
    torch.mm(d_logits, weight, out=d_hidden)
    if d_weight.dtype == hidden.dtype:
        d_weight.addmm_(d_logits.t(), hidden)
    else:
        d_weight += _product(d_logits.t(), hidden)
