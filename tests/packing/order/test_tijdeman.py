"""Promise of the order: after every prefix, every queue's real tokens are less than one sequence from its share."""

from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from packing.order.feasibility import longest_budget
from packing.order.tijdeman import prefix_deviation, tijdeman
from packing.order.weights import path, static

L = 64


def exact_ideal(weights, tokens, queue):
    """Integral of the piecewise linear weight over the first `tokens`, in rationals."""
    at = [Fraction(float(x)) for x in weights.at]
    value = [Fraction(float(x)) for x in weights.weights[:, queue]]
    area = Fraction(0)
    for number, begin in enumerate(at):
        end = at[number + 1] if number + 1 < len(at) else None
        until = tokens if end is None else min(tokens, end)
        if until <= begin:
            continue
        last = value[number]
        if end is not None:
            last += (value[number + 1] - value[number]) * (until - begin) / (end - begin)
        area += (value[number] + last) / 2 * (until - begin)
    return area


def exact_deviation(order, weights, tokens):
    """The largest deviation of any queue over every prefix, in sequences: rationals, nothing skipped."""
    turns, given_tokens, total = [0] * len(tokens), [0] * len(tokens), 0
    worst = Fraction(0)
    for queue in order.tolist():
        size = int(tokens[queue][turns[queue] % tokens[queue].size])
        turns[queue] += 1
        given_tokens[queue] += size
        total += size
        for other in range(len(tokens)):
            worst = max(worst, abs(given_tokens[other] - exact_ideal(weights, Fraction(total), other)))
    return worst / L


def bound(queues):
    return 1 - Fraction(1, 2 * queues - 2) if queues > 1 else Fraction(0)


ROUNDING = Fraction(1, 10**9)  # weights are floats that sum to 1 within 1e-16


@st.composite
def queues_of_sequences(draw, most=7):
    """Queues of sequences that are full, of any size, or full but for the last one, as packing leaves them."""
    sizes = st.one_of(st.just(L), st.integers(1, L), st.sampled_from([1, L]), st.integers(L // 2, L))
    count = draw(st.integers(1, most))
    return [np.array(draw(st.lists(sizes, min_size=1, max_size=12)), np.int64) for _ in range(count)]


WEIGHT = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-3, 1.0]))


def weights_for(data, tokens):
    row = st.lists(WEIGHT, min_size=len(tokens), max_size=len(tokens)).filter(lambda row: sum(row) > 1e-6)
    kind = data.draw(st.sampled_from(["static", "interpolated", "tail"]))
    if kind == "static":
        return static(data.draw(row))
    if kind == "interpolated":
        begin, transition = data.draw(st.integers(0, 500)), data.draw(st.integers(1, 2000))
        one = data.draw(row)
        return path([0.0, begin, begin + transition], [one, one, data.draw(row)])
    one = data.draw(st.integers(1, 400))
    return path([0.0, one, one, one + 300.0], [data.draw(row) for _ in range(4)])


@given(queues_of_sequences(), st.data())
@settings(max_examples=150)
def test_every_prefix_is_within_the_bound(tokens, data):
    """Any sizes, any weights, changing or not, as far as the first queue lasts."""
    weights = weights_for(data, tokens)
    order = tijdeman(weights, tokens, L)
    assert exact_deviation(order, weights, tokens) <= bound(len(tokens)) + ROUNDING < 1


@given(queues_of_sequences())
@settings(max_examples=100)
def test_every_sequence_once_in_proportion(tokens):
    """With natural weights all queues end together, and nothing is left over."""
    weights = static([float(part.sum()) for part in tokens])
    order = tijdeman(weights, tokens, L, sum(part.size for part in tokens))
    assert np.bincount(order, minlength=len(tokens)).tolist() == [part.size for part in tokens]
    assert exact_deviation(order, weights, tokens) <= bound(len(tokens)) + ROUNDING


@given(queues_of_sequences(), st.data())
@settings(max_examples=60)
def test_repeated_queues_keep_the_bound(tokens, data):
    weights = weights_for(data, tokens)
    order = tijdeman(weights, tokens, L, epochs=2.5)
    assert exact_deviation(order, weights, tokens) <= bound(len(tokens)) + ROUNDING
    for queue, part in enumerate(tokens):
        assert (order == queue).sum() <= 2.5 * part.size


