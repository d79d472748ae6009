"""Numbers of a YAML config that its reader or its encoder would change without a word."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def number_of(value: Any) -> Any:
    """YAML 1.1 reads 3e-4, without a point, as text; anything else is left to the validation after."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Real = Annotated[float, BeforeValidator(number_of), Field(allow_inf_nan=False)]


def not_finite(value: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where NaN or an infinity stands; JSON would write null, which is the default of many keys."""
    if isinstance(value, float) and not math.isfinite(value):
        yield keys
    elif isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from not_finite(one, (*keys, key))
