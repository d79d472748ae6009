"""What language weights promise: exact re-weighting, no hidden pruning, and a search that only lifts and ends."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from tokenizer.counting.count import count_words, word_counts
from tokenizer.splitting.patterns import pattern_of
from tokenizer.training.language_search import (
    Round,
    SearchOptions,
    SearchResult,
    raise_factors,
    search_shares,
    search_weights,
)
from tokenizer.training.languages import LanguageTable, language_table, quotas, shares_of, temperature, weights_for
from tokenizer.training.train import train
from tokenizer.training.word_tokens import tokens_per_word_reference

LANGUAGES = {
    "en": "the cat sat on the mat and the dog sat on the cat while it rained on the house ",
    "de": "der Hund schläft unter dem Tisch und die Katze schläft auf dem Stuhl am Fenster ",
    "el": "η γάτα κάθεται στο χαλί και ο σκύλος κοιμάται κάτω από το τραπέζι ",
}


def counted(repeats: Mapping[str, int], domains: int = 1) -> pa.Table:
    rows = [
        (f"{LANGUAGES[name]}{i} ", name, f"d{i % domains}") for name, times in repeats.items() for i in range(times)
    ]
    columns = [pa.array([row[k] for row in rows], pa.large_string() if k == 0 else pa.string()) for k in range(3)]
    batch = pa.record_batch(columns, ["text", "language", "domain"])
    return count_words([batch], pattern_of("o200k"), clip=None)


TABLE = counted({"en": 40, "de": 6, "el": 2}, domains=3)


def test_the_table_adds_up_domains_and_knows_each_languages_bytes() -> None:
    table = language_table(TABLE)
    assert table.languages == ("de", "el", "en")
    for name, times in (("en", 40), ("de", 6), ("el", 2)):
        assert table.bytes[name] == sum(len(f"{LANGUAGES[name]}{i} ".encode()) for i in range(times))
    greek = table.counts_of("el")
    assert dict(zip(greek.words.to_pylist(), greek.counts.tolist(), strict=True))[" σκύλος".encode()] == 2
    assert int(table.counts_of_all().counts.sum()) == int(np.asarray(TABLE["n"]).sum())


def test_weighted_counts_are_those_of_the_count_stage() -> None:
    weights = {"en": 0.5, "de": 2.0, "el": 7.25}
    ours, theirs = language_table(TABLE).weighted(weights), word_counts(TABLE, weights)
    kept = ours.counts > 0
    assert ours.words.filter(pa.array(kept)).equals(theirs.words)
    assert np.array_equal(ours.counts[kept], theirs.counts)


def test_weights_of_one_and_all_alike_give_the_merges_of_the_plain_counts() -> None:
    table = language_table(TABLE)
    plain = train(table.counts_of_all(), 400).merges
    for weight in (1.0, 0.25, 3.0):
        assert np.array_equal(train(table.weighted(dict.fromkeys(table.languages, weight)), 400).merges, plain)


def test_no_word_of_a_weighted_language_is_lost() -> None:
    table = language_table(TABLE)
    assert (table.weighted({"en": 1.0, "de": 0.001, "el": 900.0}).counts > 0).all()
    without = table.weighted({"en": 1.0, "de": 0.0, "el": 1.0})
    greek_or_english = {*table.counts_of("en").words.to_pylist(), *table.counts_of("el").words.to_pylist()}
    assert set(without.words.filter(pa.array(without.counts > 0)).to_pylist()) == greek_or_english


def test_tokens_by_language_are_those_of_encoding_each_word() -> None:
    table = language_table(TABLE)
    merges = train(table.counts_of_all(), 320).merges
    for name in table.languages:
        counts = table.counts_of(name)
        expected = sum(
            n * tokens
            for n, tokens in zip(
                counts.counts.tolist(), tokens_per_word_reference(counts.words.to_pylist(), merges), strict=True
            )
        )
        assert table.tokens(merges)[name] == table.tokens_of(name, merges) == expected


def test_an_empty_or_unsorted_table_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        language_table(TABLE.slice(0, 0))
    with pytest.raises(UsageError, match="not sorted"):
        language_table(TABLE.take(list(range(len(TABLE)))[::-1]))


SHARES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.floats(1e-6, 1e6), min_size=1).map(shares_of)


@given(SHARES, st.floats(0, 1))
def test_temperature_lifts_the_small_and_keeps_the_order(shares: dict[str, float], alpha: float) -> None:
    flat = temperature(shares, alpha)
    assert sum(flat.values()) == pytest.approx(1)
    assert temperature(shares, 1) == pytest.approx(shares)
    assert temperature(shares, 0) == pytest.approx(dict.fromkeys(shares, 1 / len(shares)))
    small, large = (pick(shares, key=lambda name: shares[name]) for pick in (min, max))
    assert flat[small] >= shares[small] * (1 - 1e-9)
    assert flat[small] <= flat[large] * (1 + 1e-9)


@given(SHARES, st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_quotas_are_met_and_the_others_keep_their_proportions(shares: dict[str, float], raw: list[float]) -> None:
    least = {name: value * 0.9 / max(1, len(raw)) for name, value in zip(shares, raw, strict=False)}
    given_shares = quotas(shares, least)
    assert sum(given_shares.values()) == pytest.approx(1) or len(least) == len(shares)
    for name, quota in least.items():
        assert given_shares[name] >= quota * (1 - 1e-9)
    free = [name for name in shares if given_shares[name] > least.get(name, 0) * (1 + 1e-6)]
    ratios = [given_shares[name] / shares[name] for name in free if name not in least]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)) if ratios else True


@pytest.mark.parametrize("least", [{"xx": 0.1}, {"a": -0.1}, {"a": 0.6, "b": 0.4}])
def test_impossible_quotas_are_refused(least: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="quota"):
        quotas({"a": 0.5, "b": 0.5}, least)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_impossible_temperatures_are_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match="alpha"):
        temperature({"a": 1.0}, alpha)


def test_weights_give_the_shares_of_the_weighted_text() -> None:
    table = language_table(TABLE)
    wanted = {"en": 0.5, "de": 0.2, "el": 0.3}
    weights = weights_for(wanted, table.bytes)
    assert shares_of({name: weights[name] * table.bytes[name] for name in wanted}) == pytest.approx(wanted)
    assert weights_for(shares_of(table.bytes), table.bytes) == pytest.approx(dict.fromkeys(wanted, 1.0))


# ---- the search, on a made-up world: regret = 1 + need · share^-elasticity, so that every answer is known

OPTIONS = SearchOptions(target_regret=1.06, most_rounds=40, most_loss=1.0)


def search(
    needs: Mapping[str, float], mix: Mapping[str, float], options: SearchOptions = OPTIONS, driven: str = "abcd"
) -> tuple[tuple[Round, ...], int, str]:
    def measure(shares: Mapping[str, float]) -> dict[str, int]:
        return {name: round(1e9 * (1 + need / max(shares[name], 1e-9) ** 0.5)) for name, need in needs.items()}

    alone = {name: 10**9 for name in needs if name in driven}
    return search_shares(measure, alone, mix, dict.fromkeys(needs, 10**6), options)


MIX = {"a": 0.9, "b": 0.05, "c": 0.04, "d": 0.01}


@given(st.fixed_dictionaries({name: st.floats(0, 0.3) for name in MIX}), st.floats(0.001, 1.0))
def test_the_search_ends_and_never_lowers_a_share_but_by_renormalising(needs: dict[str, float], loss: float) -> None:
    options = SearchOptions(most_rounds=25, most_loss=loss)
    rounds, best, _ = search(needs, MIX, options)
    assert 1 <= len(rounds) <= 25
    accepted = 0
    for i, one in enumerate(rounds):
        assert sum(one.shares.values()) == pytest.approx(1)
        if i:
            before = rounds[accepted].shares
            others = [one.shares[name] / before[name] for name in MIX if name not in one.raised]
            lifted = [one.shares[name] / before[name] for name in one.raised]
            assert min(lifted) > min(others, default=0.0)  # what is raised gains on what is not
            falling = [ratio for ratio in others if ratio < 1 - 1e-9]
            assert falling == pytest.approx([falling[0]] * len(falling)) if falling else True  # all alike
            assert set(rounds[i - 1].frozen) <= set(one.frozen)
            assert not set(rounds[i - 1].frozen) & set(one.raised)
        accepted = i if one.accepted else accepted
    assert rounds[best].accepted
    assert rounds[best].worst == min(one.worst for one in rounds if one.accepted) <= rounds[0].worst


def test_a_language_that_pays_is_lifted_to_the_target() -> None:
    rounds, best, stopped = search({"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.02}, MIX)
    assert rounds[0].worst > 1.06 >= rounds[best].worst
    assert stopped == "no language is above the target regret"
    assert all(one.raised == ("d",) for one in rounds[1:])


def test_a_language_that_gains_nothing_is_frozen_and_keeps_its_share() -> None:
    def measure(shares: Mapping[str, float]) -> dict[str, int]:
        return {"a": 1000, "b": 1000, "c": 1000, "d": 1500}  # d pays half as much again, whatever its share

    alone = dict.fromkeys("abcd", 1000)
    rounds, _, stopped = search_shares(measure, alone, MIX, dict.fromkeys("abcd", 10**6), OPTIONS)
    assert rounds[-1].frozen == ("d",)
    assert "more text would help" in stopped
    assert len(rounds) <= 3


def test_the_mix_and_its_largest_language_stay_within_the_limit() -> None:
    needs = {"a": 0.05, "b": 0.05, "c": 0.05, "d": 0.05}
    for loss in (0.002, 0.01):
        rounds, best, stopped = search(needs, MIX, SearchOptions(most_rounds=40, most_loss=loss))
        assert max(rounds[best].mix_loss, rounds[best].largest_loss) <= loss
        assert rounds[best].worst < rounds[0].worst
        assert "cost more than" in stopped


def test_a_language_without_enough_development_text_keeps_its_starting_share() -> None:
    needs = {"a": 0.0, "b": 0.05, "c": 0.05, "d": 0.05}
    rounds, best, _ = search(needs, MIX, driven="abc")
    assert len(rounds) > 1 and "d" not in rounds[0].regret
    assert rounds[best].shares["d"] == rounds[0].shares["d"]


def test_a_step_is_longer_for_who_is_worse_off_and_bounded() -> None:
    factors = raise_factors({"a": 1.05, "b": 1.07, "c": 1.2, "d": 9.0}, 1.06, 1.0)
    assert "a" not in factors
    assert 1 < factors["b"] < factors["c"] < factors["d"] == 3.0
    assert raise_factors({"d": 9.0}, 1.06, 0.5)["d"] == pytest.approx(3.0**0.5)


def small_search() -> tuple[LanguageTable, SearchResult]:
    text = language_table(counted({"en": 60, "de": 6, "el": 2}))
    dev = language_table(counted({"en": 9, "de": 9, "el": 9}))
    options = SearchOptions(
        vocab_size=330, reference_size=300, target_regret=1.0, most_loss=0.2, least_dev_bytes=600, most_rounds=5
    )
    return text, search_weights(text, dev, options)


def test_the_whole_search_is_deterministic_and_helps_the_worst_language() -> None:
    text, found = small_search()
    assert found == small_search()[1]
    assert found.rounds[found.best].worst <= found.rounds[0].worst
    assert set(found.weights) == set(text.languages)
    assert shares_of({name: found.weights[name] * text.bytes[name] for name in found.weights}) == pytest.approx(
        found.shares
    )
    assert found.not_driven == ()


def test_without_development_text_the_search_is_refused() -> None:
    table = language_table(TABLE)
    with pytest.raises(UsageError, match="development text"):
        search_weights(table, table, SearchOptions(least_dev_bytes=10**9))
    with pytest.raises(UsageError, match="share of the mix"):
        search_weights(table, table, mix={"en": 1.0})
