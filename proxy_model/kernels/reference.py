"""Lightning attention written down: one quadratic formula a document, in float64.  The truth the kernels are tested by.

o[i] = sum over j <= i of the same document of exp(-slope · (i - j)) · (q[i]·k[j]) · v[j]; no scale, no softmax
(MiniMax-01, arXiv:2501.08313, section 2.2).
"""

from __future__ import annotations

import torch
from torch import Tensor


def documents(resets: Tensor) -> list[tuple[int, int]]:
    """First and past-the-last token of each segment; `resets` int32 [T] is 0 where a segment starts."""
    starts = [i for i, reset in enumerate(resets.tolist()) if reset == 0 or i == 0]
    return list(zip(starts, [*starts[1:], resets.numel()], strict=True)) if resets.numel() else []


def lightning_reference(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, resets: Tensor) -> Tensor:
    """q, k, v [T, H, D] of any dtype, slopes [H], resets int32 [T] → float64 [T, H, D], differentiable by autograd."""
    q, k, v, slopes = (x.double() for x in (q, k, v, slopes))
    out = [torch.zeros_like(q[:0])]
    for start, stop in documents(resets):
        age = torch.arange(stop - start, device=q.device)
        lag = age[:, None] - age
        decay = torch.exp(-slopes[:, None, None] * lag.clamp(min=0)) * (lag >= 0)
        scores = torch.einsum("ihd,jhd->hij", q[start:stop], k[start:stop]) * decay
        out.append(torch.einsum("hij,jhd->ihd", scores, v[start:stop]))
    return torch.cat(out)
