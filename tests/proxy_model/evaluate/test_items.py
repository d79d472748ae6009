"""Items: what is refused, what identifies them, which subset and which examples are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_model.evaluate.items import ItemError, items_hash, refuse_letters, subset, with_clusters, with_examples
from tests.proxy_model.evaluate.examples import item, some_items


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choices": ("only one",)}, "two or more"),
        ({"choices": ("a fox", " ")}, "empty choice"),
        ({"gold": 4}, "gold is 4"),
        ({"gold": -1}, "gold is -1"),
        ({"id": ""}, "an id"),
        ({"choices": ("fox", "fox", "dog")}, "stands there twice"),
        ({"contexts": ("a", "b")}, "one context"),
        ({"kind": "cloze"}, "one continuation"),
        ({"kind": "essay"}, "unknown kind"),
        ({"weight": 0.0}, "not positive"),
        ({"weight": float("nan")}, "not positive"),
    ],
)
def test_an_item_that_cannot_be_scored_says_why(changes: dict, said: str) -> None:
    with pytest.raises(ItemError, match=said):
        item(**changes)


def test_two_wrong_choices_may_be_the_same() -> None:
    assert item(choices=("fox", "dog", "dog")).options == 3


@pytest.mark.parametrize("choices", ["ABCD", "ab", ["(A)", "(B)", "(C)"], ["A.", "B."], "TF", "YN", [" A", " B", " C"]])
def test_choices_that_only_name_options_are_refused(choices: list[str]) -> None:
    with pytest.raises(ItemError, match="only letters"):
        refuse_letters(item(choices=tuple(choices)))


@pytest.mark.parametrize("choices", ["xyz", "BCD", ["A", "B", "a fox"], ["yes", "no"], ["1", "2"], "AC"])
def test_single_letters_that_are_answers_pass(choices: list[str]) -> None:
    refuse_letters(item(choices=tuple(choices)))


def test_pairs_join_context_and_choice() -> None:
    assert item().pair(1) == (item().contexts[0], " the dog")
    schema = some_items()[6]
    assert [schema.pair(i) for i in range(2)] == [
        ("The fox saw that the fox", " was lazy."),
        ("The fox saw that the dog", " was lazy."),
    ]


def test_chance_follows_from_the_item() -> None:
    assert [one.chance for one in (item(), item(choices=("a", "fox")), some_items()[6], some_items()[7])] == [
        0.25, 0.5, 0.5, 0.0,
    ]  # fmt: skip


def test_the_hash_is_of_every_field_that_scores_and_of_no_order() -> None:
    items = some_items()
    assert items_hash(items) == items_hash(items[::-1])
    first = items[0]
    for changes in ({"gold": 1}, {"joining": "\n"}, {"cluster": "x"}, {"weight": 2.0}, {"choices": ("a", "fox")}):
        assert items_hash([replace(first, **changes), *items[1:]]) != items_hash(items), changes
    assert items_hash(items[1:]) != items_hash(items)


@given(st.integers(1, 30), st.integers(0, 3), st.randoms())
def test_a_subset_is_nested_and_depends_on_no_order(n: int, seed: int, random) -> None:  # type: ignore[no-untyped-def]
    items = [item(str(i), benchmark=f"b{i % 2}") for i in range(40)]
    shuffled = items[:]
    random.shuffle(shuffled)
    chosen = {one.id for one in subset(items, n, seed)}
    assert chosen == {one.id for one in subset(shuffled, n, seed)}
    assert chosen <= {one.id for one in subset(items, n + 1, seed)}
    assert len(chosen) == 2 * min(n, 20)


def test_another_seed_takes_other_items() -> None:
    items = [item(str(i)) for i in range(50)]
    assert subset(items, 10, 0) != subset(items, 10, 1)


def test_examples_are_the_same_for_a_group_and_never_the_item_itself() -> None:
    pool = [item(f"p{i}", group="g", gold=1) for i in range(4)]
    items = [item(str(i), group="g") for i in range(3)]
    made = with_examples(items, pool, 2, seed=1)
    prefixes = {one.contexts[0].removesuffix(old.contexts[0]) for one, old in zip(made, items, strict=True)}
    assert len(prefixes) == 1
    prefix = prefixes.pop()
    assert prefix.count("Answer: the dog\n\n") == 2
    itself = with_examples(pool, pool, 3, seed=1)
    assert all(one.contexts[0].count(f"Question {one.id}:") == 1 for one in itself)
    with pytest.raises(ItemError, match=r"foxes g: 3 examples in the pool, 4 asked for"):
        with_examples(pool, pool, 4, seed=1)


def test_clusters_by_group() -> None:
    items = [item("1", group="law"), item("2", group="law"), item("3", benchmark="other", group="law")]
    assert [one.cluster for one in with_clusters(items, {"foxes": "group"})] == ["law", "law", "3"]
    with pytest.raises(ItemError, match="only by group or id"):
        with_clusters(items, {"foxes": "colour"})
