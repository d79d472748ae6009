"""Hard caps on requests, tokens and money: a request is reserved in full before it is sent, and settled after.

Money is counted in whole 10⁻¹² of the currency, so that a sum is exact.  Several threads share one budget: one
whose reservation does not fit waits while others may still give back, and stops when none is left to wait for.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from curation.pipeline.errors import UsageError

PICO = 10**12
PER = 10**6  # prices are per million tokens


@dataclass(frozen=True)
class Spending:
    """An amount: requests, tokens in and out together, money in 10⁻¹²."""

    requests: int = 0
    tokens: int = 0
    pico: int = 0

    def __add__(self, other: Spending) -> Spending:
        return Spending(self.requests + other.requests, self.tokens + other.tokens, self.pico + other.pico)

    def __sub__(self, other: Spending) -> Spending:
        return Spending(self.requests - other.requests, self.tokens - other.tokens, self.pico - other.pico)

    @property
    def money(self) -> Decimal:
        """In the currency of the prices."""
        return Decimal(self.pico) / PICO


@dataclass(frozen=True)
class Caps:
    """Limits over everything ever paid through one cache; None: no limit.  Prices per million tokens."""

    requests: int | None = None
    tokens: int | None = None
    money: Decimal | None = None
    price_in: Decimal | None = None
    price_out: Decimal | None = None

    def __post_init__(self) -> None:
        if self.money is not None and (self.price_in is None or self.price_out is None):
            raise UsageError("a cap on money needs prices", "give the price of a million tokens in and out")
        for name in ("requests", "tokens", "money", "price_in", "price_out"):
            value = getattr(self, name)
            if value is not None and not (Decimal(value).is_finite() and value >= 0):
                raise UsageError(f"{name} is {value}, not 0 or more")

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return not (self.requests is None and self.tokens is None and self.money is None)

    def cost(self, tokens_in: int, tokens_out: int) -> Spending:
        """Of one request.  A price finer than 10⁻⁶ is rounded up."""
        prices = (self.price_in or Decimal(0), self.price_out or Decimal(0))
        rates = [int((price * PICO / PER).to_integral_value(ROUND_CEILING)) for price in prices]
        return Spending(1, tokens_in + tokens_out, tokens_in * rates[0] + tokens_out * rates[1])

    def exceeded_by(self, spent: Spending) -> str | None:
        """Which cap `spent` is above, in words."""
        if self.requests is not None and spent.requests > self.requests:
            return f"{self.requests:,} requests"
        if self.tokens is not None and spent.tokens > self.tokens:
            return f"{self.tokens:,} tokens"
        if self.money is not None and spent.money > self.money:
            return f"{self.money} of money"
        return None


class CapReached(Exception):
    """The next request might go over a cap; the message names it."""


class Budget:
    """Thread-safe account under caps."""

    def __init__(self, caps: Caps, spent: Spending = Spending()) -> None:
        self.caps, self.spent = caps, spent
        self._reserved = Spending()
        self._changed = threading.Condition()

    def reserve(self, amount: Spending) -> None:
        """Set `amount` aside; waits for what others hold; raises CapReached where it cannot fit."""
        with self._changed:
            while True:
                cap = self.caps.exceeded_by(self.spent + self._reserved + amount)
                if cap is None:
                    self._reserved += amount
                    return
                if self._reserved.requests == 0 or self.caps.exceeded_by(self.spent + amount) is not None:
                    raise CapReached(cap)
                self._changed.wait()

    def settle(self, reserved: Spending, actual: Spending) -> None:
        """Replace a reservation by what was paid."""
        with self._changed:
            self._reserved -= reserved
            self.spent += actual
            self._changed.notify_all()
