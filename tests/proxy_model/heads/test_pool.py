"""Promises of pooling: each document's own last token, in any layout; packing changes nothing; padding has no say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from proxy_model.heads.features import alone, packed_features, rows
from proxy_model.heads.pool import POOLINGS, documents, pool
from proxy_model.packed import packed_sequences
from tests.proxy_model.heads.made import backbone, sequences

LAYOUTS = [(1,), (64,), (3, 1, 7), (63, 1), (5, 70, 2, 51), (1, 1, 1, 1)]


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_each_document_gives_its_own_tokens_and_padding_gives_none(lengths: tuple[int, ...]) -> None:
    packed = packed_sequences(sequences(*lengths))
    hidden = torch.arange(len(packed.tokens), dtype=torch.float64)[:, None].expand(-1, 3)
    ends = torch.tensor(lengths).cumsum(0)
    starts = ends - torch.tensor(lengths)
    assert [one.tolist() for one in documents(packed)] == [starts.tolist(), (ends - 1).tolist()]
    assert pool(hidden, packed)[:, 0].tolist() == (ends - 1).tolist()
    assert pool(hidden, packed, "mean")[:, 0].tolist() == ((starts + ends - 1) / 2).tolist()
    assert pool(hidden, packed, "both").shape == (len(lengths), 6)


def test_a_loaders_row_of_fixed_boundaries_is_read_alike() -> None:
    # cu_seqlens of a batch is filled up with T; its padding segment has no source
    packed = packed_sequences(sequences(10, 20))
    filled = replace(packed, cu_seqlens=torch.cat([packed.cu_seqlens, torch.full((4,), 64, dtype=torch.int32)]))
    hidden = torch.randn(64, 5)
    for pooling in POOLINGS:
        assert torch.equal(pool(hidden, filled, pooling), pool(hidden, packed, pooling))  # type: ignore[arg-type]
    assert documents(filled)[1].tolist() == [9, 29]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_packed_documents_are_as_one_by_one(pooling: str) -> None:
    model, docs = backbone().double(), sequences(5, 70, 1, 33, 64, 12)
    together = packed_features(model, docs, pooling)  # type: ignore[arg-type]
    single = alone(model, docs, pooling)  # type: ignore[arg-type]
    assert (together - single).abs().max() <= 1e-6 * single.abs().max()  # they are stored as float32


def test_a_label_depends_on_its_text_alone_to_the_last_bit() -> None:
    model, docs = backbone(), sequences(5, 70, 1, 33)
    assert torch.equal(alone(model, docs)[1:3], alone(model, docs[1:3]))
    assert torch.equal(alone(model, docs)[[3, 0]], alone(model, [docs[3], docs[0]]))


def test_an_expert_capacity_drops_no_token_of_a_document() -> None:
    free, tight = backbone(), backbone(capacity_factor=0.25)
    docs = sequences(40, 40)
    assert torch.equal(packed_features(free, docs), packed_features(tight, docs))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_come_from_documents_only(pooling: str) -> None:
    model = backbone(aux_weight=0.0, z_weight=0.0)
    docs = sequences(20, 30)  # ids from 1: padding alone is token 0
    packed = packed_sequences(docs)
    pool(model(packed).hidden, packed, pooling).square().sum().backward()  # type: ignore[arg-type]
    grad = model.embed.weight.grad
    assert grad is not None
    touched = set(grad.abs().sum(1).nonzero()[:, 0].tolist())
    assert touched == set(torch.cat(docs).tolist()) and 0 not in touched


def test_rows_keep_the_order_and_the_budget() -> None:
    assert list(rows([3, 4, 10, 1, 1], 7)) == [[0, 1], [2], [3, 4]]
    assert list(rows([], 7)) == []
