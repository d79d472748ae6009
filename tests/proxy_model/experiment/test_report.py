"""The page: its first line for every verdict, nothing loaded, nothing believed, numbers equal to the records'."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from curation.pipeline.errors import UsageError
from proxy_model.experiment.report import write_report
from proxy_model.experiment.report.exaggeration import exaggeration, sampling_of
from proxy_model.experiment.report.record import read_experiment
from proxy_model.experiment.report.sensitivity import load_runs, readings
from proxy_model.experiment.report.tables import variance_shares
from proxy_model.experiment.report.units import chance, digits_for, p_value, plus, unit_of
from proxy_model.experiment.report.words import headline
from proxy_model.experiment.statistics.crossed import crossed
from proxy_model.experiment.statistics.design import Design
from proxy_model.experiment.statistics.power import Sampling
from proxy_model.experiment.statistics.registry_prior import Noise, Registry
from proxy_model.experiment.statistics.sequential import bounds
from proxy_model.experiment.statistics.simulate import Suite, Truth, drawn_moments
from tests.proxy_model.experiment.simulated_folder import KEY, experiment

PAIR = {"uniform": 5, "tilted": 5}
SAME, NO_WORSE = Design("equivalence", margin=0.012), Design("non_inferiority", margin=0.012)


def page_of(folder: Path) -> str:
    return write_report(folder).read_text()


def lines_of(page: str) -> str:
    """The verdict's box as plain text."""
    box = page[page.index('class="verdict-box') :]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", box[: box.index("\n</div>")])).split())


def stored(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / "verdict.json").read_bytes())
    return found


@pytest.mark.parametrize(
    ("runs", "options", "label", "said"),
    [
        (PAIR, {"effect": 0.02, "seed": 1}, "superior",
         r"^tilted is better than uniform: \+1\.9 points \[1\.2, 2\.6\]\.$"),
        (PAIR, {"effect": -0.02, "seed": 3}, "inferior",
         r"^tilted is worse than uniform: −\d\.\d points \[−\d\.\d, −\d\.\d\]\.$"),
        ({"uniform": 3, "tilted": 3}, {"effect": 0.001, "seed": 2}, "inconclusive",
         r"^No verdict: this experiment could only have seen differences above \d\.\d points\.$"),
        ({"uniform": 8, "tilted": 8}, {"seed": 4, "run_sd": 0.003, "design": SAME}, "equivalent",
         r"^tilted and uniform are equally good: they differ by less than 1\.2 points\.$"),
        (PAIR, {"effect": 0.006, "seed": 1, "run_sd": 0.006, "design": NO_WORSE}, "non_inferior",
         r"^tilted is not worse than uniform by more than 1\.2 points\.$"),
    ],
)  # fmt: skip
def test_the_first_line_says_the_verdict(
    tmp_path: Path, runs: dict[str, int], options: dict[str, Any], label: str, said: str
) -> None:
    folder = experiment(tmp_path / "mixes", runs, **options)
    assert stored(folder)["verdict"]["label"] == label
    page = page_of(folder)
    assert re.match(said, headline(read_experiment(folder)).text)
    first, second = runs.values()
    assert f"{first} + {second} training runs" in lines_of(page)


def test_the_chance_under_no_difference_is_the_verdicts_p(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "mixes", {"uniform": 4, "tilted": 4}, effect=0.02, seed=6)
    p = stored(folder)["verdict"]["p"]
    assert f"a result this good would come up in {chance(p)} of experiments" in lines_of(page_of(folder))


def test_one_run_an_arm_is_an_exploration_without_intervals(tmp_path: Path) -> None:
    page = page_of(experiment(tmp_path / "look", {"uniform": 1, "tilted": 1}, effect=0.05, exploratory=True))
    assert "No verdict: this was an exploration." in lines_of(page) and "95 % interval</dd>" not in page