@pytest.mark.parametrize("law", ["dirichlet", "zipf", "one big", "changing"])
@pytest.mark.parametrize("count", [2, 3, 50, 200])
def test_up_to_two_hundred_queues(count, law):
    """Every prefix and queue at once in float64, whose error here is under 1e-9 of a sequence."""
    rng = np.random.default_rng(count)
    length = 2048
    one = {"zipf": 1 / np.arange(1, count + 1), "one big": np.r_[9.0, np.full(count - 1, 1 / (count - 1))]}.get(
        law, rng.dirichlet(np.ones(count)) + 1e-6
    )
    weights = path([0.0, 1e6, 3e6], [one, one, one[::-1]]) if law == "changing" else static(one)
    tokens = [np.where(rng.random(200) < 0.5, length, rng.integers(1, length + 1, 200)) for _ in range(count)]
    order = tijdeman(weights, tokens, length, 3000, epochs=20)
    turns = np.zeros(count, np.int64)
    sizes = np.empty(order.size, np.int64)
    for step, queue in enumerate(order):
        sizes[step] = tokens[queue][turns[queue] % 200]
        turns[queue] += 1
    ends = np.cumsum(sizes).astype(float)
    worst = np.array(
        [
            np.abs(np.cumsum(np.where(order == queue, sizes, 0)) - weights.ideal(ends, queue)).max() / length
            for queue in range(count)
        ]
    )
    assert worst.max() <= 1 - 1 / (2 * count - 2) + 1e-9
    np.testing.assert_allclose(prefix_deviation(order, weights, tokens, length), worst, atol=1e-9)


@given(queues_of_sequences(4), st.data())
@settings(max_examples=80)
def test_the_measure_looks_at_every_prefix(tokens, data):
    """`prefix_deviation` of any order, also a bad one, is the exact maximum."""
    turns = [queue for queue, part in enumerate(tokens) for _ in range(part.size)]
    order = np.array(data.draw(st.permutations(turns)), np.uint16)
    weights = weights_for(data, tokens)
    found = prefix_deviation(order, weights, tokens, L).max()
    assert found == pytest.approx(float(exact_deviation(order, weights, tokens)), abs=1e-9)


def test_the_theorem_for_full_sequences():
    """Tijdeman's own setting, by count; the bound is reached by these weights' worst queue or stays under it."""
    order = tijdeman([0.5, 0.3, 0.2], [np.full(500, L)] * 3, L, 300)
    counts = np.array(list(accumulate(np.eye(3)[order], np.add)))
    shares = np.arange(1, 301)[:, None] * [0.5, 0.3, 0.2]
    assert np.abs(counts - shares).max() <= 0.75 + 1e-9


def test_a_stage_goes_on_where_the_last_one_ended():
    tokens = [np.array([64, 10, 64, 30]), np.array([64, 64, 40])]
    first = tijdeman(static([168, 168]), tokens, L, 3)
    used = np.bincount(first, minlength=2)
    rest = [int(part[count:].sum()) for part, count in zip(tokens, used, strict=True)]
    second = tijdeman(static([float(one) for one in rest]), tokens, L, used=used)
    assert (used + np.bincount(second, minlength=2)).tolist() == [4, 3]


def test_a_budget_ends_with_the_sequence_that_reaches_it():
    tokens = [np.full(10, 64), np.full(10, 64)]
    assert tijdeman([1, 1], tokens, L, budget=640).size == 10
    assert tijdeman([1, 1], tokens, L, budget=641).size == 11


def test_without_a_length_the_scarcest_queue_ends_it():
    tokens = [np.full(100, 64), np.full(5, 64)]
    order = tijdeman([1, 1], tokens, L)
    assert np.bincount(order).tolist() == [5, 5]
    assert longest_budget(static([1, 1]), [6400, 320]) == 640
    assert longest_budget(path([0.0, 1000.0], [[1, 0], [0, 1]]), [10**9, 125]) == pytest.approx(500)


def test_a_budget_beyond_the_scarcest_queue_is_refused_by_its_number():
    tokens = [np.full(100, 64), np.full(5, 64)]
    with pytest.raises(UsageError, match="queue 1 has no more after 640 tokens in all, and 768 are wanted"):
        tijdeman([1, 1], tokens, L, budget=12 * 64)
    assert tijdeman([1, 1], tokens, L, 12).size == 10
    assert tijdeman([1, 1], tokens, L, 12, epochs=2).size == 12


def test_a_queue_without_weight_is_never_asked():
    order = tijdeman([1, 0, 1], [np.full(50, 1), np.full(50, 1), np.full(50, 1)], L, 100)
    assert 1 not in order


@pytest.mark.parametrize(
    ("weights", "tokens", "words"),
    [
        ([1, 1], [[64]] * 2, "3 sequences are wanted, and the queues with a weight have 2"),
        ([1, 0], [[64] * 9] * 2, None),
        ([1, -1], [[64] * 9] * 2, "at least 0"),
        ([0, 0], [[64] * 9] * 2, "one of them above 0"),
        ([1, float("nan")], [[64] * 9] * 2, "numbers"),
        ([1, 1, 1], [[64] * 9] * 2, "3 weights for 2 queues"),
        ([1, 1], [[64] * 9, [65] * 9], "queue 1 has a sequence of 65 or 65 tokens"),
        ([1, 1], [[64] * 9, [0] * 9], "queue 1 has a sequence of 0 or 0 tokens"),
        ([1] * 201, [[64]] * 201, "at most 200"),
    ],
)
def test_bad_requests_are_refused_in_words(weights, tokens, words):
    arrays = [np.array(part) for part in tokens]
    if words is None:
        assert tijdeman(weights, arrays, L, 3).tolist() == [0, 0, 0]
        return
    with pytest.raises(UsageError, match=words):
        tijdeman(weights, arrays, L, 3)
