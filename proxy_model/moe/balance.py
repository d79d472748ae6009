"""Losses that keep a router balanced and its logits small.

    balance = E · Σ_e f_e · m_e      f_e: share of choices, a constant; m_e: mean probability; 1 when both are 1/E
    z       = mean over tokens of (log Σ_e exp logit_e)²          (ST-MoE, Zoph et al. 2022)

`switch` counts all k choices in f (Fedus et al. 2021, extended to k); `gshard` counts first choices only (Lepikhin et
al. 2020, algorithm 1, which forms the loss before the second expert is looked at).  GShard prints the sum divided by
E instead of times E, MiniMax-01 too: α there is our weight times E² (1,024 at 32 experts, where 0.01 as printed would
balance nothing).  Transformers' loss is k at balance, so its coefficients differ by k.

With more processes f and the number of tokens are global, and a process's terms are its own tokens' share times
`world`: their mean over processes, which is what data-parallel training takes, is the loss of the whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor


def balance_loss(probabilities: Tensor, share: Tensor, tokens: Tensor, real: Tensor | None) -> Tensor:
    """probabilities [T, E], share f [E] with sum 1, tokens: scalar to divide by, real bool [T] → scalar."""
    total = (probabilities if real is None else probabilities * real[:, None]).sum(0)
    return probabilities.shape[1] * (share.to(total.dtype) * total).sum() / tokens


def z_loss(logits: Tensor, tokens: Tensor, real: Tensor | None) -> Tensor:
    """logits [T, E] → scalar."""
    squares = torch.logsumexp(logits, -1).square()
    return (squares if real is None else squares * real).sum() / tokens


def shares(counts: Tensor) -> Tensor:
    """int64 [E] → float64 [E], sum 1 (0 without a token)."""
    return counts.double() / counts.sum().clamp(min=1)
