"""Promises of greedy stars, on random graphs: no chains, every removal verified, bounded work that is counted."""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from curation.dedup import stars
from curation.dedup.candidates import Chunk
from curation.dedup.stars import Removal, resolve
from curation.dedup.verify import Scores


def chunk(bands: list[list[int]]) -> Chunk:
    """Documents in survivor order with the keys of their bands."""
    n, zero = len(bands), np.zeros(len(bands), np.int64)
    keys = np.array(list(chain.from_iterable(bands)), np.uint64)
    return Chunk(zero, np.arange(n), zero, zero, zero, zero, np.cumsum([len(b) for b in bands]), keys)


def decide(bands: list[list[int]], near: set[tuple[int, int]]) -> tuple[list[Removal], Counter[str]]:
    counts: Counter[str] = Counter()

    def judge(a: int, b: int) -> Scores | None:
        return Scores(0.9, 0.9) if (min(a, b), max(a, b)) in near else None

    return list(resolve(chunk(bands), judge, counts)), counts


@pytest.mark.parametrize("seed", range(20))
def test_on_random_graphs(seed: int) -> None:
    chance = random.Random(seed)
    n = 40
    bands = [sorted(chance.sample(range(30), chance.randint(1, 5))) for _ in range(n)]
    near = {(a, b) for b in range(n) for a in range(b) if chance.random() < 0.2}
    removals, counts = decide(bands, near)
    removed = {one.removed: one for one in removals}
    kept = set(range(n)) - set(removed)
    for one in removals:
        assert one.kept in kept, "a removed document points to a kept one"
        assert one.kept < one.removed, "which comes earlier in survivor order"
        assert (one.kept, one.removed) in near, "and was verified with it"
        assert one.bands == len(set(bands[one.kept]) & set(bands[one.removed])) > 0
    for b in kept:
        for a in kept & set(range(b)):
            assert (a, b) not in near or not set(bands[a]) & set(bands[b]), "two kept candidates are not alike"
    assert counts["comparisons_cut"] == counts["full_buckets"] == 0


def test_no_chains() -> None:
    removals, _ = decide([[1], [1, 2], [2]], {(0, 1), (1, 2)})
    assert [(one.removed, one.kept) for one in removals] == [(1, 0)], "2 is like 1, but 1 is gone and 0 is not like 2"


def test_the_kept_document_with_most_shared_bands_is_tried_first() -> None:
    removals, counts = decide([[1, 9], [2, 3, 8], [1, 2, 3]], {(0, 2), (1, 2)})
    assert [(one.removed, one.kept, one.bands) for one in removals] == [(2, 1, 2)]
    assert counts["comparisons"] == 1


def test_a_hot_bucket_does_not_go_quadratic_and_what_is_cut_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stars, "BUCKET", 8)
    monkeypatch.setattr(stars, "COMPARISONS", 5)
    n = 200
    removals, counts = decide([[7]] * n, set())
    assert not removals
    assert counts["comparisons"] <= 5 * n
    assert counts["full_buckets"] == n - 8
    assert counts["comparisons_cut"] == sum(max(min(i, 8) - 5, 0) for i in range(n))
