"""Promises of full fine-tuning: it learns, reproducibly, from documents and from pairs."""

from __future__ import annotations

import numpy as np
import torch

from proxy_model.heads.features import packed_features
from proxy_model.heads.fit import Fitted, HeadsOptions, fit_tagger
from proxy_model.heads.linear import Pairs
from proxy_model.heads.model import HeadsSpec, RewardHeads
from proxy_model.heads.ordinal import level_targets
from proxy_model.heads.tune import Targets, _epoch, tune
from quality.analysis.metrics import spearman
from tests.proxy_model.heads.made import MAX_TOKENS, backbone, reader, rows, training_set

OPTIONS = HeadsOptions(backbone="train", max_tokens=MAX_TOKENS, epochs=6, lr=1e-3, folds=4)


def tuned(pairs: dict[int, Pairs] | None = None) -> Fitted:
    return fit_tagger(training_set(), backbone(), reader(), OPTIONS, pairs=pairs)


def test_a_trained_backbone_gives_the_same_weights_again_and_leaves_its_start_alone() -> None:
    model = backbone()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = fit_tagger(training_set(), model, reader(), OPTIONS)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    data = training_set().take(found.rows)
    assert len(data.ids) == len(training_set().ids) // 4  # one fold is held out
    assert spearman(data.scores["knowledge_depth"], found.held_out.value["knowledge_depth"]) > 0.7
    after = found.tagger.model.state_dict()
    assert not torch.equal(after["blocks.0.mixer.qkv.weight"], before["blocks.0.mixer.qkv.weight"])
    assert tuned().tagger.hash == found.tagger.hash


def test_heads_and_backbone_learn_from_nothing() -> None:
    data, model = training_set(), backbone()
    heads = RewardHeads(HeadsSpec(model.config.width, ("depth",), 6, ()))
    targets = Targets(
        (level_targets(torch.from_numpy(data.scores["knowledge_depth"]).float(), 6),),
        torch.zeros(0, dtype=torch.int64), torch.ones(len(data.ids)),
    )  # fmt: skip
    told: list[str] = []
    tune(
        model, heads, reader().encode(data.texts.to_pylist()), targets, epochs=6, lr=3e-3, budget=512, note=told.append
    )
    losses = [float(one.rpartition(" ")[2]) for one in told]
    assert losses[-1] < 0.85 * losses[0]
    _, texts, levels, _ = rows(60, seed=9)
    with torch.inference_mode():
        scores, _ = heads(packed_features(model, reader().encode(texts)))
    assert spearman(levels, scores[:, 0].numpy()) > 0.6


def test_every_document_and_every_pair_comes_once_an_epoch() -> None:
    pairs = {1: Pairs(torch.tensor([0, 4, 2]), torch.tensor([3, 1, 5]))}
    lengths = [30, 10, 50, 20, 5, 40]
    first, second = (list(_epoch(lengths, pairs, 64, 7, epoch)) for epoch in (0, 1))
    for batches in (first, second):
        singles = [i for one in batches if not one.pairs for i in one.documents]
        assert sorted(singles) == list(range(6))
        compared = [one for batch in batches if batch.pairs for one in sides(batch.documents)]
        assert sorted(compared) == [(0, 3), (2, 5), (4, 1)]
    assert first != second and first == list(_epoch(lengths, pairs, 64, 7, 0))


def sides(documents: tuple[int, ...]) -> list[tuple[int, int]]:
    half = len(documents) // 2
    return list(zip(documents[:half], documents[half:], strict=True))


def test_pairs_move_a_trained_model_too() -> None:
    level = training_set().scores["knowledge_depth"]
    order = np.argsort(level, kind="stable")
    # turned round on purpose: the worse document is called the better one
    upside_down = Pairs(torch.from_numpy(order[:40].copy()), torch.from_numpy(order[-40:].copy()), weight=20.0)
    found = tuned({0: upside_down})
    truth = training_set().take(found.rows).scores["knowledge_depth"]
    assert spearman(truth, found.held_out.value["knowledge_depth"]) < 0
    assert spearman(5 - truth, found.held_out.value["practicality"]) > 0.5  # the other score has no pairs
