"""Promises of calibration: too certain heads are cooled, the loss on fresh documents falls, ranks stay."""

from __future__ import annotations

import pytest
import torch

from proxy_model.heads.calibrate import LEAST, MOST, HeldOut, best_factor, category_factor, score_factor
from proxy_model.heads.ordinal import at_least, level_targets, ordinal_nats

CUTS = torch.tensor([[-2.0, -1.0, 0.0, 1.0, 2.0]], dtype=torch.float64)


def drawn(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(scores, levels drawn from them)."""
    generator = torch.Generator().manual_seed(seed)
    score = 2 * torch.randn(n, dtype=torch.float64, generator=generator)
    noise = torch.rand(n, dtype=torch.float64, generator=generator)
    return score, (at_least(score, CUTS[0]) > noise[:, None]).sum(1)


@pytest.mark.parametrize("wrong", [0.3, 1.0, 5.0])
def test_the_held_out_loss_of_a_score_falls_on_fresh_documents(wrong: float) -> None:
    score, level = drawn(2000, 0)
    part = HeldOut(torch.arange(2000), wrong * score[:, None], wrong * CUTS, torch.zeros(2000, 0))
    target = level_targets(level.double(), 6)
    factor = score_factor([part], 0, target, torch.ones(2000, dtype=torch.float64))
    assert factor == pytest.approx(1 / wrong, rel=0.1)
    fresh, levels = drawn(2000, 1)
    wanted = level_targets(levels.double(), 6)
    before = ordinal_nats(wrong * fresh, wrong * CUTS[0], wanted).mean()
    after = ordinal_nats(wrong * fresh, wrong * CUTS[0], wanted, factor).mean()
    assert after < before if wrong != 1.0 else after == pytest.approx(before.item(), abs=2e-3)


def test_the_held_out_loss_of_categories_falls_on_fresh_documents() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 5, dtype=torch.float64, generator=generator)
    truth = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]
    parts = [
        HeldOut(torch.arange(0, 1000), torch.zeros(1000, 0), torch.zeros(0, 5), 4 * logits[:1000]),
        HeldOut(torch.arange(1000, 2000), torch.zeros(1000, 0), torch.zeros(0, 5), 4 * logits[1000:2000]),
    ]
    factor = category_factor(parts, truth, torch.ones(4000, dtype=torch.float64))
    assert factor == pytest.approx(0.25, rel=0.15)
    loss = torch.nn.functional.cross_entropy
    assert loss(4 * factor * logits[2000:], truth[2000:]) < loss(4 * logits[2000:], truth[2000:]) - 0.3


def test_the_search_finds_the_minimum_and_stays_in_its_range() -> None:
    assert best_factor(lambda f: (f - 3.0) ** 2) == pytest.approx(3.0, rel=1e-4)
    assert best_factor(lambda f: f) == pytest.approx(LEAST, rel=1e-3)
    assert best_factor(lambda f: -f) == pytest.approx(MOST, rel=1e-3)
