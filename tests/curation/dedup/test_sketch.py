"""Promises of signatures: kernel = reference, a pinned format, and candidates as often as theory says."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup.presets import DEFAULT, PRESETS, Banding
from curation.dedup.sketch import FIRST, SECOND, band_keys, band_keys_reference, permutations
from curation.text.shingles import Shingles

SMALL = Banding(4, 3, "")


def keys(documents: list[list[int]], banding: Banding) -> np.ndarray:
    ends = np.cumsum([len(one) for one in documents], dtype=np.int64)
    return band_keys(Shingles(np.array(list(chain.from_iterable(documents)), np.uint32), ends), banding)


@settings(max_examples=100)
@given(st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=30), min_size=1, max_size=4))
def test_kernel_equals_reference(documents: list[list[int]]) -> None:
    assert keys(documents, SMALL).tolist() == [band_keys_reference(one, SMALL) for one in documents]


def test_all_presets_and_long_documents() -> None:
    long = list(range(7, 12_007, 3))
    for banding in PRESETS.values():
        assert keys([long[:42]], banding).tolist() == [band_keys_reference(long[:42], banding)]
    assert keys([long, [1]], SMALL).tolist() == [band_keys_reference(one, SMALL) for one in (long, [1])]


def test_a_second_seed_gives_other_keys() -> None:
    shingles = Shingles(np.array([1, 2, 3], np.uint32), np.array([3]))
    first, second = (band_keys(shingles, SMALL, seed) for seed in (FIRST, SECOND))
    assert not set(first.ravel().tolist()) & set(second.ravel().tolist())
    assert [key.tolist() for key in permutations(2, SECOND)] == SECOND_PERMUTATIONS


def test_keys_are_pinned() -> None:
    assert [key.tolist() for key in permutations(2)] == PERMUTATIONS
    assert keys([[1, 2, 3]], SMALL).tolist() == [GOLDEN]


def test_presets_have_a_source_and_the_published_sizes() -> None:
    sizes = {name: (one.bands, one.rows, one.permutations) for name, one in PRESETS.items()}
    assert sizes == {
        "wide-32x8": (32, 8, 256),
        "fineweb-14x8": (14, 8, 112),
        "refinedweb-450x20": (450, 20, 9000),
        "dclm-93x15": (93, 15, 1395),
    }
    assert all(one.source for one in PRESETS.values()) and DEFAULT in PRESETS


@pytest.mark.parametrize(
    ("name", "curve"),  # P(candidate) at Jaccard 0.5 0.6 0.7 0.75 0.8 0.85, as printed in docs/dedup.md
    [
        ("wide-32x8", [0.118, 0.418, 0.850, 0.966, 0.997, 1.000]),
        ("fineweb-14x8", [0.053, 0.211, 0.565, 0.772, 0.924, 0.988]),
        ("refinedweb-450x20", [0.000, 0.016, 0.302, 0.761, 0.995, 1.000]),
        ("dclm-93x15", [0.003, 0.043, 0.358, 0.714, 0.964, 1.000]),
    ],
)
def test_the_theory_curve_is_the_printed_one(name: str, curve: list[float]) -> None:
    found = [PRESETS[name].candidate_probability(jaccard) for jaccard in (0.5, 0.6, 0.7, 0.75, 0.8, 0.85)]
    assert found == pytest.approx(curve, abs=0.0006)


@pytest.mark.parametrize("jaccard", [0.5, 0.7, 0.8])
def test_bands_collide_as_often_as_theory_says(jaccard: float) -> None:
    random, trials, union = np.random.default_rng(20261121), 1500, 200
    banding, common = PRESETS["wide-32x8"], round(jaccard * union)
    half = (union - common) // 2
    documents: list[list[int]] = []
    for _ in range(trials):
        values = random.integers(0, 2**32, union).tolist()
        documents += [values[: common + half], values[:common] + values[common + half :]]
    found = keys(documents, banding)
    same = found[0::2] == found[1::2]
    one_band, candidate = jaccard**banding.rows, banding.candidate_probability(jaccard)
    tolerance = 4 * np.sqrt(candidate * (1 - candidate) / trials) + 1e-3  # four standard errors
    assert same.any(axis=1).mean() == pytest.approx(candidate, abs=tolerance)
    assert same.mean() == pytest.approx(one_band, abs=4 * np.sqrt(one_band / trials / banding.bands) * 2)


PERMUTATIONS = [[3650203151, 4080803595], [3895393415, 848235276]]  # a, b of the first two
GOLDEN = [3689068446923684094, 12610612254239454552, 12505432610045490365, 2403992584448857795]
SECOND_PERMUTATIONS = [[1264678665, 3281052521], [4020610942, 3437257428]]
