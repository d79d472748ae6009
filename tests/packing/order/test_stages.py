"""Promises of stages: shares of sources and length classes, smooth transitions, refusal before anything is written."""

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from packing.order.feasibility import Need, needs, require_enough
from packing.order.stages import (
    Cell,
    Stage,
    Tail,
    cell_weights,
    count_cells,
    length_class,
    long_context_stages,
    plan_stages,
    stage_path,
)
from packing.order.tijdeman import prefix_deviation, tijdeman
from packing.order.weights import interpolated, path, static

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


def test_length_classes_are_those_of_the_paper():
    assert length_class(np.array([1, 32 * K - 1, 32 * K, 128 * K, 128 * K + 1])).tolist() == [0, 0, 1, 1, 2]
    cells = count_cells({"web": np.array([10, 40 * K, 20, 200 * K])})
    assert [(cell.name, cell.tokens) for cell in cells] == [
        ("web/short", 30),
        ("web/medium", 40 * K),
        ("web/long", 200 * K),
    ]


def test_without_class_shares_a_source_gives_its_lengths_as_they_come():
    stage = Stage("8K", 8192, 1000, {"web": 3, "books": 1})
    weights = cell_weights(stage, stage.weights, CELLS)
    assert by(CELLS, weights, "source") == pytest.approx({"web": 0.75, "books": 0.25})
    assert weights[0] == pytest.approx(0.75 * 0.8) and weights[3] == 0


def test_class_shares_hold_and_sources_keep_their_weights_inside_a_class():
    stage = Stage("x", 8192, 1000, {"web": 3, "books": 1}, class_shares={"short": 0.3, "medium": 0.3, "long": 0.4})
    weights = cell_weights(stage, stage.weights, CELLS)
    assert by(CELLS, weights, "length_class") == pytest.approx({"short": 0.3, "medium": 0.3, "long": 0.4})
    assert weights[1] / weights[4] == pytest.approx(3) and weights[2] / weights[5] == pytest.approx(3)
    assert weights[0] == pytest.approx(0.3)  # books have no short documents


def test_weights_move_linearly_from_one_stage_to_the_next():
    first = Stage("a", 8192, 1000, {"web": 1})
    second = Stage("b", 8192, 1000, {"books": 1}, transition=400)
    plan = plan_stages([first, second], CELLS)
    web = [
        sum(float(plan.stages[1].weights.weight(np.array([t]), q)[0]) for q in range(3))
        for t in (0, 100, 200, 400, 999)
    ]
    assert web == pytest.approx([1, 0.75, 0.5, 0, 0])
    assert sum(need.wanted for need in plan.stages[1].needs[:3]) == pytest.approx(200)


def test_weights_can_move_to_the_end_of_a_stage():
    plan = stage_path(Stage("a", 8192, 1000, {"web": 1}, end_weights={"books": 1}), CELLS)
    web = [sum(float(plan.weight(np.array([float(t)]), q)[0]) for q in range(3)) for t in (0, 250, 1000)]
    assert web == pytest.approx([1, 0.75, 0])


def test_the_tail_mixes_in_its_source_and_leaves_the_others_their_proportions():
    cells = [*CELLS, Cell("qa", "short", 100), Cell("qa", "long", 100)]
    stage = Stage(
        "a", 8192, 1000, {"web": 1, "books": 1}, class_shares={"short": 0.5, "long": 0.5}, tail=Tail("qa", 0.1, 0.2)
    )
    made = stage_path(stage, cells)
    for tokens, share in ((799.0, 0.0), (800.0, 0.1), (999.0, 0.1)):
        now = np.array([float(made.weight(np.array([tokens]), queue)[0]) for queue in range(len(cells))])
        assert now.sum() == pytest.approx(1)
        assert by(cells, now, "source").get("qa") == pytest.approx(share)
        assert now[6] == pytest.approx(now[7]) and now[2] == pytest.approx(now[5])
    assert needs([c.name for c in cells], made, 1000, [c.tokens for c in cells])[6].wanted == pytest.approx(10)


