"""The commands, and the errors that come before any work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from curation.pipeline.errors import ConfigError, UsageError  # noqa: E402
from proxy_model.commands import app  # noqa: E402
from proxy_model.settings import default_batch, default_lr, load_settings  # noqa: E402
from proxy_model.train.token_table import TokenTable  # noqa: E402
from proxy_model.train_report import report_page  # noqa: E402
from tests.proxy_model.train.small import shards  # noqa: E402

CONFIG = """run: one
out: OUT
shards: shards
model: {preset: pico, vocab_size: 256, width: 32, heads: 2, head_dim: 16, expert_width: 32}
tokens: 6k
batch: 256
evaluate: {every: 8, holdout: 0.1}
checkpoint: {every: 6, keep: 4}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config")
    shards(folder / "shards")
    path = folder / "train.yaml"
    path.write_text(CONFIG.replace("OUT", str(folder / "runs")))
    return path


@pytest.fixture(scope="module")
def finished(config: Path) -> Path:
    result = CliRunner().invoke(app, ["proxy", "train", str(config), "--json"], catch_exceptions=False)
    answer = json.loads(result.stdout)
    assert answer["steps"] == 24 and answer["loss"] < 5.6 and answer["held_out"][0]["kind"] == "all"
    return Path(answer["folder"])


def test_a_run_leaves_a_report_that_loads_nothing(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert page == report_page(finished)
    for word in ("Learning", "Held-out text", "Experts by source", "5-gram of tokens", "Kneser-Ney", "Skipped"):
        assert word in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "").replace(
        "http://www.w3.org/2000/svg", ""
    )
    baselines = {one["name"]: one for one in json.loads((finished / "baselines.json").read_text())}
    unigram, grams = (baselines[f"{name} of tokens"]["scores"][0] for name in ("unigram", "5-gram"))
    assert unigram["labels"] == grams["labels"] and grams["bits_per_byte"] < unigram["bits_per_byte"]


def test_a_batch_table_is_fitted_from_a_run(finished: Path) -> None:
    runner = CliRunner()
    result = runner.invoke(app, ["proxy", "fit-critical-batch", str(finished), "--json"], catch_exceptions=False)
    answer = json.loads(result.stdout)
    assert answer["batch"][0] == {"from": 0, "batch": 256} and answer["curve"]["b"] == -6.121
    TokenTable(tuple((row["from"], row["batch"]) for row in answer["batch"]))
    assert json.loads((finished / "critical_batch.json").read_text()) == answer
    text = runner.invoke(app, ["proxy", "fit-critical-batch", str(finished)], catch_exceptions=False).stdout
    assert "batch:" in text and "- {from: 0, batch: 256}" in text
    with pytest.raises(UsageError, match="not there"):
        runner.invoke(app, ["proxy", "fit-critical-batch", str(finished / "no")], catch_exceptions=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("shards=elsewhere", r"train.yaml:3: shards: no packed shards at elsewhere\n  → .*curate run"),
        ("model=picco", r"train.yaml:4: model: there is no preset 'picco'\n  → did you mean pico"),
        ("model.witdh=3", r"train.yaml:4: model: 'witdh' is no key of a model\n  → did you mean width"),
        ("batch=[{from: 3, batch: 9}]", r"train.yaml:6: batch: batch table"),
        ("evaluate.evry=3", r"train.yaml:7: evaluate.evry: .*\n  → did you mean 'every'"),
        ("evaluate.holdout=0.9", r"train.yaml:7: evaluate.holdout"),
        ("lrr=3", r"lrr: unknown key"),
        ("epochs=2", r"give either `tokens` or `epochs`"),
        ("subset_share=0.5", r"a subset needs its seed"),
        ("precision=bf16", r"bf16 is for CUDA; a CPU only emulates it\n  → precision: fp32, or device: cuda"),
        ("lr=.nan", "lr: not a finite number"),
        ("optimizer={muon_lr: .inf}", "optimizer.muon_lr: not a finite number"),
        ("lr=fast", "lr: Input should be a valid number"),
    ],
)
def test_mistakes_are_told_with_their_line(config: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(config, [change])


def test_defaults_follow_the_active_parameters(config: Path) -> None:
    assert default_lr(108_000_000) == pytest.approx(0.00235) and default_batch(108_000_000, 2048) == 2048 * 160
    assert default_lr(864_000_000) == pytest.approx(0.00235 / 2) and default_batch(864_000_000, 2048) == 4 * 2048 * 160
    one, two = load_settings(config), load_settings(config, ["seeds.init=1"])
    assert one.settings.seeds.init != two.settings.seeds.init and one.settings.seeds.order is None


def test_a_rate_may_be_written_without_a_point(config: Path) -> None:  # YAML 1.1 takes 3e-4 for text
    assert load_settings(config, ["lr=3e-4"]).settings.lr == 3e-4


def test_a_folder_that_cannot_be_made_is_told(config: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)train\.yaml.*out: "):
        CliRunner().invoke(app, ["proxy", "train", str(config), "--set", f"out={config}"], catch_exceptions=False)


@pytest.mark.parametrize("option", ["--smallest", "--largest"])
def test_a_batch_of_no_tokens_is_refused(finished: Path, option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} '0'"):
        CliRunner().invoke(app, ["proxy", "fit-critical-batch", str(finished), option, "0"], catch_exceptions=False)


def test_a_fit_from_a_damaged_run_is_refused(finished: Path, tmp_path: Path) -> None:
    for content, message in (("{", "is damaged"), ("{}", "does not describe"), (None, "config.json")):
        if content is not None:
            (tmp_path / "config.json").write_text(content)
        else:
            (tmp_path / "config.json").unlink()
        with pytest.raises(UsageError, match=message):
            CliRunner().invoke(app, ["proxy", "fit-critical-batch", str(tmp_path)], catch_exceptions=False)
    (tmp_path / "config.json").write_text((finished / "config.json").read_text())
    (tmp_path / "steps.parquet").write_bytes(b"PAR1xxxx")
    with pytest.raises(UsageError, match="Parquet"):
        CliRunner().invoke(app, ["proxy", "fit-critical-batch", str(tmp_path)], catch_exceptions=False)


def test_held_out_documents_need_the_shards_own_tokenizer(config: Path, tmp_path: Path) -> None:
    from proxy_model.held_out_text import held_out_of

    with pytest.raises(UsageError, match="stand in no run"):
        held_out_of(load_settings(config, ["evaluate.holdout=run"]))
    pq.write_table(pa.table({"id": ["x"], "text": ["some words"]}), config.parent / "held.parquet")
    with pytest.raises(UsageError, match="need the shards' tokenizer"):
        held_out_of(load_settings(config, ["evaluate.holdout={documents: held.parquet}"]))


def test_holdout_none_measures_nothing(config: Path, tmp_path: Path) -> None:
    arguments = [f"out={tmp_path}", "evaluate.holdout=none", "tokens=1k"]
    options = [part for one in arguments for part in ("--set", one)]
    CliRunner().invoke(app, ["proxy", "train", str(config), *options], catch_exceptions=False)
    assert "No text is held out" in (tmp_path / "one" / "report.html").read_text()
    assert set(pq.read_table(tmp_path / "one" / "sources.parquet")["set"].to_pylist()) == {"training"}
    assert np.isfinite(pq.read_table(tmp_path / "one" / "steps.parquet")["loss"].to_numpy()).all()
