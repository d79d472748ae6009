"""A config is checked once, follows its presets, and is read back as written."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

from curation.pipeline.errors import UsageError
from proxy_model.config import PRESETS, ModelConfigError, flops, from_json, hybrid, params, preset
from proxy_model.model import ProxyLM
from tests.proxy_model.model.small import small

# reference, proxy model §6 "Ladder": active and total without embeddings, as printed there, and its last digit
LADDER = {
    "nano": (7e6, 21e6, 1e6, 1e6),
    "xs": (15e6, 81e6, 1e6, 1e6),
    "s": (43e6, 236e6, 1e6, 1e6),
    "m": (205e6, 1.1e9, 1e6, 0.1e9),
    "l": (606e6, 5.7e9, 1e6, 0.1e9),
    "paper": (1.08e9, 10.1e9, 0.01e9, 0.1e9),
}


@pytest.mark.parametrize("name", LADDER)
def test_presets_have_the_sizes_of_the_ladder(name: str) -> None:
    active, total, active_digit, total_digit = LADDER[name]
    counted = params(PRESETS[name])
    assert abs(counted.active - active) < active_digit
    assert abs(counted.total - total) < total_digit


@pytest.mark.parametrize("name", ["nano", "xs", "s", "m", "l", "paper"])
def test_presets_are_seven_lightning_layers_to_one_softmax_layer(name: str) -> None:
    config = PRESETS[name]
    assert config.pattern.count("lightning") == 7 * config.pattern.count("softmax")
    assert config.pattern[7] == "softmax" and config.experts_per_token == 2
    assert config.rotary_dim * 2 == config.head_dim and config.heads // config.kv_heads <= 8


def test_pico_is_small_enough_for_one_cpu_thread() -> None:
    config = PRESETS["pico"]
    assert config.pattern == ("lightning", "softmax")
    assert config.width <= 128 and config.experts == 4 and 4096 <= config.vocab_size <= 8192


@pytest.mark.parametrize(
    "config",
    [
        PRESETS["pico"],
        small(),
        small(tied=True, layers=3, pattern=("softmax", "lightning", "softmax"), vocab_size=128),
        small(dense_width=48, norm="prenorm", kv_heads=2),
    ],
)
def test_parameters_are_counted_as_the_model_has_them(config: Any) -> None:
    model, counted = ProxyLM(config), params(config)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    embedding = sum(size for name, size in sizes.items() if name in ("embed.weight", "head.weight"))
    experts = sum(size for name, size in sizes.items() if name.endswith(("feed_forward.gate_up", "feed_forward.down")))
    total = sum(sizes.values()) - embedding
    assert (counted.total, counted.embedding) == (total, embedding)
    unused = 0 if config.dense_width else experts * (config.experts - config.experts_per_token) // config.experts
    assert counted.active == total - unused


def test_flops_are_twice_the_matrix_weights_that_a_token_meets_plus_attention() -> None:
    config = small()
    model = ProxyLM(config)
    matrices = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2 and n != "embed.weight")
    matrices += sum(p.numel() for p in model.parameters() if p.ndim == 3) // 2  # two of four experts
    counted = flops(config, 0.0)
    lightning = 7 * config.heads * config.head_dim * (64 + config.head_dim)
    assert counted.forward == 2 * matrices + 4 * lightning
    assert counted.backward == 4 * matrices + 10 * lightning
    longer = flops(config, 1000.0)
    assert longer.forward - counted.forward == 2 * 1000 * config.heads * config.head_dim  # one softmax layer, causal
    assert longer.total - counted.total == 7 * 1000 * config.heads * config.head_dim


def test_flops_of_the_head_at_paper_scale_are_a_quarter() -> None:
    """27 % in the reference."""
    config = PRESETS["paper"]
    assert 2 * config.rows * config.width / flops(config, 2048).forward == pytest.approx(0.27, abs=0.01)


def test_json_gives_an_equal_config() -> None:
    for config in (*PRESETS.values(), small(capacity_factor=1.5, bias_rate=1e-3, aux="switch")):
        assert from_json(config.to_json()) == config


def test_rows_are_a_multiple_of_64() -> None:
    assert [small(vocab_size=n).rows for n in (1, 64, 65, 200_000)] == [64, 64, 128, 200_000]
    assert PRESETS["paper"].rows == 200_064


def test_a_pattern_may_be_anything() -> None:
    assert hybrid(3, 1) == ("softmax",) * 3
    assert preset("nano", layers=3).pattern == ("lightning",) * 3
    assert small(layers=2, pattern=["softmax", "softmax"]).pattern == ("softmax", "softmax")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widht": 3}, "did you mean width"),
        ({"heads": 3, "kv_heads": 2}, "kv_heads 2 does not divide heads 3"),
        ({"layers": 2, "pattern": ("softmax",)}, "each of 2 layers"),
        ({"pattern": ("mamba",) * 8}, "lightning or softmax"),
        ({"rotary_dim": 200}, "rotary_dim 200"),
        ({"experts_per_token": 9}, "experts_per_token 9 of 8"),
        ({"width": 0}, "width is 0"),
        ({"width": "256"}, "width is '256'"),
        ({"head_dim": 7}, "odd"),
        ({"norm": "layer"}, "'layer'"),
        ({"aux": "none"}, "'none'"),
        ({"capacity_factor": 0.0}, "capacity_factor"),
        ({"aux_weight": -1.0}, "negative"),
        ({"factors": {"lightning_alpha": 1.0}}, "factors"),
        ({"factors": 3}, "factors is 3"),
        ({"layers": "x"}, "layers is 'x'"),
        ({"head_dim": "x"}, "head_dim is 'x'"),
        ({"vocab_size": 10**11}, "vocab_size is 100000000000"),
        ({"dense_width": "x"}, "dense_width is 'x'"),
        ({"pattern": 7}, "pattern is 7"),
        ({"norm_eps": "1e-6"}, r"norm_eps is '1e-6'\n.*1\.0e-5"),
        ({"rope_base": float("inf")}, "rope_base is inf"),
        ({"capacity_factor": float("nan")}, "capacity_factor is nan"),
        ({"bias_rate": None}, "bias_rate is None"),
        ({"tied": "maybe"}, "tied is 'maybe'"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_its_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelConfigError, match=message):
        preset("nano", **changes)


def test_pico_refuses_the_same() -> None:  # its pattern follows from layers
    with pytest.raises(ModelConfigError, match="layers is 'x'"):
        preset("pico", layers="x")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean nano"):
        preset("nanno")
