"""A dense SwiGLU feed-forward: what a mixture of experts of equal active size is compared with."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class FeedForward(nn.Module):
    """x [T, d] → down(SiLU(gate x) ∘ up x) [T, d], and None where experts would say how they were used."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, real: Tensor | None = None) -> tuple[Tensor, None]:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up), None
