"""Promises of the door: `curate quality train --model proxy:…` writes a tagger that `curate quality tag` uses."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.cli import build
from curation.pipeline.errors import UsageError
from proxy_model.files import save_model
from proxy_model.heads.trainer import open_backbone, options_of, read_pairs
from quality.rubric.rubric import load_rubric
from quality.trainers import open_trainer, settings_of
from tests.proxy_model.heads.made import backbone, reader, rows, tokenizer, training_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels, documents, and a checkpoint of a run."""
    made = tmp_path_factory.mktemp("trainer")
    ids, texts, levels, categories = rows()
    labels = [
        {"doc_id": i, "rubric": load_rubric().version, "judge": "made", "knowledge_depth": int(level),
         "practicality": 5 - int(level), "category": category}
        for i, level, category in zip(ids, levels, categories, strict=True)
    ]  # fmt: skip
    documents = [{"id": i, "text": text} for i, text in zip(ids, texts, strict=True)]
    for name, records in (("labels.jsonl", labels), ("docs.jsonl", documents)):
        (made / name).write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in records))
    save_model(backbone(), made / "run" / "final", {"tokenizer": reader().digest})
    return made


def train(folder: Path, out: Path, model: str, *settings: str) -> object:
    given = [part for one in settings for part in ("--set", one)]
    return CliRunner().invoke(
        build(),
        ["quality", "train", str(folder / "labels.jsonl"), "--documents", str(folder / "docs.jsonl"), "--out", str(out),
         "--model", model, "--set", f"tokenizer={tokenizer()}", *given, "--json"],
    )  # fmt: skip


def test_train_then_tag(folder: Path, tmp_path: Path) -> None:
    done = train(folder, tmp_path / "tagger", f"proxy:{folder / 'run'}", "max_tokens=64", "pooling=mean", "folds=2")
    assert done.exit_code == 0, done.output  # type: ignore[attr-defined]
    told = orjson.loads(done.stdout)  # type: ignore[attr-defined]
    card = orjson.loads((tmp_path / "tagger" / "card.json").read_bytes())
    assert card["hash"] == told["hash"] and card["rubric"]["version"] == load_rubric().version
    assert card["backbone"]["checkpoint"] == "run" and card["options"]["pooling"] == "mean"
    assert set(card["data"]["labels"]) == {"labels.jsonl"} and card["metrics"]["knowledge_depth"]["qwk"] is not None
    made = CliRunner().invoke(
        build(),
        ["quality", "tag", str(folder / "docs.jsonl"), "--out", str(tmp_path / "tagged"),
         "--model", f"proxy:{tmp_path / 'tagger'}", "--json"],
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    (file,) = (tmp_path / "tagged").glob("docs*")
    first = pq.read_table(file).to_pylist()[0] if file.suffix == ".parquet" else orjson.loads(file.open().readline())
    assert first["quality_model"] == card["hash"] and 0 <= first["knowledge_depth"] <= 5


@pytest.mark.parametrize(
    ("model", "setting", "told"),
    [
        ("proxy:", "seed=1", "neither a checkpoint nor a preset"),
        ("proxy:pic", "seed=1", "neither a checkpoint nor a preset"),
        ("proxi:pico", "seed=1", "did you mean"),
        ("proxy:pico", "epoch=1", "did you mean"),
        ("proxy:pico", "epochs=many", "int is expected"),
        ("proxy:pico", "pooling=first", "choose last"),
        ("proxy:pico", "pair_weight=none", "positive number"),
        ("proxy:pico", "seed", "key=value"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(folder: Path, tmp_path: Path, model: str, setting: str, told: str) -> None:
    done = train(folder, tmp_path / "tagger", model, setting)
    assert done.exit_code == 2 or isinstance(done.exception, UsageError)  # type: ignore[attr-defined]
    assert told in (done.output + str(done.exception))  # type: ignore[attr-defined]


def test_options_of_tier_0_are_refused_beside_another_trainer(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        build(),
        ["quality", "train", str(folder / "labels.jsonl"), "--documents", str(folder / "docs.jsonl"),
         "--out", str(tmp_path / "tagger"), "--model", "proxy:pico", "--word-bits", "12"],
    )  # fmt: skip
    assert "tier 0" in done.output + str(done.exception)


def test_backbones_are_runs_models_and_presets(folder: Path) -> None:
    run, model = open_backbone(str(folder / "run")), open_backbone(str(folder / "run" / "final"))
    assert run.trained_with == model.trained_with == reader().digest
    assert open_backbone("pico").model is None


def test_settings_and_doors() -> None:
    options, own = options_of(settings_of(["lr=0.001", "backbone=train", "pairs=a=b.jsonl"]))
    assert (options.lr, options.backbone, own) == (0.001, "train", {"pairs": "a=b.jsonl"})
    assert open_trainer("proxy:runs/a:b")[2] == "runs/a:b"


def test_pairs_are_read_and_checked(tmp_path: Path) -> None:
    data = training_set()
    file = tmp_path / "pairs.jsonl"

    def write(**record: str) -> Path:
        file.write_bytes(orjson.dumps(record))
        return file

    found = read_pairs(write(dimension="practicality", better=data.ids[3], worse=data.ids[7]), data, 2.0)
    assert list(found) == [1] and (found[1].better.tolist(), found[1].worse.tolist()) == ([3], [7])
    for wrong, told in [
        ({"dimension": "beauty", "better": data.ids[3], "worse": data.ids[7]}, "unknown score"),
        ({"dimension": "practicality", "better": "nobody", "worse": data.ids[7]}, "no labelled document"),
        ({"dimension": "practicality", "better": data.ids[7], "worse": data.ids[7]}, "with itself"),
    ]:
        with pytest.raises(UsageError, match=told):
            read_pairs(write(**wrong), data, 1.0)
