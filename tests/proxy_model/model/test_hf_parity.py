"""transformers' MiniMax and ours compute the same, both ways; where its files and ours differ, nothing is guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from curation.pipeline.errors import UsageError
from proxy_model.architecture import Factors, ModelConfigError
from proxy_model.commands import app
from proxy_model.files import ModelFileError, load_model, save_model
from proxy_model.hf import export_hf, load_hf
from proxy_model.hf.action import export
from proxy_model.hf.export import LossyExport
from proxy_model.model import ProxyLM
from proxy_model.packed import packed_sequences
from tests.proxy_model.model.hf_models import (
    LIGHTNING,
    SOFTMAX,
    casts_lifted,
    doubled_model,
    exportable,
    hf_logits,
    hf_minimax,
    load,
    save,
)

DOCUMENTS = [torch.randint(0, 130, (n,), generator=torch.Generator().manual_seed(n)) for n in (37, 1, 70)]


@torch.no_grad()
def own_logits(model: ProxyLM, tokens: Tensor) -> Tensor:
    return model.logits(model(packed_sequences([tokens])).hidden)[: len(tokens), : model.config.vocab_size]


@torch.no_grad()
def packed_logits(model: ProxyLM, documents: list[Tensor]) -> list[Tensor]:
    used = sum(map(len, documents))
    logits = model.logits(model(packed_sequences(documents)).hidden)[:used, : model.config.vocab_size]
    return list(logits.split([len(document) for document in documents]))


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layer_types": None, "layers": 4, "tie_word_embeddings": True},
        {"num_key_value_heads": 1, "num_experts_per_tok": 3, "layers": 2, "mlp_beta_factor": 0.7, "head_dim": 16},
    ],
)
def test_a_checkpoint_of_transformers_gives_its_logits(changes: dict[str, Any], tmp_path: Path) -> None:
    theirs = hf_minimax(**changes)
    ours = load_hf(save(theirs, tmp_path))
    for tokens in DOCUMENTS:
        assert distance(own_logits(ours, tokens), hf_logits(theirs, tokens)) <= 1e-4


def test_logits_agree_in_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = hf_minimax()
    ours = load_hf(save(theirs, tmp_path), dtype=torch.float64)
    theirs = doubled_model(theirs)
    for tokens in DOCUMENTS:
        with casts_lifted(monkeypatch):
            expected = hf_logits(theirs, tokens)
        assert expected.std() > 0.01
        assert distance(own_logits(ours, tokens), expected) <= 1e-9


def test_packed_documents_equal_separate_runs_of_transformers(tmp_path: Path) -> None:
    theirs = hf_minimax()
    ours = load_hf(save(theirs, tmp_path))
    for own, tokens in zip(packed_logits(ours, DOCUMENTS), DOCUMENTS, strict=True):
        assert distance(own, hf_logits(theirs, tokens)) <= 1e-4


@pytest.mark.parametrize("tied", [False, True])
def test_our_export_gives_our_logits_in_transformers_and_comes_back_bit_equal(tied: bool, tmp_path: Path) -> None:
    ours = ProxyLM(exportable(tied=tied), seed=5)
    assert export_hf(ours, tmp_path) == []
    theirs, info = load(tmp_path)
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    assert all(name.endswith(("slope_rate", "_decay")) for name in info["missing_keys"])
    for tokens in DOCUMENTS:
        assert distance(own_logits(ours, tokens), hf_logits(theirs, tokens)) <= 1e-4
    back = load_hf(tmp_path)
    for (name, a), (_, b) in zip(ours.named_parameters(), back.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert replace(back.config, factors=None, aux_weight=0.01) == ours.config
    assert back.config.residual == ours.config.residual


def test_export_in_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ProxyLM(exportable(), seed=6)
    export_hf(ours, tmp_path)
    theirs = doubled_model(load(tmp_path)[0])
    with casts_lifted(monkeypatch):
        expected = hf_logits(theirs, DOCUMENTS[2])
    assert distance(own_logits(ours.double(), DOCUMENTS[2]), expected) <= 1e-9


def test_fused_names_and_missing_buffers_are_read(tmp_path: Path) -> None:
    theirs = hf_minimax(layers=2, layer_types=[LIGHTNING, SOFTMAX])
    state = {name: value for name, value in theirs.state_dict().items() if "decay" not in name and "slope" not in name}
    assert any("mlp.experts.gate_up_proj" in name for name in state)
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "model.safetensors")
    theirs.config.save_pretrained(tmp_path)
    assert distance(own_logits(load_hf(tmp_path), DOCUMENTS[0]), hf_logits(theirs, DOCUMENTS[0])) <= 1e-4


def test_shards_are_read_and_an_index_may_not_lead_out(tmp_path: Path) -> None:
    theirs = hf_minimax(layers=2)
    theirs.save_pretrained(tmp_path, max_shard_size="100KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert distance(own_logits(load_hf(tmp_path), DOCUMENTS[0]), hf_logits(theirs, DOCUMENTS[0])) <= 1e-4
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../elsewhere.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFileError, match=r"elsewhere.safetensors is not there"):
        load_hf(tmp_path)


def test_a_missing_expert_is_named(tmp_path: Path) -> None:
    save(hf_minimax(layers=2), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.layers.1.block_sparse_moe.experts.3.w2.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match="layer 1 has w2 of 3 experts, not of 4"):
        load_hf(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "no 'num_attention_heads'"),
        ({"num_attention_heads": 0}, "zero"),
        ({"num_attention_heads": "x"}, "unsupported operand"),
        ({"num_attention_heads": 2, "rope_parameters": 3}, "no attribute 'get'"),
    ],
)
def test_a_broken_config_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    sizes = {"num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 64, "intermediate_size": 64}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "minimax", **(sizes if change else {}), **change}))
    with pytest.raises(ModelFileError, match=f"config.json is no config of MiniMax: .*{message}"):
        load_hf(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mixtral"}, "model_type is 'mixtral'"),
        ({"sliding_window": 128}, "sliding_window 128"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_parameters"),
    ],
)
def test_settings_without_a_counterpart_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    save(hf_minimax(layers=2), tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, **change}))
    with pytest.raises(ModelConfigError, match=message):
        load_hf(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotary_dim": 16}, "rotary_dim 16 of 32"),
        ({"capacity_factor": 1.5}, "capacity"),
        ({"bias_rate": 1e-3}, "bias"),
    ],
)
def test_a_lossy_export_is_refused_unless_allowed(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    model = ProxyLM(exportable(layers=2, **change))
    with pytest.raises(LossyExport, match=message):
        export_hf(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(export_hf(model, tmp_path / "out", allow_lossy=True)) == 1


def test_rotary_dim_survives_our_own_lossy_export_but_not_transformers(tmp_path: Path) -> None:
    ours = ProxyLM(exportable(rotary_dim=16), seed=1)
    with torch.no_grad():
        for block in ours.blocks:  # attention that depends on position
            for name in ("q", "k") if hasattr(block.mixer, "q") else ():
                getattr(block.mixer, name).weight.mul_(8)
    export_hf(ours, tmp_path, allow_lossy=True)
    expected = own_logits(ours, DOCUMENTS[2])
    assert distance(own_logits(load_hf(tmp_path), DOCUMENTS[2]), expected) == 0
    assert distance(hf_logits(load(tmp_path)[0], DOCUMENTS[2]), expected) > 1e-3


@pytest.mark.parametrize("change", [{"norm": "prenorm"}, {"dense_width": 64}])
def test_what_minimax_cannot_be_is_never_exported(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelConfigError, match="cannot be exported"):
        export_hf(ProxyLM(exportable(layers=2, **change)), tmp_path / "out", allow_lossy=True)
    assert not (tmp_path / "out").exists()


def test_the_command_exports_a_run_with_its_tokenizer(tmp_path: Path) -> None:
    run = tmp_path / "run"
    save_model(ProxyLM(exportable(layers=2)), run / "final")
    tokens = [{"id": 129, "content": "<|endoftext|>"}]
    (run / "tokenizer.json").write_text(json.dumps({"added_tokens": tokens}))
    (run / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    exported = export(run, tmp_path / "hf")
    assert exported.tokenizer == run / "tokenizer.json"
    assert (tmp_path / "hf/tokenizer.json").read_bytes() == (run / "tokenizer.json").read_bytes()
    assert (tmp_path / "hf/tokenizer_config.json").exists()
    assert load(tmp_path / "hf")[0].config.eos_token_id == 129
    with pytest.raises(UsageError, match="is the checkpoint itself"):
        export(run / "final", run / "final")
    with pytest.raises(UsageError, match="no export to 'onnx'"):
        export(run, tmp_path / "x", to="onnx")


def test_the_tokenizer_of_the_run_that_packed_the_shards_goes_along(tmp_path: Path) -> None:
    from tests.proxy_model.evaluate.examples import saved_tokenizer
    from tokenizer.encoding.source import open_tokenizer

    packing, run = tmp_path / "web", tmp_path / "run"
    packing.mkdir()
    saved_tokenizer(packing)
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"shards": str(packing / "shards")}))
    digest = open_tokenizer(packing / "tokenizer").hash
    save_model(ProxyLM(exportable(layers=2)), run / "final", {"tokenizer": digest})
    assert export(run, tmp_path / "hf").tokenizer == packing / "tokenizer" / "tokenizer.json"
    assert (tmp_path / "hf/tokenizer.json").exists()
    save_model(ProxyLM(exportable(layers=2)), run / "final", {"tokenizer": "another"})
    assert export(run, tmp_path / "hf2").tokenizer is None
    with pytest.raises(UsageError, match=r"config\.json: .*exists"):
        export(run, run / "config.json")


def test_the_command_line_says_what_it_wrote_and_what_it_refused(tmp_path: Path) -> None:
    save_model(ProxyLM(exportable(layers=2, rotary_dim=16)), tmp_path / "final")
    command = ["proxy", "export", str(tmp_path), str(tmp_path / "hf")]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, LossyExport) and refused.exception.exit_code == 2
    done = CliRunner().invoke(app, [*command, "--allow-lossy", "--json"])
    assert done.exit_code == 0
    record = json.loads(done.stdout)
    assert record["tokenizer"] is None and len(record["lost"]) == 1
    assert (tmp_path / "hf/config.json").exists()
    assert "Example: curate proxy export" in CliRunner().invoke(app, ["proxy", "export", "--help"]).stdout


def test_factors_of_a_checkpoint_survive_our_own_files(tmp_path: Path) -> None:
    theirs = hf_minimax(layers=2, mlp_beta_factor=0.5)
    ours = load_hf(save(theirs, tmp_path / "hf"))
    assert isinstance(ours.config.factors, Factors) and ours.config.factors.feed_forward_beta == 0.5
    save_model(ours, tmp_path / "own")
    assert distance(own_logits(load_model(tmp_path / "own"), DOCUMENTS[0]), own_logits(ours, DOCUMENTS[0])) == 0
