"""Promises of stages: shares of sources and length classes, smooth transitions, refusal before anything is written."""

from dataclasses import replace

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from packing.order.feasibility import Need, longest_budget, needs, require_enough
from packing.order.stages import Cell, Stage, Tail, cell_weights, length_class, plan_stages, stage_path
from packing.order.tijdeman import prefix_deviation, tijdeman
from packing.order.weights import path, static

K = 1024
CELLS = [
    Cell("web", "short", 8_000),
    Cell("web", "medium", 1_500),
    Cell("web", "long", 500),
    Cell("books", "short", 0),
    Cell("books", "medium", 4_000),
    Cell("books", "long", 6_000),
]


def by(cells, weights, field):
    sums = {}
    for cell, weight in zip(cells, weights, strict=True):
        sums[getattr(cell, field)] = sums.get(getattr(cell, field), 0.0) + float(weight)
    return sums


def test_length_classes_are_those_of_the_paper_or_the_users():
    assert length_class(np.array([1, 32 * K - 1, 32 * K, 128 * K, 128 * K + 1])).tolist() == [0, 0, 1, 1, 2]
    assert length_class(np.array([1, 9, 10, 20, 21]), (10, 20)).tolist() == [0, 0, 1, 1, 2]
    assert [cell.name for cell in (CELLS[0], Cell("web", "", 1))] == ["web/short", "web"]


def test_without_class_shares_a_source_gives_its_lengths_as_they_come():
    stage = Stage("8K", 1000, {"web": 3, "books": 1})
    weights = cell_weights(stage, stage.weights, CELLS)
    assert by(CELLS, weights, "source") == pytest.approx({"web": 0.75, "books": 0.25})
    assert weights[0] == pytest.approx(0.75 * 0.8) and weights[3] == 0
    as_there_are = cell_weights(Stage("8K"), None, CELLS)
    assert as_there_are == pytest.approx(np.array([cell.tokens for cell in CELLS]) / 20_000)


def test_class_shares_hold_and_sources_keep_their_weights_inside_a_class():
    stage = Stage("x", 1000, {"web": 3, "books": 1}, lengths={"short": 0.3, "medium": 0.3, "long": 0.4})
    weights = cell_weights(stage, stage.weights, CELLS)
    assert by(CELLS, weights, "length_class") == pytest.approx({"short": 0.3, "medium": 0.3, "long": 0.4})
    assert weights[1] / weights[4] == pytest.approx(3) and weights[2] / weights[5] == pytest.approx(3)
    assert weights[0] == pytest.approx(0.3)  # books have no short documents
    natural = cell_weights(replace(stage, weights=None), None, CELLS)
    assert by(CELLS, natural, "length_class") == pytest.approx({"short": 0.3, "medium": 0.3, "long": 0.4})
    assert natural[1] / natural[4] == pytest.approx(1_500 / 4_000)


def test_weights_move_linearly_from_one_stage_to_the_next():
    first = Stage("a", 1000, {"web": 1})
    second = Stage("b", 1000, {"books": 1}, transition=400)
    plan = plan_stages([first, second], CELLS)
    web = [
        sum(float(plan.stages[1].weights.weight(np.array([t]), q)[0]) for q in range(3))
        for t in (0, 100, 200, 400, 999)
    ]
    assert web == pytest.approx([1, 0.75, 0.5, 0, 0])
    assert sum(need.wanted for need in plan.stages[1].needs[:3]) == pytest.approx(200)


def test_weights_can_move_to_the_end_of_a_stage():
    plan = stage_path(Stage("a", 1000, {"web": 1}, end_weights={"books": 1}), CELLS, 1000)
    web = [sum(float(plan.weight(np.array([float(t)]), q)[0]) for q in range(3)) for t in (0, 250, 1000)]
    assert web == pytest.approx([1, 0.75, 0])


def test_the_tail_mixes_in_its_source_and_leaves_the_others_their_proportions():
    cells = [*CELLS, Cell("qa", "short", 100), Cell("qa", "long", 100)]
    stage = Stage("a", 1000, {"web": 1, "books": 1}, lengths={"short": 0.5, "long": 0.5}, tail=Tail("qa", 0.1, 0.2))
    made = stage_path(stage, cells, 1000)
    for tokens, share in ((799.0, 0.0), (800.0, 0.1), (999.0, 0.1)):
        now = np.array([float(made.weight(np.array([tokens]), queue)[0]) for queue in range(len(cells))])
        assert now.sum() == pytest.approx(1)
        assert by(cells, now, "source").get("qa") == pytest.approx(share)
        assert now[6] == pytest.approx(now[7]) and now[2] == pytest.approx(now[5])
    assert needs([c.name for c in cells], made, 1000, [c.tokens for c in cells])[6].wanted == pytest.approx(10)


