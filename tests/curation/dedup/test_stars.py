"""Promises of greedy stars, on random graphs: no chains, every removal verified, bounded work that is counted."""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from curation.dedup import stars
from curation.dedup.stars import Group, Judge, Thresholds, resolve

LIMITS = Thresholds(0.6, 0.9)


def group(sets: list[set[int]], bands: list[list[int]], settled: int = 0) -> Group:
    """Documents in survivor order with their shingles and the buckets they are in; the first `settled` stay."""
    length = np.array([len(one) for one in sets], np.int64)
    values = np.array(list(chain.from_iterable(sorted(one) for one in sets)), np.uint32)
    starts = np.cumsum([0, *(len(one) for one in bands)])
    buckets = np.array(list(chain.from_iterable(bands)), np.int32)
    fixed = np.arange(len(sets)) < settled
    return Group(np.cumsum(length) - length, length, values, fixed, starts, buckets)


def alike(a: set[int], b: set[int]) -> bool:
    return len(a & b) / len(a | b) >= LIMITS.jaccard or len(a & b) / min(len(a), len(b)) >= LIMITS.containment


def resolve_reference(sets: list[set[int]], bands: list[list[int]], settled: int) -> list[int]:
    """What each document points to (−1: kept), in plain Python and without limits of work."""
    kept: list[int] = []
    verdicts = []
    for i, (one, mine) in enumerate(zip(sets, bands, strict=True)):
        met = [(-len(set(bands[k]) & set(mine)), k) for k in kept if set(bands[k]) & set(mine)]
        verdict = -1 if i < settled else next((k for _, k in sorted(met) if alike(one, sets[k])), -1)
        verdicts.append(verdict)
        if verdict < 0:
            kept.append(i)
    return verdicts


def example(seed: int, n: int = 40) -> tuple[list[set[int]], list[list[int]]]:
    """Sets of which many are alike, in buckets that have little to do with it."""
    chance = random.Random(seed)
    bases = [set(chance.sample(range(200), 20)) for _ in range(6)]
    sets = [set(chance.sample(sorted(chance.choice(bases)), chance.randint(12, 20))) for _ in range(n)]
    bands = [sorted(chance.sample(range(30), chance.randint(1, 5))) for _ in range(n)]
    return sets, bands


@pytest.mark.parametrize("seed", range(20))
def test_kernel_equals_reference_and_keeps_its_promises(seed: int) -> None:
    sets, bands = example(seed)
    settled, counts = seed % 3 * 5, Counter[str]()
    found = resolve(group(sets, bands, settled), LIMITS, None, counts)
    assert found.kept.tolist() == resolve_reference(sets, bands, settled)
    assert (found.kept >= 0).any()
    for removed in np.flatnonzero(found.kept >= 0).tolist():
        kept = int(found.kept[removed])
        assert found.kept[kept] == -1, "a removed document points to a kept one"
        assert kept < removed and removed >= settled, "which comes earlier in survivor order; old documents stay"
        assert alike(sets[removed], sets[kept]), "and was verified with it"
        assert found.common[removed] == len(sets[removed] & sets[kept])
        assert found.bands[removed] == len(set(bands[kept]) & set(bands[removed])) > 0
    assert counts["comparisons_cut"] == counts["full_buckets"] == 0


@pytest.mark.parametrize("seed", range(10))
def test_a_judge_has_the_last_word_on_pairs_alike_by_jaccard_only(seed: int) -> None:
    sets, bands = example(seed)
    asked: list[tuple[int, int]] = []

    def judge(a: int, b: int) -> bool:
        asked.append((a, b))
        return (a + b) % 2 == 0

    def decide(last_word: Judge | None) -> dict[int, int]:
        verdicts = resolve(group(sets, bands), LIMITS, last_word, Counter())
        return {i: int(k) for i, k in enumerate(verdicts.kept) if k >= 0}

    found = decide(judge)
    assert asked and found != decide(None) and decide(lambda a, b: True) == decide(None)
    for a, b in asked:
        assert len(sets[a] & sets[b]) / min(len(sets[a]), len(sets[b])) < LIMITS.containment
        assert (found.get(a) == b) == ((a + b) % 2 == 0)


def test_no_chains() -> None:
    sets = [set(range(0, 20)), set(range(4, 24)), set(range(8, 28))]
    found = resolve(group(sets, [[0], [0, 1], [1]]), LIMITS, None, Counter())
    assert found.kept.tolist() == [-1, 0, -1], "2 is like 1, but 1 is gone and 0 is not like 2"


def test_the_kept_document_with_most_shared_bands_is_tried_first() -> None:
    one, other = set(range(20)), set(range(8, 28))
    both, counts = set(range(4, 24)), Counter[str]()
    found = resolve(group([one, other, both], [[0, 4], [1, 2, 3], [0, 1, 2]]), LIMITS, None, counts)
    assert (found.kept.tolist(), found.bands.tolist()) == ([-1, -1, 1], [0, 0, 2])
    assert counts["comparisons"] == 1


def test_a_hot_bucket_does_not_go_quadratic_and_what_is_cut_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stars, "BUCKET", 8)
    monkeypatch.setattr(stars, "COMPARISONS", 5)
    n, counts = 200, Counter[str]()
    found = resolve(group([{i} for i in range(n)], [[0]] * n), LIMITS, None, counts)
    assert (found.kept == -1).all()
    assert counts["comparisons"] <= 5 * n
    assert counts["full_buckets"] == n - 8
    assert counts["comparisons_cut"] == sum(max(min(i, 8) - 5, 0) for i in range(n))
