"""Length laws of documents for the packing benchmarks, in tokens with EOS.  Source: reference, packing §3.1.

`dclm` is a lognormal law fitted to the six published bucket counts of DCLM-baseline; `mixed` adds code, papers and
books to web text (82, 15, 2.5 and 0.5 % of the documents).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LAWS = {"web": (6.15, 1.25), "code": (6.3, 1.4), "papers": (9.2, 0.6), "books": (11.4, 0.7)}
SHARES = (0.82, 0.15, 0.025, 0.005)
SHORTEST, LONGEST = 8, 4_000_000


def lengths_of(kind: str, count: int, seed: int) -> NDArray[np.int64]:
    """int64[count] of one kind of text."""
    mean, deviation = LAWS[kind]
    drawn = np.exp(mean + deviation * np.random.default_rng(seed).standard_normal(count))
    return drawn.clip(SHORTEST, LONGEST).astype(np.int64) + 1


def dclm(count: int, seed: int) -> NDArray[np.int64]:
    return lengths_of("web", count, seed)


def mixed(count: int, seed: int) -> NDArray[np.int64]:
    """The four kinds in random order."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(len(LAWS), count, p=SHARES)
    out = np.empty(count, np.int64)
    for number, kind in enumerate(LAWS):
        mine = kinds == number
        out[mine] = lengths_of(kind, int(mine.sum()), seed + 1 + number)
    return out
