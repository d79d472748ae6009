"""The ladder's figures are those of the models that are built, and the reference's table."""

import json

import pytest
from typer.testing import CliRunner

from curation.pipeline.errors import UsageError
from proxy_model.commands import app
from proxy_model.config import PRESETS
from proxy_model.ladder import ladder, short

# reference, proxy model §6: active and total without embedding, tokens, H200 hours at 20, 30 and 40 %
TABLE = {
    "nano": (7e6, 21e6, 0.31e9, (0.06, 0.04, 0.03)),
    "xs": (15e6, 81e6, 0.55e9, (0.17, 0.12, 0.09)),
    "s": (43e6, 236e6, 1.3e9, (0.9, 0.6, 0.5)),
    "m": (205e6, 1.1e9, 5.4e9, (16, 11, 8)),
    "l": (606e6, 5.7e9, 14e9, (110, 73, 55)),
    "paper": (1.08e9, 10.1e9, 40e9, (645, 430, 323)),
}


@pytest.mark.parametrize("name", TABLE)
def test_rungs_are_those_of_the_reference(name):
    active, total, tokens, hours = TABLE[name]
    for mfu, expected in zip((0.2, 0.3, 0.4), hours, strict=True):
        (rung,) = ladder([name], mfu=mfu)
        assert rung.active == pytest.approx(active, rel=0.08)
        assert rung.total == pytest.approx(total, rel=0.08)
        assert rung.tokens == pytest.approx(tokens, rel=0.08)
        assert rung.gpu_hours == pytest.approx(expected, rel=0.2)


def test_more_gpus_share_time_and_memory_and_not_the_bill():
    (one,), (eight,) = ladder(["m"], price=3.0), ladder(["m"], gpus=8, price=3.0)
    assert eight.gpu_hours == one.gpu_hours
    assert eight.cost == one.cost == pytest.approx(3 * one.gpu_hours)
    assert eight.hours == one.hours / 8
    assert eight.state_gb == pytest.approx(one.state_gb * 16 / 20 / 8)


def test_the_papers_arm_needs_two_of_the_largest_gpus():
    assert ladder(["paper"], gpus=2)[0].state_gb < 141 < ladder(["paper"])[0].state_gb


def test_all_presets_by_default_and_any_token_count():
    assert [one.name for one in ladder()] == list(PRESETS)
    (given,) = ladder(["nano"], tokens=1e6)
    assert given.flops == pytest.approx(1e6 * given.flops_a_token)


@pytest.mark.parametrize(
    "wrong", [{"gpus": 0}, {"mfu": 0.0}, {"mfu": 1.5}, {"tflops": -1.0}, {"price": -1.0}, {"length": 0}]
)
def test_figures_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UsageError, match="out of range"):
        ladder(**wrong)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(UsageError, match="nano"):
        ladder(["nanno"])


def test_command_prints_a_table_and_json():
    result = CliRunner().invoke(app, ["proxy", "ladder", "nano", "paper", "--gpus", "8", "--price", "2.5"])
    assert result.exit_code == 0
    assert "paper" in result.output
    assert "cost" in result.output
    result = CliRunner().invoke(app, ["proxy", "ladder", "--tokens", "40B", "--json"])
    found = json.loads(result.output)
    assert [one["name"] for one in found["rungs"]] == list(PRESETS)
    assert found["rungs"][0]["tokens"] == 40e9


def test_short_numbers():
    assert [short(one) for one in (12, 1234, 7_040_000, 1.08e9, 2e13)] == ["12", "1.23K", "7.04M", "1.08B", "20T"]
