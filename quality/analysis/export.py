"""Findings as JSON: named tuples become objects, undefined figures (NaN) null."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson


def as_json(found: Any) -> bytes:
    """A frozen dataclass as indented JSON with a line end; TypeError for what JSON cannot hold."""
    return orjson.dumps(found, _default, orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def _default(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
