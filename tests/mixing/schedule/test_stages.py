"""Promises of training stages: what they take of each source and length, and how packing reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from mixing.inventory.cells import Cells
from mixing.inventory.columns import LENGTHS
from mixing.schedule.config import LongContextConfig, StageConfig, stages_of
from mixing.schedule.demand import Law, law_of_cells, law_of_lengths, paths
from mixing.schedule.feasible import feasibility, hand_over
from mixing.schedule.stages import Stage, Tail, to_json
from mixing.schedule.table6 import long_context
from packing.config import PackConfig
from packing.order.stages import Cell, plan_stages

LAW = Law(("books", "qa", "web"), np.array([[500.0, 3000.0, 4000.0], [300.0, 200.0, 0.0], [8000.0, 900.0, 100.0]]))

shares = st.fixed_dictionaries({name: st.floats(0.01, 1) for name in LAW.sources})
lengths = st.one_of(st.none(), st.fixed_dictionaries({name: st.floats(0.01, 1) for name in LENGTHS}))


@st.composite
def some_stages(draw: st.DrawFn) -> list[Stage]:
    made = []
    for number in range(draw(st.integers(1, 3))):
        tokens = draw(st.integers(10, 100_000))
        made.append(
            Stage(
                f"stage{number}",
                tokens,
                None,
                draw(st.one_of(st.none(), shares)),
                draw(st.one_of(st.none(), shares)),
                tokens * draw(st.integers(0, 5)) // 10 if number else 0,
                draw(lengths),
                draw(st.one_of(st.none(), st.builds(Tail, st.just("qa"), st.floats(0.05, 0.5), st.floats(0.1, 0.5)))),
            )
        )
    return made


@settings(max_examples=150, deadline=None)
@given(some_stages())
def test_a_plan_takes_what_packing_will_schedule(stages: list[Stage]) -> None:
    taken = sum(path.taken() for path in paths(stages, LAW))
    assert np.isclose(np.sum(taken), sum(stage.tokens for stage in stages))
    config = PackConfig.model_validate({"stages": to_json(stages)})
    assert config.stages is not None
    cells = [
        Cell(source, kind, int(LAW.tokens[i, k]))
        for i, source in enumerate(LAW.sources)
        for k, kind in enumerate(LENGTHS)
    ]
    theirs = plan_stages([one.stage() for one in config.stages], cells)
    assert np.allclose([need.wanted for need in theirs.total], np.ravel(taken), atol=1e-6)


def test_weights_move_linearly_over_a_transition() -> None:
    first = Stage("a", 100, weights={"books": 1.0})
    second = Stage("b", 100, weights={"web": 1.0}, transition=40)
    assert np.allclose(paths([first, second], LAW)[1].taken().sum(1), [20, 0, 80])  # 40 tokens at half, then none


def test_weights_move_linearly_to_the_end() -> None:
    one = Stage("a", 100, weights={"books": 1.0}, end_weights={"books": 0.5, "web": 0.5})
    assert np.allclose(paths([one], LAW)[0].taken().sum(1), [75, 0, 25])


def test_table_6_says_what_the_paper_prints() -> None:
    stages = long_context(qa="qa")
    assert [stage.sequence_length for stage in stages] == [131_072, 524_288, 1_048_576]
    assert [stage.tokens for stage in stages] == [300 * 10**9, 32 * 10**9, 26 * 10**9]
    assert [stage.rope_base for stage in stages] == [5e6, 1e7, 1e7]
    assert [tuple((stage.lengths or {}).values()) for stage in stages] == [
        (0.3, 0.7, 0),
        (0.35, 0.35, 0.3),
        (0.3, 0.3, 0.4),
    ]
    law = Law(("qa", "web"), np.array([[1e9, 1e9, 1e9], [1e12, 1e12, 1e12]]))
    only = [replace(stage, weights={"web": 1.0}, transition=0) for stage in stages]
    qa = [path.taken()[0].sum() for path in paths(only, law)]
    assert np.allclose(qa, [6e9, 0.64e9, 0.52e9])  # 10 % of the last fifth


def test_a_stage_without_the_next_ones_lengths_keeps_its_shares() -> None:
    stages = [replace(stage, transition=0) for stage in long_context(1e-6)]
    for path in paths(stages, LAW):
        wanted = [(path.stage.lengths or {})[kind] for kind in LENGTHS]
        assert np.allclose(path.taken().sum(0) / path.stage.tokens, wanted)


def test_needs_are_epochs_and_the_scale_is_the_largest_that_fits() -> None:
    stages = [Stage("a", 20_000, weights={"books": 0.5, "web": 0.5}, lengths={"long": 1.0})]
    found = feasibility(stages, LAW, 4.0)
    (long,) = [need for need in found.classes if need.wanted]
    assert long.epochs == pytest.approx(20_000 / 4_100)
    assert not found.fits
    worst = max(found.cells, key=lambda need: need.epochs)
    assert worst.source == "web"
    assert worst.epochs == pytest.approx(100.0)
    assert found.scale == pytest.approx(0.04)
    smaller = [replace(stages[0], tokens=round(stages[0].tokens * found.scale))]
    assert feasibility(smaller, LAW, 4.0).fits
    assert not feasibility([replace(smaller[0], tokens=smaller[0].tokens + 10)], LAW, 4.0).fits


def test_caps_hold_for_all_stages_together() -> None:
    one = Stage("a", 8_000, weights={"books": 1.0})
    assert feasibility([one], LAW, 1.1).fits
    assert not feasibility([one, replace(one, name="b")], LAW, 1.1).fits


def test_a_tail_without_the_stages_lengths_is_told() -> None:
    stages = [Stage("a", 100, lengths={"short": 0.5, "long": 0.5}, tail=Tail("qa"))]
    assert "'qa' has no long documents" in feasibility(stages, LAW).statement()[-1]


def test_what_is_handed_over_is_what_packing_takes() -> None:
    record = hand_over([Stage("8K", 1_000, 8192, transition=0), *long_context(1e-8, {"web": 1.0}, "qa")], LAW)
    config = PackConfig.model_validate({"stages": record["stages"]})
    assert [one.sequence_length for one in config.stages or []] == [8192, 131_072, 524_288, 1_048_576]
    assert len(config.sets(17)) == 4
    assert record["stage_needs"]["classes"][1]["length"] == "medium"


def test_classes_are_packings() -> None:
    law = law_of_lengths(("a",), [np.array([32_767, 32_768, 131_072, 131_073])])
    assert law.tokens.tolist() == [[32_767.0, 32_768.0 + 131_072.0, 131_073.0]]


def test_a_law_of_an_inventory() -> None:
    cells = Cells(
        ("a", "a", "b"), ("x", "x", "x"), np.zeros(3, np.int8), np.array([5, 7, 9]), np.ones(3, np.int64), np.zeros(3),
        np.ones(3, np.int64), length=("long", "short", "medium"),
    )  # fmt: skip
    assert law_of_cells(cells).tokens.tolist() == [[7, 0, 5], [0, 9, 0]]
    assert law_of_cells(cells, np.array([1.0, 2.0, 3.0])).tokens.tolist() == [[2, 0, 1], [0, 3, 0]]
    with pytest.raises(UsageError, match="not split by length"):
        law_of_cells(replace(cells, source=("a", "b", "c"), length=()))


def test_a_config_of_one_line_gives_table_6() -> None:
    first = StageConfig(name="8K", tokens="10M")  # type: ignore[arg-type]
    made = stages_of([first, LongContextConfig(preset="long-context", scale=1e-4, qa="qa")])
    assert [stage.name for stage in made] == ["8K", "128K", "512K", "1M"]
    assert made[0].tokens == 10_000_000
    assert made[1].transition == made[1].tokens // 10
    assert stages_of([LongContextConfig(preset="long-context")])[0].transition == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tokens": 0}, "tokens above 0"),
        ({"weights": {"web": -1.0}}, "shares of at least 0"),
        ({"weights": {"web": float("nan")}}, "shares of at least 0"),
        ({"weights": {}}, "shares of at least 0"),
        ({"lengths": {"middle": 1.0}}, "no documents are called 'middle'"),
        ({"tail": Tail("qa", 1.0)}, "its tail has"),
        ({"transition": 90, "tail": Tail("qa")}, "inside its transition"),
    ],
)
def test_wrong_stages_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Stage(**{"name": "a", "tokens": 100, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "there is none"),
        ([Stage("a", 1), Stage("a", 1)], "two stages"),
        ([Stage("a", 9, transition=3)], "nothing comes before"),
        ([Stage("a", 9, weights={"wab": 1.0})], "did you mean"),
        ([Stage("a", 9, weights={"qa": 1.0}, lengths={"long": 1.0})], "no source has long documents"),
        ([Stage("a", 9, lengths={"long": 1.0}, tail=Tail("qa"))], "no documents of the stage's lengths"),
    ],
)
def test_stages_that_the_documents_cannot_feed_are_refused(stages: list[Stage], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        feasibility(stages, LAW)
