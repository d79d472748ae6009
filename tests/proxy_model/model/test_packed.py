"""Packed rows: where segments begin follows from the boundaries, never from positions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given
from hypothesis import strategies as st

from proxy_model.packed import packed_from, packed_sequences


def batch_of(sizes: list[int], offsets: list[int], padded: bool, tensors: bool) -> dict[str, Any]:
    """What the loader gives: fragments at their document offsets, cu_seqlens filled up with T."""
    total, count = sum(sizes), len(sizes)
    cu = np.full(count + 4, total, dtype=np.int32)
    cu[: count + 1] = np.cumsum([0, *sizes])
    source = np.full(count + 3, -1, dtype=np.int32)
    source[:count] = 0
    if padded:
        source[count - 1] = -1
    batch = {
        "tokens": np.arange(total, dtype=np.int64),
        "position_ids": np.concatenate([np.arange(n) + o for n, o in zip(sizes, offsets, strict=True)]).astype(
            np.int32
        ),
        "cu_seqlens": cu,
        "segment_ids": np.repeat(np.arange(count), sizes).astype(np.int32),
        "source": source,
    }
    for values in batch.values():
        values.flags.writeable = False
    given = {name: torch.from_numpy(v.copy()) for name, v in batch.items()} if tensors else dict(batch)
    return {**given, "max_seqlen": 64}


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1000)), min_size=1, max_size=8), st.booleans(), st.booleans()
)
def test_resets_start_at_0_in_every_segment_whatever_the_positions(
    fragments: list[tuple[int, int]], padded: bool, tensors: bool
) -> None:
    sizes, offsets = [list(column) for column in zip(*fragments, strict=True)]
    packed = packed_from(batch_of(sizes, offsets, padded, tensors))
    assert packed.resets.tolist() == [i for size in sizes for i in range(size)]
    assert packed.positions.tolist() == [o + i for size, o in zip(sizes, offsets, strict=True) for i in range(size)]
    assert packed.resets.dtype == packed.positions.dtype == packed.cu_seqlens.dtype == torch.int32
    assert packed.real is not None
    assert packed.real.tolist() == [not padded or s < len(sizes) - 1 for s, n in enumerate(sizes) for _ in range(n)]


@given(st.lists(st.integers(0, 150), min_size=1, max_size=6).filter(any))
def test_sequences_become_segments_and_padding_one_of_its_own(lengths: list[int]) -> None:
    sequences = [torch.arange(length) + 7 for length in lengths]
    packed = packed_sequences(sequences)
    total = len(packed.tokens)
    assert total % 64 == 0 and total - sum(lengths) < 64
    bounds = packed.cu_seqlens.tolist()
    assert bounds[0] == 0 and bounds[-1] == total and len(bounds) == len(lengths) + 2
    for i, sequence in enumerate(sequences):
        assert torch.equal(packed.tokens[bounds[i] : bounds[i + 1]], sequence)
        assert packed.segment_ids[bounds[i] : bounds[i + 1]].eq(i).all()
    assert packed.resets.tolist() == [n for a, b in pairwise(bounds) for n in range(b - a)]
    assert packed.max_seqlen >= max(b - a for a, b in pairwise(bounds))
    real = total if packed.real is None else int(packed.real.sum())
    assert real == sum(lengths)


def test_no_token_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        packed_sequences([torch.arange(0)])
