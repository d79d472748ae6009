"""A model comes back bit-equal, and whatever is not that model is refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from curation.pipeline.errors import CurateError
from proxy_model.config import ModelConfigError
from proxy_model.files import ModelFileError, load_model, read_config, read_extra, save_model
from proxy_model.model import ProxyLM
from tests.proxy_model.model.small import small

TINY = small(layers=2, pattern=("lightning", "softmax"))


@pytest.mark.parametrize("config", [TINY, small(layers=1, tied=True, dense_width=32), small(layers=1, bias_rate=1e-3)])
def test_a_saved_model_comes_back_bit_equal(config: Any, tmp_path: Path) -> None:
    model = ProxyLM(config, seed=2)
    save_model(model, tmp_path / "final", {"step": 7, "seeds": [1, 2]})
    back = load_model(tmp_path / "final")
    assert back.config == config == read_config(tmp_path / "final")
    assert read_extra(tmp_path / "final") == {"step": 7, "seeds": [1, 2]}
    assert back.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name
    assert sorted(path.name for path in (tmp_path / "final").iterdir()) == ["config.json", "model.safetensors"]


def test_a_model_is_loaded_in_the_dtype_asked_for(tmp_path: Path) -> None:
    save_model(ProxyLM(TINY), tmp_path)
    back = load_model(tmp_path, dtype=torch.bfloat16)
    assert {p.dtype for p in back.parameters()} == {torch.bfloat16}
    assert back.blocks[0].mixer.slopes.dtype == torch.float32


def test_a_checkpoint_of_another_config_is_refused_with_the_keys(tmp_path: Path) -> None:
    save_model(ProxyLM(TINY), tmp_path)
    other = small(layers=2, pattern=("lightning", "softmax"), expert_width=64)
    with pytest.raises(ModelFileError, match="expert_width is 32, not 64") as error:
        load_model(tmp_path, config=other)
    assert "→" in str(error.value) and isinstance(error.value, CurateError)


def test_weights_and_config_of_different_models_are_told_apart(tmp_path: Path) -> None:
    save_model(ProxyLM(TINY), tmp_path / "a")
    save_model(ProxyLM(small(layers=2, pattern=("lightning", "softmax"), heads=4)), tmp_path / "b")
    os.replace(tmp_path / "b/model.safetensors", tmp_path / "a/model.safetensors")
    with pytest.raises(ModelFileError, match=r"written for another config.*heads is 4, not 2"):
        load_model(tmp_path / "a")


def test_missing_strange_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    save_model(ProxyLM(TINY), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["blocks.9.extra"] = tensors.pop("norm.weight")
    tensors["head.weight"] = tensors["head.weight"][:, :5].contiguous()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError) as error:
        load_model(tmp_path)
    for part in ("norm.weight is missing", "blocks.9.extra is not part", "head.weight has shape [128, 5]", "[128, 32]"):
        assert part in str(error.value)


def rewritten(folder: Path, change: dict[str, Any]) -> None:
    record = json.loads((folder / "config.json").read_text())
    record["model"] |= change
    (folder / "config.json").write_text(json.dumps(record))


def test_unknown_and_missing_config_keys_are_refused(tmp_path: Path) -> None:
    save_model(ProxyLM(TINY), tmp_path)
    rewritten(tmp_path, {"expert_widht": 3})
    with pytest.raises(ModelConfigError, match="did you mean expert_width"):
        load_model(tmp_path)
    save_model(ProxyLM(TINY), tmp_path)
    record = json.loads((tmp_path / "config.json").read_text())
    del record["model"]["experts"]
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(ModelConfigError, match="lacks experts"):
        load_model(tmp_path)


def test_damaged_and_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"there is no config\.json"):
        load_model(tmp_path)
    save_model(ProxyLM(TINY), tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"has no model.safetensors"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelFileError, match="no JSON"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "minimax"}')
    with pytest.raises(ModelFileError, match="load_hf"):
        load_model(tmp_path)
    for rest in ("", ', "model": []', ', "model": {}, "extra": 7'):
        (tmp_path / "config.json").write_text(f'{{"format": "curate-proxy-1"{rest}}}')
        with pytest.raises(ModelFileError, match="is damaged: 'model' and 'extra'"):
            load_model(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(ProxyLM(TINY, seed=1), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_model(ProxyLM(TINY, seed=2), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_the_file_is_plain_safetensors_with_its_config(tmp_path: Path) -> None:
    save_model(ProxyLM(TINY), tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as handle:
        assert json.loads(handle.metadata()["config"])["layers"] == 2


def test_the_model_needs_nothing_but_torch_numpy_and_safetensors() -> None:
    code = (
        "import sys; import proxy_model.files, proxy_model.config, proxy_model.loss, proxy_model.hf.load\n"
        "bad = {'pydantic', 'typer', 'rich', 'jinja2', 'duckdb', 'transformers', 'orjson', 'numba', 'datatrove'}\n"
        "found = bad & {name.split('.')[0] for name in sys.modules}; assert not found, found"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