def test_the_long_context_stages_are_those_of_the_paper():
    stages = long_context_stages({"web": 1}, Tail("qa"))
    assert [(stage.sequence_length, stage.tokens // 10**9, stage.rope_base) for stage in stages] == [
        (128 * K, 300, 5e6),
        (512 * K, 32, 1e7),
        (1024 * K, 26, 1e7),
    ]
    assert [tuple(stage.class_shares.values()) for stage in stages] == [
        (0.3, 0.7, 0),
        (0.35, 0.35, 0.3),
        (0.3, 0.3, 0.4),
    ]
    assert stages[0].tail == Tail("qa", 0.1, 0.2)


def test_a_web_corpus_is_too_short_for_them_and_the_refusal_says_by_how_much():
    """1.5 % of web tokens are medium: 210 G of them in stage one alone need some 14 T tokens."""
    cells = [Cell("web", "short", 984 * 10**9), Cell("web", "medium", 15 * 10**9), Cell("web", "long", 10**9)]
    with pytest.raises(UsageError, match=r"web/long needs 20\.0 epochs.*\n.*web/medium needs 15\.3 epochs") as caught:
        plan_stages(long_context_stages({"web": 1}), cells)
    assert "max_epochs" in str(caught.value) and "web/short" not in str(caught.value)
    forced = plan_stages(long_context_stages({"web": 1}), cells, force=True)
    medium = {need.queue: need for need in forced.by_class}["medium"]
    assert medium.wanted == pytest.approx(210e9 + 11.2e9 + 7.8e9) and medium.epochs == pytest.approx(229 / 15)
    assert forced.stages[0].needs[1].epochs == pytest.approx(14)


def test_a_stage_path_goes_through_the_schedule_within_the_bound():
    rng = np.random.default_rng(2)
    cells = [*CELLS, Cell("qa", "long", 500)]
    stages = [
        Stage("a", 256, 60_000, {"web": 2, "books": 1}),
        Stage(
            "b",
            256,
            90_000,
            {"web": 1, "books": 3},
            transition=30_000,
            tail=Tail("qa"),
            class_shares={"short": 0.5, "long": 0.5},
        ),
    ]
    plan = plan_stages(stages, cells, force=True)
    tokens = [np.full(400, 256) - (rng.random(400) < 0.1) * rng.integers(0, 200, 400) for _ in cells]
    used = np.zeros(len(cells), np.int64)
    for stage in plan.stages:
        order = tijdeman(stage.weights, tokens, 256, 200, epochs=9, used=used, budget=stage.stage.tokens)
        assert prefix_deviation(order, stage.weights, tokens, 256, used).max() < 1
        used += np.bincount(order, minlength=len(cells))


def test_too_few_tokens_name_the_source_and_the_epochs():
    with pytest.raises(UsageError, match=r"source books needs 2\.4 epochs: 2,400 tokens wanted, 1,000 there"):
        require_enough([Need("web", 10, 100), Need("books", 2400, 1000)])
    require_enough([Need("books", 2400, 1000)], max_epochs=2.4)
    with pytest.raises(UsageError, match="source x has no tokens"):
        require_enough([Need("x", 1, 0)], max_epochs=99)
    require_enough([Need("x", 0, 0)])


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Stage("s", 8, 10, {"wiki": 1}), "source wiki has no tokens"),
        (Stage("s", 8, 10, {"web": 1}, class_shares={"huge": 1.0}), "no source has huge documents"),
        (Stage("s", 8, 10, {"web": 1}, tail=Tail("qa")), "tail's source qa has no tokens"),
        (Stage("s", 8, 10, {"web": 1}, tail=Tail("books", 1.5)), "tail does not fit"),
    ],
)
def test_impossible_stages_are_refused_in_words(stage, words):
    with pytest.raises(UsageError, match=words):
        stage_path(stage, CELLS)


def test_weights_in_the_middle_of_a_path():
    made = path([0, 10, 10, 20], [[1, 0], [0, 1], [1, 0], [1, 0]])
    at = np.array([0.0, 5.0, 10.0, 15.0, 30.0])
    assert made.weight(at, 0).tolist() == [1, 0.5, 1, 1, 1]
    assert made.ideal(at, 0).tolist() == [0, 3.75, 5, 10, 25]
    assert [made.reached(0, v) for v in (0, 3.75, 5, 10, 25)] == pytest.approx([0, 5, 10, 15, 30])
    assert made.reached(1, 5) == pytest.approx(10) and made.reached(1, 5.1) == np.inf
    assert static([2, 6]).weights.tolist() == [[0.25, 0.75]]


def test_bad_paths_are_refused():
    with pytest.raises(UsageError, match="cannot change over 0"):
        interpolated([1, 0], [0, 1], 0)
    with pytest.raises(UsageError, match="rise from 0"):
        path([0, 5, 4], [[1], [1], [1]])
    with pytest.raises(UsageError, match="do not go together"):
        path([0, 5], [[1], [1, 2]])
