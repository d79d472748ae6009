"""Learning rate as a function of tokens seen: never of the loss, so that all arms of an experiment share it.

wsd     linear warmup, constant, linear to zero over the last `decay` share of the tokens
        (Hu et al. 2024, MiniCPM; OLMo-core decays 10 % linearly: reference, proxy model §6)
paper   MiniMax-01: linear warmup, constant; lowered to 0.65 of it for the 30 % before the last 9 %, over which it
        falls exponentially to 0.15 of it.  The paper's 7.2 T, 3.2 T and 1 T tokens and 2e-4, 1.3e-4, 3e-5 as shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PAPER_TOKENS = (7.2, 3.2, 1.0)  # trillions: constant (with warmup), lowered, decay
PAPER_RATES = (2e-4, 1.3e-4, 3e-5)


@dataclass(frozen=True)
class Schedule:
    """Factor of the peak rate after some tokens; `warmup` in tokens, `decay` a share of the run (wsd only)."""

    kind: Literal["wsd", "paper"]
    warmup: int
    decay: float = 0.2

    def factor(self, tokens: int, total: int) -> float:
        """In (0, 1] at the middle of a step that ends at `tokens`; 0 where a linear decay has ended."""
        rising = min(1.0, tokens / self.warmup) if self.warmup else 1.0
        return rising * (_wsd(tokens, total, self.decay) if self.kind == "wsd" else _paper(tokens, total))


def _wsd(tokens: int, total: int, decay: float) -> float:
    length = decay * total
    return 1.0 if not length else max(0.0, min(1.0, (total - tokens) / length))


def _paper(tokens: int, total: int) -> float:
    whole = sum(PAPER_TOKENS)
    lowered, ending = PAPER_TOKENS[0] / whole, (PAPER_TOKENS[0] + PAPER_TOKENS[1]) / whole
    at = tokens / total
    if at <= lowered:
        return 1.0
    middle, last = PAPER_RATES[1] / PAPER_RATES[0], PAPER_RATES[2] / PAPER_RATES[0]
    if at <= ending:
        return middle
    return float(middle * (last / middle) ** ((at - ending) / (1 - ending)))
