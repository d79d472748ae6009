"""Promises of the label sample: equal strata, stated probabilities, totals of the corpus unbiased."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from quality.judge.sampling import equal_shares, first_stage, inclusion, second_stage, systematic

RANDOM = np.random.default_rng(5)
N = 400
IDS = [f"doc{i}" for i in range(N)]
SOURCES = ["big"] * 300 + ["small"] * 92 + ["tiny"] * 8
CHARS = [int(x) for x in RANDOM.lognormal(7.5, 1.5, N)]
LEVELS = RANDOM.choice(6, N, p=[0.3, 0.4, 0.2, 0.07, 0.02, 0.01]).astype(float)
CATEGORIES = list(RANDOM.choice(["a", "b", "c"], N, p=[0.8, 0.17, 0.03]))
PREDICTED = {"knowledge_depth": LEVELS + RANDOM.normal(0, 0.3, N), "practicality": RANDOM.uniform(0, 5, N)}


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(0, 400))
def test_shares_are_as_equal_as_the_sizes_allow(sizes: list[int], n: int) -> None:
    found = equal_shares(np.array(sizes), n, list(range(len(sizes))))
    assert found.sum() == min(n, sum(sizes)) and (found <= sizes).all()
    full = max((s for s, size in zip(found, sizes, strict=True)), default=0)
    assert all(s == size or s >= full - 1 for s, size in zip(found, sizes, strict=True))


def test_stage_1_is_the_same_in_any_order_and_its_weights_add_up_to_the_corpus() -> None:
    one = first_stage(IDS, SOURCES, CHARS, 90, seed=1)
    order = RANDOM.permutation(N)
    other = first_stage([IDS[i] for i in order], [SOURCES[i] for i in order], [CHARS[i] for i in order], 90, seed=1)
    assert one.equals(other) and one.num_rows == 90
    assert sum(one["weight"].to_pylist()) == pytest.approx(N)
    assert not one.equals(first_stage(IDS, SOURCES, CHARS, 90, seed=2))
    assert first_stage(IDS, SOURCES, CHARS, 10_000, seed=1).num_rows == N


@given(
    st.lists(st.tuples(st.floats(1e-4, 1.0), st.sampled_from("abc")), min_size=1, max_size=60), st.integers(1, 60),
    st.integers(0, 9),
)  # fmt: skip
def test_stage_2_has_its_size_and_its_probabilities_are_probabilities(
    documents: list[tuple[float, str]], n: int, seed: int
) -> None:
    n = min(n, len(documents))
    pi = inclusion(np.array([d[0] for d in documents]), [d[1] for d in documents], n)
    assert pi.sum() == pytest.approx(n) and (pi > 0).all() and (pi <= 1 + 1e-12).all()
    assert len(systematic(pi, [f"{i}" for i in range(len(pi))], seed)) == n


def test_the_probabilities_are_the_frequencies() -> None:
    pi = inclusion(RANDOM.uniform(0.1, 1, 30), list("aabbbccccc" * 3), 12)
    ids = [f"x{i}" for i in range(30)]
    seen = np.zeros(30)
    for seed in range(3_000):
        seen[systematic(pi, ids, seed)] += 1
    error = np.abs(seen / 3_000 - pi) / np.sqrt(np.maximum(pi * (1 - pi), 1e-9) / 3_000)
    assert error.max() < 4.5


def test_both_stages_together_are_unbiased_for_the_corpus() -> None:
    """Mean of the weighted total over 400 seeds against the true total, for three things one might measure."""
    measured = np.stack([np.ones(N), LEVELS, (LEVELS >= 4).astype(float), np.array(CHARS) / 1e3])
    place = {doc_id: i for i, doc_id in enumerate(IDS)}
    totals = []
    for seed in range(400):
        first = first_stage(IDS, SOURCES, CHARS, 60, seed)
        both = second_stage(IDS, PREDICTED, CATEGORIES, first, 60, seed)
        rows = [place[doc_id] for doc_id in both["doc_id"].to_pylist()]
        assert len(set(rows)) == 120
        totals.append(measured[:, rows] @ np.array(both["weight"].to_pylist()))
    mean, error = np.mean(totals, 0), np.std(totals, 0, ddof=1) / 20
    assert (np.abs(mean - measured.sum(1)) <= 4 * error + 1e-9).all(), (mean, measured.sum(1), error)


def test_stage_2_finds_the_rare_levels() -> None:
    first = first_stage(IDS, SOURCES, CHARS, 60, seed=0)
    both = second_stage(IDS, PREDICTED, CATEGORIES, first, 60, seed=0)
    chosen = [
        IDS.index(d) for d, s in zip(both["doc_id"].to_pylist(), both["stage"].to_pylist(), strict=True) if s == 2
    ]
    assert (LEVELS[chosen] >= 3).mean() > 1.5 * (LEVELS >= 3).mean()
    counts = [sum(CATEGORIES[i] == c for i in chosen) for c in "abc"]
    assert max(counts) - min(counts) <= 18  # the corpus has 80 %, 17 %, 3 %


def test_wrong_requests_are_told() -> None:
    first = first_stage(IDS, SOURCES, CHARS, 60, seed=0)
    with pytest.raises(UsageError, match="have no tag"):
        second_stage(IDS[:10], {k: v[:10] for k, v in PREDICTED.items()}, CATEGORIES[:10], first, 5, 0)
    with pytest.raises(UsageError, match="no documents"):
        first_stage([], [], [], 5, 0)
    with pytest.raises(UsageError, match="at least 1"):
        first_stage(IDS, SOURCES, CHARS, 0, 0)
