"""Promises of percentiles and the mixing score: the stated formulas, equal for any batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from quality.tagging.quantiles import mixed
from quality.tagging.rank import Scored, ranking
from quality.tagging.spread import Spread
from quality.tagging.standing import SHRINK, Counts, mix_score

DRAW = np.random.default_rng(0)
N = 800
CATEGORY = DRAW.integers(0, 4, N)
SCORES = tuple((DRAW.beta(2, 3, N) * 5 + 0.1 * CATEGORY).clip(0, 5).astype(np.float32) for _ in range(2))
BYTES = DRAW.integers(0, 9000, N)


def counted(parts: int = 1) -> Counts:
    made = Counts(5)
    for part in np.array_split(np.arange(N), parts):
        made.add(SCORES[0][part], CATEGORY[part], BYTES[part])
    return made


def test_percentiles_are_mid_ranks_among_all_and_within_the_category() -> None:
    everywhere, within = counted(7).standing().percentiles(SCORES[0], CATEGORY)
    rounded = np.rint(SCORES[0].astype(float) * 8192)
    assert everywhere == pytest.approx((stats.rankdata(rounded) - 0.5) / N, abs=1e-6)
    for c in range(4):
        mine = c == CATEGORY
        assert within[mine] == pytest.approx((stats.rankdata(rounded[mine]) - 0.5) / mine.sum(), abs=1e-6)


@pytest.mark.parametrize("r", [0.0, 0.5, 1.0])
def test_mix_score_is_the_stated_formula(r: float) -> None:
    standings = []
    wanted = np.zeros(N)
    for scores in SCORES:
        counts = Counts(5)
        counts.add(scores, CATEGORY, BYTES)
        standings.append(counts.standing())
        weight = np.maximum(BYTES, 1)
        mean = np.average(scores, weights=weight)
        variance = np.average((scores - mean) ** 2, weights=weight)
        wanted += (1 - r) * (scores - mean) / np.sqrt(variance)
        for c in range(4):
            mine = c == CATEGORY
            own = mine.sum() / (mine.sum() + SHRINK)
            m = np.average(scores[mine], weights=weight[mine])
            v = np.average((scores[mine] - m) ** 2, weights=weight[mine])
            z = (scores[mine] - (own * m + (1 - own) * mean)) / np.sqrt(own * v + (1 - own) * variance)
            wanted[mine] += r * z
    assert mix_score(tuple(standings), SCORES, CATEGORY, r) == pytest.approx(wanted / 2, abs=2e-3)


def test_scores_that_are_all_the_same_give_zero_and_no_warning_of_numpy() -> None:
    counts = Counts(2)
    flat = np.full(10, 2.0, np.float32)
    counts.add(flat, np.zeros(10, np.int64), np.zeros(10, np.int64))
    one = counts.standing()
    with np.errstate(all="raise"):
        assert (mix_score((one, one), (flat, flat), np.zeros(10, np.int64), 0.5) == 0).all()
        assert one.percentiles(flat, np.zeros(10, np.int64))[0].tolist() == [0.5] * 10


def some(order: np.ndarray) -> Scored:
    return Scored(
        mixed(order.astype(np.uint64), 1), tuple(s[order] for s in SCORES), CATEGORY[order], BYTES[order],
        pa.array([f"s{i % 3}" for i in order]), order % 4 == 0,
    )  # fmt: skip


def test_a_ranking_is_the_same_for_any_order_and_batches() -> None:
    def passes(order: np.ndarray, parts: int) -> object:
        return lambda: [some(part) for part in np.array_split(order, parts)]

    plain = ranking(passes(np.arange(N), 1), 5, r=0.5, seed=4)  # type: ignore[arg-type]
    other = ranking(passes(np.random.default_rng(1).permutation(N), 13), 5, r=0.5, seed=4)  # type: ignore[arg-type]
    assert plain.columns(some(np.arange(N))) == other.columns(some(np.arange(N)))
    assert plain.spread.sources() == other.spread.sources() and plain.unsure == other.unsure == (N + 3) // 4


def test_many_documents_of_low_confidence_are_told_with_the_remedy() -> None:
    one = some(np.arange(N))
    for share, told in ((0.2, 0), (0.3, 1)):
        part = replace(one, unsure=np.arange(N) < share * N)
        lines = ranking(lambda part=part: [part], 5, r=0.5, seed=4).warnings()  # type: ignore[misc]
        assert sum("low confidence" in line and "curate quality label" in line for line in lines) == told


def test_the_share_between_sources_is_the_correlation_ratio() -> None:
    groups = [SCORES[0][i::3].astype(float) + i for i in range(3)]
    spread = Spread()
    for i, values in enumerate(groups):
        spread.add(pa.array([f"s{i}"] * len(values)), (values.clip(0, 5), values.clip(0, 5)))
    clipped = [np.rint(values.clip(0, 5) * 8192) for values in groups]
    whole = np.concatenate(clipped)
    among = sum(len(one) * (one.mean() - whole.mean()) ** 2 for one in clipped)
    assert spread.between()["practicality"] == pytest.approx(among / ((whole - whole.mean()) ** 2).sum(), abs=1e-9)


def test_flat_sources_and_scores_that_are_the_source_are_told() -> None:
    spread = Spread()
    for name, value in (("low", 1.0), ("high", 4.0)):
        values = np.full(60, value) + np.linspace(0, 0.1, 60)
        spread.add(pa.array([name] * 60), (values, np.linspace(0, 5, 60)))
    told = "\n".join(spread.warnings())
    assert "below 0.25 within 2 of 2 sources" in told and "high (0.03)" in told
    assert "variance of knowledge_depth lies between sources" in told and "practicality" not in told


def test_one_source_has_no_share() -> None:
    spread = Spread()
    spread.add(pa.array(["a"] * N), SCORES)
    assert spread.between() == {"knowledge_depth": None, "practicality": None}