def test_a_plan_says_the_epochs_of_every_class():
    """1.5 % of web tokens are medium: the 210 G of MiniMax-01's first long stage alone need some 14 T tokens of web."""
    billion = 10**9
    cells = [Cell("web", kind, n * billion) for kind, n in zip(("short", "medium", "long"), (984, 15, 1), strict=True)]
    shares = [(0.3, 0.7, 0.0), (0.35, 0.35, 0.3), (0.3, 0.3, 0.4)]
    stages = [
        Stage(name, tokens * billion, {"web": 1}, lengths=dict(zip(("short", "medium", "long"), some, strict=True)))
        for name, tokens, some in zip(("128K", "512K", "1M"), (300, 32, 26), shares, strict=True)
    ]
    plan = plan_stages(stages, cells)
    medium = {need.queue: need for need in plan.by_class}["medium"]
    assert medium.wanted == pytest.approx(210e9 + 11.2e9 + 7.8e9) and medium.epochs == pytest.approx(229 / 15)
    assert plan.stages[0].needs[1].epochs == pytest.approx(14)
    assert plan_stages([Stage("all")], cells).total[0].epochs == pytest.approx(1)


def test_a_stage_path_goes_through_the_schedule_within_the_bound():
    rng = np.random.default_rng(2)
    cells = [*CELLS, Cell("qa", "long", 500)]
    stages = [
        Stage("a", 60_000, {"web": 2, "books": 1}),
        Stage(
            "b", 90_000, {"web": 1, "books": 3}, transition=30_000, tail=Tail("qa"), lengths={"short": 0.5, "long": 0.5}
        ),
    ]
    plan = plan_stages(stages, cells)
    tokens = [np.full(400, 256) - (rng.random(400) < 0.1) * rng.integers(0, 200, 400) for _ in cells]
    used = np.zeros(len(cells), np.int64)
    for stage in plan.stages:
        order = tijdeman(stage.weights, tokens, 256, 200, epochs=9, used=used, budget=stage.stage.tokens)
        assert prefix_deviation(order, stage.weights, tokens, 256, used).max() < 1
        used += np.bincount(order, minlength=len(cells))


def test_too_few_tokens_name_the_queue_the_epochs_and_what_would_fit():
    with pytest.raises(
        UsageError, match=r"stage s: 'books' needs 2\.4 epochs: 2,400 tokens wanted, 1,000 there"
    ) as told:
        require_enough("s", [Need("web", 10, 100), Need("books", 2400, 1000)], 4_166.7)
    assert "'web'" not in str(told.value) and "at most 4,167 tokens" in str(told.value)
    with pytest.raises(UsageError, match="'x' has no tokens left, and 1 are wanted"):
        require_enough("s", [Need("x", 1, 0)], 0.0)
    require_enough("s", [Need("x", 0, 0), Need("y", 1000.0005, 1000)], 0.0)
    assert longest_budget(static([1, 3]), [100, 600]) == pytest.approx(400)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Stage("s", 10, {"wiki": 1}), "no queue with tokens is called 'wiki'"),
        (Stage("s", 10, {"book": 1}), "did you mean 'books'"),
        (Stage("s", 10, {"empty": 1}), "'empty' has a weight, but no tokens"),
        (Stage("s", 10, {"web": 0}), "one of them more"),
        (Stage("s", 10, {"web": 1}, lengths={"huge": 1.0}), "no source has huge documents"),
        (Stage("s", 10, {"web": 1}, tail=Tail("qa")), "tail's source qa has no tokens"),
        (Stage("s", 10, {"web": 1}, tail=Tail("books", 1.5)), "tail does not fit"),
        (Stage("s", 10, {"web": 1}, lengths={"short": 1.0}, tail=Tail("books")), "no documents of the stage's lengths"),
    ],
)
def test_impossible_stages_are_refused_in_words(stage, words):
    with pytest.raises(UsageError, match=words):
        stage_path(stage, [*CELLS, Cell("empty", "short", 0)], 10)


def test_weights_in_the_middle_of_a_path():
    made = path([0, 10, 10, 20], [[1, 0], [0, 1], [1, 0], [1, 0]])
    at = np.array([0.0, 5.0, 10.0, 15.0, 30.0])
    assert made.weight(at, 0).tolist() == [1, 0.5, 1, 1, 1]
    assert made.ideal(at, 0).tolist() == [0, 3.75, 5, 10, 25]
    assert [made.reached(0, v) for v in (0, 3.75, 5, 10, 25)] == pytest.approx([0, 5, 10, 15, 30])
    assert made.reached(1, 5) == pytest.approx(10) and made.reached(1, 5.1) == np.inf
    assert static([2, 6]).weights.tolist() == [[0.25, 0.75]]


def test_bad_paths_are_refused():
    with pytest.raises(UsageError, match="rise from 0"):
        path([0, 5, 4], [[1], [1], [1]])
    with pytest.raises(UsageError, match="do not go together"):
        path([0, 5], [[1], [1, 2]])