def test_a_borrowed_variance_is_said(tmp_path: Path) -> None:
    noise = Registry(tuple(Noise(KEY, 2e-5, 8) for _ in range(6)))
    folder = experiment(
        tmp_path / "one", {"uniform": 1, "tilted": 1}, effect=0.03, seed=8, design=Design(key=KEY), registry=noise,
        prior={"variance": 2e-5, "df": 12, "experiments": 6},
    )  # fmt: skip
    assert "taken from 6 earlier experiments" in lines_of(page_of(folder))


def test_an_early_look_is_not_the_end(tmp_path: Path) -> None:
    design = Design(bounds=bounds(((3, 3), (5, 5)), 0.05), mde=0.012)
    page = page_of(experiment(tmp_path / "early", {"uniform": 3, "tilted": 3}, seed=11, design=design))
    assert "no verdict so far" in lines_of(page) and "planned look 1" in lines_of(page)


def test_an_amended_plan_is_told_before_anything_else(tmp_path: Path) -> None:
    page = page_of(experiment(tmp_path / "late", PAIR, effect=0.02, seed=1, amended=["seeds.tilted: locked 4, now 5"]))
    assert "better · amended" in lines_of(page)
    assert page.index("read it as exploratory") < page.index("<svg") and "seeds.tilted: locked 4, now 5" in page


def test_a_failed_health_check_takes_the_verdict_away(tmp_path: Path) -> None:
    health = [
        {"check": "token shares", "ok": False, "detail": "tilted-2 read 41 % books, planned 35 %", "stops": True},
        {"check": "repetition", "ok": False, "detail": "read 1.5 times", "stops": False},
    ]
    found = headline(read_experiment(experiment(tmp_path / "x", PAIR, effect=0.02, seed=1, health=health)))
    assert (found.tone, found.text) == ("stop", "Do not use this result: token shares failed.")
    assert "What the test would say: tilted is better" in found.lines[1]
    mild = headline(read_experiment(experiment(tmp_path / "y", PAIR, effect=0.02, seed=1, health=health[1:])))
    assert mild.tone == "better"


def test_a_broken_guardrail_stands_beside_the_verdict(tmp_path: Path) -> None:
    rails = [
        {"candidate": "tilted", "name": "bits per byte, source code", "ok": False, "state": "broken", "detail": "worse"}
    ]
    found = headline(read_experiment(experiment(tmp_path / "x", PAIR, effect=0.02, seed=1, guardrails=rails)))
    assert found.pill == "better, but" and "But a guardrail is broken: bits per byte, source code." in found.lines


def test_several_candidates_have_a_line_each(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "many", {"uniform": 6, "books": 4, "code": 4, "tilted": 4}, effect=0.02, seed=10)
    found = headline(read_experiment(folder))
    assert found.text == "1 of 3 mixes is better than uniform." and found.lines[0].startswith(
        "tilted: better, +2.9 points"
    )
    assert page_of(folder).count("p, Holm") == 4


def test_nothing_is_loaded_and_nothing_untrusted_becomes_markup(tmp_path: Path) -> None:
    evil = {"<script>alert(1)</script>": 3, "a\u202eb\"'&": 3}
    page = page_of(experiment(tmp_path / "evil", evil, effect=0.02, seed=13, amended=["<img src=x onerror=alert(1)>"]))
    assert "default-src 'none'" in page and len(page) < 5_000_000
    assert not re.search(r"<(script|img|link|iframe|object)\b|javascript:|<[^>]*\son\w+=", page)
    assert not re.search(r"""(src|href)=["'](?!#)""", page) and "\u202e" not in page


def test_every_chart_has_words_and_marks_differ_in_shape(tmp_path: Path) -> None:
    page = page_of(experiment(tmp_path / "mixes", PAIR, effect=0.02, seed=1))
    charts = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(charts) == 6 and all("<title" in one and "<desc" in one and 'role="img"' in one for one in charts)
    dots = next(one for one in charts if "Scores of the runs" in one)
    forms = {re.sub(r"[-\d.e]+", "", path) for path in re.findall(r' d="([^"]+)" fill="var', dots)}
    assert len(forms) == 2  # a square is not drawn as a circle is


