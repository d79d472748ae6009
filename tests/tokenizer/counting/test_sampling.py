"""A sample budget: stratified by language and domain, drawn by hash, never a prefix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from tokenizer.counting.sampling import sample_keep, sampling_rates

SIZES = st.dictionaries(st.integers(), st.integers(0, 10**12), min_size=1, max_size=12)


@given(SIZES, st.integers(1, 10**12), st.floats(0, 1))
def test_the_budget_is_used_and_no_stratum_gives_more_than_it_has(
    sizes: dict[int, int], budget: int, alpha: float
) -> None:
    rates = sampling_rates(sizes, budget, alpha=alpha)
    assert set(rates) == set(sizes)
    assert all(0 <= rate <= 1 for rate in rates.values())
    drawn = sum(rates[name] * size for name, size in sizes.items())
    assert drawn == pytest.approx(min(budget, sum(sizes.values())), rel=1e-6)
    for one, other in zip(sizes, list(sizes)[1:], strict=False):
        if 0 < sizes[one] <= sizes[other]:  # a smaller stratum is kept at least as fully
            assert rates[one] >= rates[other] - 1e-9


def test_small_strata_are_kept_whole_before_large_ones() -> None:
    sizes = {("en", "web"): 1_000_000, ("ka", "web"): 1_000, ("th", "books"): 4_000}
    rates = sampling_rates(sizes, 100_000)
    assert rates[("ka", "web")] == rates[("th", "books")] == 1
    assert rates[("en", "web")] == pytest.approx(0.095)
    assert list(sampling_rates(sizes, 100_000, alpha=1).values()) == [pytest.approx(100_000 / 1_005_000)] * 3


def test_documents_are_drawn_by_their_id_alone() -> None:
    ids = [f"source/file-{k // 100}#{k}" for k in range(20_000)]
    kept = sample_keep(ids, np.full(len(ids), 0.25), seed=5)
    assert kept.mean() == pytest.approx(0.25, abs=0.012)
    halves = kept[:10_000].mean(), kept[10_000:].mean()
    assert halves == (pytest.approx(0.25, abs=0.02), pytest.approx(0.25, abs=0.02))  # no prefix
    order = np.random.default_rng(1).permutation(len(ids))
    assert np.array_equal(sample_keep([ids[k] for k in order], np.full(len(ids), 0.25), seed=5), kept[order])
    more = sample_keep(ids, np.full(len(ids), 0.5), seed=5)
    assert not (kept & ~more).any()  # a larger budget keeps what a smaller one had
    assert not np.array_equal(kept, sample_keep(ids, np.full(len(ids), 0.25), seed=6))
    assert sample_keep(ids, np.ones(len(ids)), seed=5).all()
    assert not sample_keep(ids, np.zeros(len(ids)), seed=5).any()


def test_a_budget_must_be_positive() -> None:
    with pytest.raises(UsageError, match="budget"):
        sampling_rates({"a": 1}, 0)
