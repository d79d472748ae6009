"""Promises of the account: what is reserved and what is spent never exceed a cap together, whatever threads do."""

from __future__ import annotations

import random
import threading
from decimal import Decimal

import pytest

from curation.pipeline.errors import UsageError
from quality.judge.budget import Budget, CapReached, Caps, Spending
from quality.judge.client import retry_after


def test_money_is_exact_and_a_finer_price_is_rounded_up() -> None:
    caps = Caps(money=Decimal(1), price_in=Decimal("0.15"), price_out=Decimal("0.6"))
    assert caps.cost(1_000_000, 1_000_000).money == Decimal("0.75")
    assert Caps(price_in=Decimal("0.0000001")).cost(1, 0).pico == 1


def test_threads_cannot_reserve_more_than_there_is() -> None:
    caps = Caps(requests=500, tokens=40_000)
    budget, over = Budget(caps, Spending(3, 100)), []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            while True:
                bound = Spending(1, chance.randint(50, 400))
                budget.reserve(bound)
                over.append(caps.exceeded_by(budget.spent))
                budget.settle(bound, Spending(1, chance.randint(0, bound.tokens)))
        except CapReached:
            pass

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert set(over) == {None} and caps.exceeded_by(budget.spent) is None
    assert budget.spent.requests == 500 or budget.spent.tokens > 40_000 - 400  # and the cap is used up


def test_a_cap_on_money_needs_prices() -> None:
    with pytest.raises(UsageError, match="needs prices"):
        Caps(money=Decimal(1))
    with pytest.raises(UsageError, match="not 0 or more"):
        Caps(requests=-1)


def test_retry_after_in_both_forms() -> None:
    assert retry_after("7") == 7 and retry_after(None) == 0 and retry_after("soon") == 0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