def test_all_runs_and_benchmarks_stand_in_tables(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "mixes", PAIR, effect=0.02, seed=1)
    page, raw = page_of(folder), stored(folder)
    for run in raw["runs"]:
        assert f"{run['arm']}-{run['number']}" in page and f"{100 * run['weighted']:.2f}" in page
    for line in raw["verdict"]["per_benchmark"]:
        assert line["benchmark"] in page
    assert raw["lock"] in page


def test_the_locked_reading_is_the_verdict(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "mixes", PAIR, effect=0.02, seed=1)
    verdict, runs = stored(folder)["verdict"], load_runs(folder, stored(folder)["runs"])
    found = readings(runs, "uniform", "tilted", "norm_prob_byte", None)
    assert (
        found[0].locked
        and found[0].estimate == pytest.approx(verdict["estimate"])
        and found[0].p == pytest.approx(verdict["p"])
    )
    names = {one.name for one in found}
    assert {"weights by items", "without boolq", "metric log_acc_norm2", "metric bpb"} <= names
    without = next(one for one in found if one.name == "without boolq")
    others = [one["estimate"] for one in verdict["per_benchmark"] if one["benchmark"] != "boolq"]
    assert without.estimate == pytest.approx(np.mean(others), rel=1e-6)


def test_shares_of_variance_sum_to_one(tmp_path: Path) -> None:
    verdict = stored(experiment(tmp_path / "mixes", {"uniform": 8, "tilted": 8}, effect=0.02, seed=4))["verdict"]
    assert sum(share for _, _, share, _ in variance_shares(verdict)) == pytest.approx(1)


def test_exaggeration_is_that_of_simulated_experiments() -> None:
    truth = Truth((3, 3), (Suite(400), Suite(300, rho=0.8)), run_sd=0.006, effect=0.012)
    found = crossed(drawn_moments(truth, 40_000, seed=7))
    claimed = found.p_greater() <= 0.05
    made = exaggeration(0.012, Sampling(truth.components(), (3, 3)), 0.05)
    assert made.power == pytest.approx(claimed.mean(), abs=0.015)
    assert made.times == pytest.approx(found.estimate[claimed].mean() / 0.012, abs=0.03)


def test_the_page_tells_the_same_power_as_the_verdicts_warning(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "few", {"uniform": 2, "tilted": 2}, effect=0.03, seed=5, design=Design(mde=0.004))
    verdict = stored(folder)["verdict"]
    (told,) = [
        float(re.search(r"power is only ([\d.]+)", one)[1]) for one in verdict["warnings"] if "power is only" in one
    ]
    assert exaggeration(0.004, sampling_of(verdict, 0.0, "random"), 0.05).power == pytest.approx(told, abs=0.006)


def test_numbers_for_people() -> None:
    assert [digits_for(x) for x in (23.0, 3.1, 1.4, 0.9, 0.14, 0.0123)] == [0, 0, 1, 1, 2, 3]
    assert (plus(-0.04, 1), plus(-1.26, 1), plus(1.26, 1)) == ("0.0", "−1.3", "+1.3")
    assert (chance(0.006), chance(0.34), chance(1e-5), chance(0.999)) == (
        "0.6 %",
        "34 %",
        "less than 0.1 %",
        "more than 99 %",
    )
    assert (p_value(0.0061), p_value(0.34), p_value(1e-6)) == (".0061", ".34", "< .0001")
    assert (unit_of("acc").factor, unit_of("bpb").lower, unit_of("log_acc_norm2").name) == (100.0, True, "nats")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is not there"), (b"{", "damaged"), (b"[]", "no JSON object"), (b"{}", "no 'name'"),
     (b'{"name":"a","lock":"b","arms":["x"],"metric":"acc","runs":[]}', "one arm")],
)  # fmt: skip
def test_a_folder_without_a_verdict_is_refused_with_its_file(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "verdict.json").write_bytes(content)
    with pytest.raises(UsageError, match=rf"verdict\.json.*{said}"):
        write_report(tmp_path)
