"""Launch parameters of the Triton kernels by head dimension and GPU generation: static, so a run repeats bit by bit.

The present entries were chosen by the offline build (`kernels.offline`: registers, stack, shared memory, tensor cores);
`python -m proxy_model.kernels.tuner` chooses by time on a GPU and writes them here.

No `@triton.autotune`: its choice depends on timing noise and on the first length seen.
"""

from __future__ import annotations

from typing import NamedTuple


class Tile(NamedTuple):
    """One entry: what a program of each kernel holds."""

    rows: int  # BT: tokens a tile
    columns: int  # BC: columns of the output (and of the state) a mix program owns
    warps: int
    stages: int
    state_columns: int
    state_warps: int
    state_stages: int = 2


HEAD_DIMS = (16, 32, 64, 128, 256)
CAPABILITIES = (80, 90, 100)
SCAN_BLOCK = 256  # state entries a scan program carries: D² of the smallest head dimension
SEGMENTS = (2048, 1024, 512, 256)  # tokens a program walks through; multiples of every `rows`
PROGRAMS = (
    528  # wanted in flight: 4 for each of 132 multiprocessors; a constant, so results do not depend on the device
)

TABLE: dict[tuple[int, int], Tile] = {
    (16, 80): Tile(64, 16, 4, 2, 16, 4, 2),
    (32, 80): Tile(64, 32, 4, 2, 32, 4, 2),
    (64, 80): Tile(64, 32, 8, 2, 64, 4, 2),
    (128, 80): Tile(64, 32, 8, 2, 64, 8, 2),
    (256, 80): Tile(32, 32, 8, 1, 32, 8, 2),
    (16, 90): Tile(64, 16, 4, 2, 16, 4, 2),
    (32, 90): Tile(64, 32, 4, 2, 32, 4, 2),
    (64, 90): Tile(64, 64, 4, 2, 64, 4, 2),
    (128, 90): Tile(64, 64, 8, 2, 64, 4, 2),
    (256, 90): Tile(64, 16, 8, 2, 64, 8, 2),
    (16, 100): Tile(64, 16, 4, 2, 16, 4, 2),
    (32, 100): Tile(64, 32, 4, 2, 32, 4, 2),
    (64, 100): Tile(64, 64, 4, 2, 64, 4, 2),
    (128, 100): Tile(64, 64, 8, 2, 64, 4, 2),
    (256, 100): Tile(64, 32, 8, 2, 64, 8, 2),
}


def tile(head_dim: int, capability: int) -> Tile:
    """The entry for a head dimension on a device of `capability` (10·major + minor).

    A generation without entries uses an older one: 86 and 89 those of 80, 103 those of 100, and 120, which lacks the
    large shared memory of 100, those of 80.  Raises ValueError for a head dimension that is not in the table.
    """
    if head_dim not in HEAD_DIMS:
        raise ValueError(
            f"no Triton kernel for head dimension {head_dim}: proxy_model/kernels/table.py has "
            f"{', '.join(map(str, HEAD_DIMS))}; choose one of them, or backend='torch' (any head dimension, slower)"
        )
    known = [c for c in CAPABILITIES if c <= capability]
    if not known:
        raise ValueError(f"the Triton kernels need compute capability 8.0 or newer, not {capability / 10}")
    return TABLE[head_dim, 80 if capability >= 120 else max(known)]


def segment_length(tokens: int, heads: int, head_dim: int) -> int:
    """Tokens a segment: the longest that still gives the device enough programs (long segments write fewer states)."""
    each = heads * max(1, head_dim // 64)
    for length in SEGMENTS:
        if -(-tokens // length) * each >= PROGRAMS:
            return length
    return SEGMENTS[-1]


def segments(tokens: int, heads: int, head_dim: int) -> int:
    """Number of segments of a stream of `tokens`."""
    length = segment_length(tokens, heads, head_dim)
    return (tokens + length - 1) // length
