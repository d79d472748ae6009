"""Weights, thinning and cuts: exact integer arithmetic, unbiased, and no language vanishes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from tokenizer.counting.table import COUNTS_SCHEMA, CountsInfo, counts_info, with_info
from tokenizer.counting.weights import cut_long_words, multipliers, pieces_of, thin_rare, word_counts
from tokenizer.splitting.patterns import PATTERNS
from tokenizer.words import word_counts_of


def table_of(rows: list[tuple[bytes, str, str, int]]) -> pa.Table:
    columns = list(zip(*[(*row, 1) for row in sorted(rows)], strict=True)) or [()] * 5
    arrays = [pa.array(column, field.type) for column, field in zip(columns, COUNTS_SCHEMA, strict=True)]
    return with_info(pa.Table.from_arrays(arrays, schema=COUNTS_SCHEMA), CountsInfo(PATTERNS["o200k"], 10, 0, 0))


TABLE = table_of([(b"a", "en", "web", 5), (b"a", "ka", "web", 2), (b"a", "en", "code", 1), (b"b", "ka", "web", 3)])


def counted(table: pa.Table, weights: dict[str, float] | None = None) -> dict[bytes, int]:
    result = word_counts(table, weights)
    return dict(zip(result.words.to_pylist(), result.counts.tolist(), strict=True))


def test_without_weights_the_counts_are_those_of_the_texts() -> None:
    assert counted(TABLE) == {b"a": 8, b"b": 3}


def test_weights_multiply_the_counts_of_their_language_exactly() -> None:
    scaled = counted(TABLE, {"en": 1.0, "ka": 2.5})
    assert Fraction(scaled[b"a"], scaled[b"b"]) == Fraction(6 + 5, 1) / Fraction(15, 2)
    assert counted(TABLE, {"en": 0.0, "ka": 1.0})[b"a"] * 3 == counted(TABLE, {"en": 0, "ka": 1})[b"b"] * 2
    assert set(counted(TABLE, {"en": 1.0, "ka": 0.0})) == {b"a"}  # words of no weight are left out


@given(
    st.dictionaries(st.sampled_from(["en", "ka", "th", "zh"]), st.floats(1e-3, 1e3), min_size=1),
    st.lists(st.integers(1, 10**12), min_size=4, max_size=4),
)
def test_weights_keep_their_ratio_and_leave_room_for_every_sum(weights: dict[str, float], amounts: list[int]) -> None:
    sizes = dict(zip(weights, amounts, strict=False))
    try:
        factors = multipliers(weights, sizes)
    except UsageError:  # only where the sum leaves the smallest weight less than four bits
        least = min(weights.values())
        assert sum(weights[name] * size for name, size in sizes.items()) / least > 2.0**55
        return
    assert sum(factors[name] * size for name, size in sizes.items()) < 1 << 62
    scale = max(factors.values()) / max(weights.values())
    for name, weight in weights.items():
        assert factors[name] == pytest.approx(weight * scale, rel=0.04)


def test_weights_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(UsageError, match="no weight for ka"):
        word_counts(TABLE, {"en": 1.0})
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="the weight of ka is"):
            word_counts(TABLE, {"en": 1.0, "ka": wrong})
    with pytest.raises(UsageError, match="all weights are 0"):
        word_counts(TABLE, {"en": 0.0, "ka": 0.0})
    with pytest.raises(UsageError, match="of ka is too small"):
        word_counts(TABLE, {"en": 1.0, "ka": 1e-9})


def rare_table(words: int) -> pa.Table:
    rows = [(f"{language}{k}".encode(), language, "web", 1 + k % 3) for language in ("en", "th") for k in range(words)]
    return table_of(
        [*rows, (b"frequent", "en", "web", 10_000), (b"shared", "en", "web", 1), (b"shared", "th", "web", 9)]
    )


def test_thinning_keeps_every_languages_expected_count_within_one_percent() -> None:
    table = rare_table(2_000)
    languages = np.array(table["language"].to_pylist())
    before = {name: np.asarray(table["n"])[languages == name].sum() for name in ("en", "th")}
    sums: dict[str, list[int]] = {"en": [], "th": []}
    for seed in range(30):
        thinned = thin_rare(table, below=3, keep_one_in=4, seed=seed)
        assert thinned.num_rows < 0.7 * table.num_rows
        names = np.array(thinned["language"].to_pylist())
        for name in sums:
            sums[name].append(np.asarray(thinned["n"])[names == name].sum())
    for name, total in before.items():
        assert np.mean(sums[name]) == pytest.approx(total, rel=0.01)


def test_thinning_leaves_frequent_words_and_depends_on_the_seed_alone() -> None:
    table = rare_table(500)
    one = thin_rare(table, below=3, keep_one_in=4, seed=1)
    assert one.equals(thin_rare(table, below=3, keep_one_in=4, seed=1))
    assert not one.equals(thin_rare(table, below=3, keep_one_in=4, seed=2))
    assert counted(one)[b"frequent"] == 10_000
    assert counted(one)[b"shared"] == 10  # rare in one language only
    assert thin_rare(table, below=3, keep_one_in=1, seed=1).select(range(5)).equals(table)
    assert counts_info(one).thinned == "1 in 4 below 3, seed 1"
    with pytest.raises(UsageError, match="thinned already"):
        thin_rare(one, below=3, keep_one_in=4, seed=1)
    with pytest.raises(UsageError, match="at least 1"):
        thin_rare(table, below=3, keep_one_in=0, seed=1)


@given(
    st.dictionaries(st.text(min_size=1, max_size=30).map(str.encode), st.integers(1, 99), max_size=8),
    st.integers(4, 12),
)
def test_long_words_are_cut_between_characters(counts: dict[bytes, int], longest: int) -> None:
    cut = cut_long_words(word_counts_of(counts), longest)
    expected: dict[bytes, int] = {}
    for word, n in counts.items():
        pieces = list(pieces_of(word, longest))
        assert b"".join(pieces) == word
        assert all(len(piece) <= longest and piece.decode() for piece in pieces)
        for piece in pieces:
            expected[piece] = expected.get(piece, 0) + n
    assert dict(zip(cut.words.to_pylist(), cut.counts.tolist(), strict=True)) == expected
    assert cut.words.to_pylist() == sorted(expected)


def test_a_cut_must_leave_room_for_a_character() -> None:
    with pytest.raises(UsageError, match="at least 4"):
        cut_long_words(word_counts_of({b"a": 1}), 3)
