"""One score of a tagger as transformers' MiniMaxForSequenceClassification: the counterpart of `proxy_model.hf`.

transformers has one linear layer without bias on the last token, so standardisation and calibration go into its weight
and into the cut-points, which config.json keeps: P(level ≥ j) = σ(logit − curate_cut_points[j − 1]).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from curation.pipeline.errors import UsageError
from proxy_model.files import replacing
from proxy_model.heads.tagger import Tagger
from proxy_model.hf.export import TOKENIZER, export_hf
from proxy_model.hf.load import SINGLE

ARCHITECTURE = "MiniMaxForSequenceClassification"


def export_score(
    tagger: Tagger, dimension: str, directory: str | os.PathLike[str], *, allow_lossy: bool = False
) -> list[str]:
    """Write the folder; returns what transformers will compute differently (as `export_hf`, which may refuse).

    Feed it the ids of `Reader.encode`: the end-of-document token is the one that is pooled.
    """
    spec = tagger.heads.spec
    if dimension not in spec.dimensions:
        raise UsageError(f"the tagger has no score {dimension!r}", f"it has {', '.join(spec.dimensions)}")
    if tagger.pooling != "last":
        raise UsageError(f"transformers pools the last token, the tagger {tagger.pooling}", "train with pooling=last")
    folder = Path(directory)
    lost = export_hf(tagger.model, folder, allow_lossy=allow_lossy)
    tensors = load_file(folder / SINGLE)
    tensors.pop("lm_head.weight", None)
    weight, cuts = folded(tagger, spec.dimensions.index(dimension))
    tensors["score.weight"] = weight[None].contiguous()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {
        "architectures": [ARCHITECTURE], "problem_type": "regression", "num_labels": 1,
        "id2label": {"0": dimension}, "label2id": {dimension: 0}, "tie_word_embeddings": False,
        "curate_cut_points": cuts.tolist(),
    }  # fmt: skip
    with replacing(folder / SINGLE) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    with replacing(folder / TOKENIZER) as temporary:
        temporary.write_bytes(tagger.reader.json)
    return lost


@torch.no_grad()
def folded(tagger: Tagger, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(weight float32 [d], cut-points [L − 1]) on raw hidden states, calibration included."""
    heads = tagger.heads
    raw = (heads.score[d] / heads.scale).double()
    factor = heads.factor[d].double()
    return (factor * raw).float(), factor * (heads.cuts[d].double() + raw @ heads.mean.double())
