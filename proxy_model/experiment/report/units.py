"""Numbers for people: points for what lies between 0 and 1, nats and bits per byte as they are, digits by precision."""

from __future__ import annotations

import math
from dataclasses import dataclass

from proxy_model.experiment.scores import LOWER_IS_BETTER

MOST_DIGITS = 6


@dataclass(frozen=True)
class Unit:
    """factor: from metric units to what is shown; name: after a number; lower: smaller scores are better."""

    factor: float
    name: str
    lower: bool

    def digits(self, *spread: float | None) -> int:
        """Decimals that show the smallest of these (metric units): one digit of it, two where it begins with 1 or 2."""
        known = [abs(one) * self.factor for one in spread if one is not None and math.isfinite(one) and one != 0]
        return digits_for(min(known)) if known else 2

    def signed(self, value: float | None, digits: int, *, named: bool = False) -> str:
        """`+1.3`, `−0.4`; a dash where there is no number."""
        if value is None or not math.isfinite(value):
            return "–"
        return plus(value * self.factor, digits) + (f" {self.name}" if named else "")

    def plain(self, value: float | None, digits: int, *, named: bool = False) -> str:
        """Without a plus sign."""
        if value is None or not math.isfinite(value):
            return "–"
        return minus(f"{value * self.factor:.{digits}f}") + (f" {self.name}" if named else "")

    def interval(self, low: float | None, high: float | None, digits: int) -> str:
        """`[0.4, 2.2]`."""
        return f"[{self.plain(low, digits)}, {self.plain(high, digits)}]"


def unit_of(metric: str) -> Unit:
    """The unit that a metric of `proxy_model.evaluate.metrics` is shown in."""
    lower = metric in LOWER_IS_BETTER
    if metric == "log_acc_norm2":
        return Unit(1.0, "nats", lower)
    if metric == "bpb":
        return Unit(1.0, "bits per byte", lower)
    return Unit(100.0, "points", lower)


def digits_for(value: float) -> int:
    """Decimals for a positive number: 0.9 → 1, 0.14 → 2, 23 → 0."""
    if value <= 0:
        return 2
    place = math.floor(math.log10(value))
    return min(MOST_DIGITS, max(0, -place + int(value / math.pow(10, place) < 3)))


def minus(text: str) -> str:
    """A true minus sign, and none before zero."""
    if not any(c in "123456789" for c in text):
        text = text.removeprefix("-")
    return text.replace("-", "−")


def plus(value: float, digits: int) -> str:
    """Always with a sign; zero has none."""
    text = f"{value:+.{digits}f}"
    return minus(text) if any(c in "123456789" for c in text) else text[1:]


def chance(p: float | None) -> str:
    """A probability in plain words: `0.6 %`, `less than 0.1 %`, `34 %`."""
    if p is None or not math.isfinite(p):
        return "–"
    if p < 0.001:
        return "less than 0.1 %"
    percent = 100 * p
    return f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %" if percent < 99.5 else "more than 99 %"


def p_value(p: float | None) -> str:
    """`.0061`, `.34`, `< .0001`."""
    if p is None or not math.isfinite(p):
        return "–"
    if p < 1e-4:
        return "< .0001"
    if p > 0.995:
        return "> .99"
    return f"{p:.{max(2, 1 - math.floor(math.log10(p)))}f}".removeprefix("0")
