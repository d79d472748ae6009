"""Screening: which benchmarks tell a baseline from an obviously different arm, and which are noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.table import SCHEMA
from proxy_model.experiment.report import write_screen
from proxy_model.experiment.scores import RunScores
from proxy_model.experiment.screen import Checkpoint, screen

BENCHMARKS = {
    "clear": (0.30, 0.20),
    "blind": (0.30, 0.0),
    "guess": (0.0, 0.0),
}  # skill of the baseline, lost by the spoilt arm
ITEMS = 60


def table(seed: int, *, spoilt: bool, progress: float = 1.0) -> pa.Table:
    """4-way items whose gold option is likelier by the skill; noise of the run and of its items."""
    rng, rows = np.random.default_rng(seed), []
    for benchmark, (skill, loss) in BENCHMARKS.items():
        shift = progress * (skill - loss * spoilt) + 0.01 * rng.standard_normal()
        for i in range(ITEMS):
            own = np.random.default_rng([i, len(benchmark)]).normal(0, 0.05, 4) + rng.normal(0, 0.02, 4)
            for choice in range(4):
                value = -2.0 + own[choice] + shift * (choice == i % 4)
                here = (benchmark, f"{i:03}", f"{i:03}", "multiple_choice", choice, choice == i % 4)
                rows.append((*here, 5 * value, 5, 5, 2, False, False, 1.0))
    return pa.table(dict(zip(SCHEMA.names, map(list, zip(*rows, strict=True)), strict=True)))


ARMS = {"base": False, "spoilt": True}
RUNS = [RunScores(arm, k, "i", table(100 * bad + k, spoilt=bad)) for arm, bad in ARMS.items() for k in range(4)]
EARLIER = [
    Checkpoint(arm, k, 1000 * step, table(1000 * step + 100 * bad + k, spoilt=bad, progress=step / 4))
    for arm, bad in ARMS.items()
    for k in range(4)
    for step in (1, 2, 3)
]


def test_a_benchmark_that_sees_nothing_is_noise_and_one_that_does_is_used() -> None:
    made = screen(RUNS, "base", "spoilt")
    signals = {one.benchmark: one.signal for one in made.of("norm_prob_byte")}
    assert signals == {"clear": "use", "blind": "noise", "guess": "noise"}
    assert made.of("norm_prob_byte")[0].benchmark == "clear"
    guess = next(one for one in made.lines if (one.benchmark, one.metric) == ("guess", "norm_prob_byte"))
    assert guess.chance == pytest.approx(0.25) and abs(guess.above) < 3 and "at chance" in guess.why


def test_the_ratio_is_the_difference_in_pooled_standard_deviations() -> None:
    line = next(one for one in screen(RUNS, "base", "spoilt").lines if (one.benchmark, one.metric) == ("clear", "acc"))
    means = np.array([[_accuracy(run.table, "clear") for run in RUNS if run.arm == arm] for arm in ("base", "spoilt")])
    sigma = np.sqrt(means.var(1, ddof=1).mean())
    assert line.delta == pytest.approx(means[1].mean() - means[0].mean()) and line.sigma == pytest.approx(sigma)
    assert line.ratio == pytest.approx(abs(line.delta) / sigma) and line.ratio_error == pytest.approx(np.sqrt(0.5))


def _accuracy(scores: pa.Table, benchmark: str) -> float:
    frame = scores.filter(pa.compute.equal(scores["benchmark"], benchmark))
    ll, gold = (np.asarray(frame[name].to_pylist()).reshape(-1, 4) for name in ("log_likelihood", "gold"))
    return float(np.mean(ll.argmax(1) == gold.argmax(1)))


def test_smaller_is_better_for_bits_per_byte() -> None:
    line = next(one for one in screen(RUNS, "base", "spoilt").lines if (one.benchmark, one.metric) == ("clear", "bpb"))
    assert line.obvious > line.baseline and line.delta < 0 and np.isnan(line.above)


def test_checkpoints_add_trend_and_order() -> None:
    made = screen(RUNS, "base", "spoilt", EARLIER)
    clear = next(one for one in made.lines if (one.benchmark, one.metric) == ("clear", "norm_prob_byte"))
    assert clear.trend < 0.01 and clear.steady > 0.9 and made.checkpoints == 3
    guess = next(one for one in made.lines if (one.benchmark, one.metric) == ("guess", "norm_prob_byte"))
    assert guess.trend > 0.05


def test_the_same_checkpoints_of_every_run_are_needed() -> None:
    with pytest.raises(UsageError, match="has no scores at 3,000 tokens"):
        screen(RUNS, "base", "spoilt", EARLIER[:-1])


def test_runs_that_show_no_spread_or_other_items_are_refused() -> None:
    with pytest.raises(UsageError, match="no spread between runs"):
        screen([RUNS[0], RUNS[4]], "base", "spoilt")
    with pytest.raises(UsageError, match="different item files"):
        screen([*RUNS[:-1], replace(RUNS[-1], items="other")], "base", "spoilt")


def test_the_order_of_runs_and_rows_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    turned = [replace(run, table=run.table.take(rng.permutation(run.table.num_rows))) for run in reversed(RUNS)]
    assert screen(turned, "base", "spoilt").to_json() == screen(RUNS, "base", "spoilt").to_json()


def test_the_page_and_the_table_say_the_same(tmp_path: Path) -> None:
    made = screen(RUNS, "base", "spoilt", EARLIER)
    page = write_screen(made, tmp_path).read_text()
    stored = orjson.loads((tmp_path / "screen.json").read_bytes())
    assert stored["best"] == made.best and len(stored["lines"]) == len(made.lines)
    assert "<script" not in page and "default-src 'none'" in page
    for row in made.rows():
        assert row[0] in page and row[2] in page
