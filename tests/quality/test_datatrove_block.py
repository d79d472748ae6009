"""Promises of the datatrove block: a plain pipeline gets the tags that `tag` gives, whatever the batch."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from curation.pipeline.errors import UsageError
from quality.datatrove_block import QualityTagger
from quality.tagging.tag import TAG_SCHEMA, tag
from tests.quality.tagging.fake import Fake, installed

TEXTS = [f"mathematics {i}\n" * (i + 1) for i in range(30)] + ["", "food"]


@pytest.fixture(autouse=True, scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


def test_metadata_holds_the_tags(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    lines = [json.dumps({"id": f"d{i}", "text": text}) for i, text in enumerate(TEXTS) if text]
    (tmp_path / "in" / "a.jsonl").write_text("\n".join(lines) + "\n")
    LocalPipelineExecutor(
        [
            JsonlReader(str(tmp_path / "in")),
            QualityTagger("fake", batch_size=7),
            JsonlWriter(str(tmp_path / "out"), compression=None),
        ],
        logging_dir=str(tmp_path / "logs"),
    ).run()
    rows = [json.loads(line) for path in (tmp_path / "out").iterdir() for line in path.read_text().splitlines()]
    texts = pa.array([text for text in TEXTS if text], pa.large_string())
    wanted = tag(Fake(), texts).to_pylist()
    assert len(rows) == len(wanted)
    for row, tags in zip(rows, wanted, strict=True):
        assert {name: row["metadata"][name] for name in TAG_SCHEMA.names} == pytest.approx(tags)


def test_batches_change_nothing_and_the_block_can_travel() -> None:
    def run(block: QualityTagger) -> list[dict[str, object]]:
        return [one.metadata for one in block.run(iter(Document(text, str(i)) for i, text in enumerate(TEXTS)))]

    whole = run(QualityTagger("fake"))
    assert whole == run(pickle.loads(pickle.dumps(QualityTagger("fake", batch_size=3))))
    assert whole[-2]["low_confidence"] is True


def test_an_unknown_model_is_refused_when_the_block_is_made() -> None:
    with pytest.raises(UsageError, match="neither a labeler nor a model"):
        QualityTagger("no/model")
