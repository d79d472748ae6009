"""Promises of thresholds: published values and order, strict comparisons, exact ratios, helpful errors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from curation.rules import presets
from curation.rules.thresholds import RemoveIf, RuleSet
from curation.text.statistics import FIELDS, STATISTICS, measure


def stats(*rows: dict[str, int] | None) -> dict[str, pa.Array]:
    found = [None if row is None else {**dict.fromkeys(FIELDS, 0), **row} for row in rows]
    return {"stats": pa.array(found, STATISTICS)}


def test_published_values() -> None:
    known = presets.load()
    assert {"gopher-repetition", "gopher-quality", "fineweb-paper", "fineweb-code"} <= set(known)
    value = {f"{name}.{row.name}": row.value for name, preset in known.items() for row in preset.thresholds}
    assert [value[f"gopher-repetition.max_top_{n}_gram"] for n in (2, 3, 4)] == [0.2, 0.18, 0.16]
    assert [value[f"gopher-repetition.max_duplicate_{n}_gram"] for n in range(5, 11)] == [
        0.15, 0.14, 0.13, 0.12, 0.11, 0.1,
    ]  # fmt: skip
    assert value["fineweb-paper.max_duplicate_line_chars"] == 0.1
    assert value["fineweb-code.max_duplicate_line_chars"] == 0.01
    assert all(preset.source for preset in known.values())


def test_comparisons_are_strict_and_ratios_exact() -> None:
    rules = RuleSet.resolve(["gopher-repetition"])
    rows = stats(
        {"chars": 1, "duplicate_lines": 3, "lines": 10},
        {"chars": 1, "duplicate_lines": 301, "lines": 1000},
        {"chars": 0},
    )
    by, detail = rules.decide(rows)
    assert by.to_pylist() == [None, "gopher-repetition.max_duplicate_lines", "gopher-repetition.min_chars"]
    assert detail.to_pylist() == [None, "0.301 > 0.3", "0 < 1"]


def test_the_first_threshold_in_order_is_named() -> None:
    row = stats({"chars": 1, "non_symbol_words": 37, "duplicate_lines": 1, "lines": 2})
    for order in (["gopher-quality", "gopher-repetition"], ["gopher-repetition", "gopher-quality"]):
        assert RuleSet.resolve(order).decide(row)[0][0].as_py().startswith(order[0])
    assert RuleSet.resolve(["gopher-quality"]).decide(row)[1].to_pylist() == ["37 < 50"]


def test_a_shown_ratio_never_contradicts_its_comparison() -> None:
    row = stats({"chars": 1, "duplicate_lines": 300_001, "lines": 1_000_000})
    assert RuleSet.resolve(["gopher-repetition"]).decide(row)[1].to_pylist() == ["0.300001 > 0.3"]


def test_null_rows_and_undefined_ratios_remove_nothing() -> None:
    rules = RuleSet.resolve(["gopher-quality"], {"gopher-quality.min_words": 0, "gopher-quality.min_stop_words": 0})
    by, detail = rules.decide(stats(None, {}))
    assert by.to_pylist() == detail.to_pylist() == [None, None]
    assert np.isnan(rules.values(stats(None, {}), rules.thresholds[2])).all()


def test_override_changes_the_decision() -> None:
    row = stats({"non_symbol_words": 37, "stop_words": 2})
    rules = RuleSet.resolve(["gopher-quality"], {"gopher-quality.min_words": 30})
    assert rules.thresholds[0].value == 30
    assert rules.decide(row)[0].to_pylist() != RuleSet.resolve(["gopher-quality"]).decide(row)[0].to_pylist()


def test_every_comparison() -> None:
    (base, *_) = RuleSet.resolve(["gopher-quality"]).thresholds

    removed = {}
    for remove_if in RemoveIf:
        rule = RuleSet((replace(base, remove_if=remove_if, value=5.0),))
        by, _ = rule.decide(stats(*({"non_symbol_words": n} for n in (4, 5, 6))))
        removed[remove_if.value] = [value is not None for value in by.to_pylist()]
    assert removed == {
        "<": [True, False, False], "<=": [True, True, False], ">": [False, False, True], ">=": [False, True, True],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "override", "message"),
    [
        (["gopher-qualty"], {}, "did you mean 'gopher-quality'"),
        (["gopher-quality", "gopher-quality"], {}, "listed twice"),
        (["gopher-quality"], {"gopher-quality.min_word": 3}, "did you mean 'gopher-quality.min_words'"),
        (["gopher-quality"], {"gopher-quality.min_words": math.nan}, "finite number"),
        (["gopher-quality"], {"gopher-quality.min_words": math.inf}, "finite number"),
        (["gopher-quality"], {"gopher-quality.min_words": True}, "finite number"),
    ],
)
def test_mistakes_are_named(names: list[str], override: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RuleSet.resolve(names, override)


def test_a_threshold_must_name_statistics() -> None:
    (base, *_) = RuleSet.resolve(["gopher-quality"]).thresholds
    with pytest.raises(ValueError, match="did you mean 'words'"):
        replace(base, numerator="wrds")


def test_real_text_is_decided_from_its_statistics() -> None:
    prose = "The river that we had to cross was wide, and with the rain of the night it had grown to be a torrent. "
    text = pa.array([prose + "Nobody spoke of it until morning, when all of us stood there.", "ab"])
    rules = RuleSet.resolve(["gopher-repetition", "gopher-quality", "fineweb-paper"])
    by, _ = rules.decide({"stats": measure(text.cast(pa.large_string()))})
    assert by.to_pylist() == ["gopher-quality.min_words"] * 2
