"""The project's one identity hash: xxh3 with a named seed (CONTRACTS, Identity).

`hash64` gives document keys, sampling order and derived seeds; `digest` gives the
128-bit content digests of shards and fingerprints.  Both are on-disk formats and
are pinned by golden vectors in the tests.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import orjson
import xxhash


class Purpose(StrEnum):
    """Every use of the run's one seed has a name, so no two uses share random bits."""

    SAMPLE = "sample"
    ABLATE = "ablate"
    ORDER = "order"
    COPIES = "copies"
    PACK = "pack"
    TEMPLATE = "template"
    INIT = "init"
    BATCH = "batch"
    SUBSET = "subset"
    SPLIT = "split"
    BUCKET = "bucket"


def hash64(value: str | bytes, seed: int = 0) -> int:
    """xxh3-64 of the UTF-8 bytes, as an unsigned 64-bit integer."""
    return xxhash.xxh3_64_intdigest(value.encode() if isinstance(value, str) else value, seed)


def derive_seed(seed: int, purpose: Purpose, *parts: str | int) -> int:
    """An independent 64-bit seed for one purpose (and e.g. one run number)."""
    return hash64(canonical_json([purpose.value, *parts]), seed & 0xFFFF_FFFF_FFFF_FFFF)


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def fingerprint(value: Any) -> str:
    """128-bit hex fingerprint of a JSON value."""
    return xxhash.xxh3_128_hexdigest(canonical_json(value))
