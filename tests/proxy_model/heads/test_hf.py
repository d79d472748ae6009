"""Promise of the export: transformers' sequence classifier gives the same levels, one document at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from curation.pipeline.errors import UsageError
from proxy_model.heads.fit import HeadsOptions, fit_tagger
from proxy_model.heads.hf import export_score
from proxy_model.heads.tagger import Tagger
from tests.proxy_model.heads.made import MAX_TOKENS, backbone, fitted, reader, rows, training_set


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    model = backbone(rotary_dim=16)  # transformers rotates the whole head
    return fit_tagger(training_set(), model, reader(), HeadsOptions(max_tokens=MAX_TOKENS, folds=2)).tagger


def test_transformers_gives_the_same_levels(tagger: Tagger, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    assert export_score(tagger, "practicality", tmp_path) == []
    model, about = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert type(model).__name__ == "MiniMaxForSequenceClassification"
    assert not any(about[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    texts = rows()[1][:4]
    with torch.inference_mode():
        logits = torch.stack([model(ids[None], use_cache=False).logits[0, 0] for ids in reader().encode(texts)])
    above = torch.sigmoid(logits[:, None] - torch.tensor(model.config.curate_cut_points))
    assert above.sum(1).tolist() == pytest.approx(tagger.predict(texts).value["practicality"].tolist(), abs=1e-4)


def test_what_transformers_cannot_do_is_refused(tagger: Tagger, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pools the last token"):
        export_score(fitted().tagger, "practicality", tmp_path)
    with pytest.raises(UsageError, match="no score"):
        export_score(tagger, "beauty", tmp_path)
