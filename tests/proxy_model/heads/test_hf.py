"""Promise of the export: transformers' sequence classifier gives the same levels, one document at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from curation.pipeline.errors import UsageError
from proxy_model.heads.hf import export_score
from proxy_model.heads.model import HeadsSpec, RewardHeads
from proxy_model.heads.tagger import Tagger
from proxy_model.hf.names import BUFFERS
from quality.rubric.rubric import DIMENSIONS
from tests.proxy_model.heads.made import backbone, reader, rows


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    """Heads with any weights; transformers rotates the whole head."""
    model = backbone(rotary_dim=16)
    heads = RewardHeads(HeadsSpec(model.config.width, DIMENSIONS, 6, ()))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        heads.score.normal_(generator=generator)
        heads.mean.normal_(generator=generator)
        heads.scale.uniform_(0.5, 2.0, generator=generator)
        heads.factor.copy_(torch.tensor([0.7, 1.4]))
    return Tagger(model, heads, reader(), "last", {})


def test_transformers_gives_the_same_levels(tagger: Tagger, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    assert export_score(tagger, "practicality", tmp_path) == []
    model, about = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert type(model).__name__ == "MiniMaxForSequenceClassification"
    assert not about["unexpected_keys"] and not about["mismatched_keys"]
    assert all(BUFFERS.search(name) for name in about["missing_keys"])  # they follow from the config
    texts = rows()[1][:4]
    with torch.inference_mode():
        logits = torch.stack([model(ids[None], use_cache=False).logits[0, 0] for ids in reader().encode(texts)])
    above = torch.sigmoid(logits[:, None] - torch.tensor(model.config.curate_cut_points))
    assert above.sum(1).tolist() == pytest.approx(tagger.predict(texts).value["practicality"].tolist(), abs=1e-4)


def test_what_transformers_cannot_do_is_refused(tagger: Tagger, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pools the last token"):
        export_score(replace(tagger, pooling="mean"), "practicality", tmp_path)
    with pytest.raises(UsageError, match="no score"):
        export_score(tagger, "beauty", tmp_path)
