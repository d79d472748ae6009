"""Promises of the parts: schedule, token table, spike rule, order of rows, n-grams, noise scale."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from curation.pipeline.errors import UsageError  # noqa: E402
from packing.loader import PackedDataset, PackedLoader  # noqa: E402
from proxy_model.model import ProxyLM  # noqa: E402
from proxy_model.train import data  # noqa: E402
from proxy_model.train.baselines import kneser_ney, unigram_nats  # noqa: E402
from proxy_model.train.critical_batch import Curve, Noise, fit, noise_scale, probe, smooth, table  # noqa: E402
from proxy_model.train.devices import open_device, reproducible, told_of_memory  # noqa: E402
from proxy_model.train.held_out import nats_of, of_rows, of_sequences, scores  # noqa: E402
from proxy_model.train.loop import check  # noqa: E402
from proxy_model.train.optim import Optimizers, Weights, is_matrix  # noqa: E402
from proxy_model.train.schedule import Schedule  # noqa: E402
from proxy_model.train.settings import Optimizer  # noqa: E402
from proxy_model.train.spikes import ENOUGH, Policy, Watch  # noqa: E402
from proxy_model.train.token_table import TokenTable, constant  # noqa: E402
from tests.packing.directories import write_directory  # noqa: E402
from tests.proxy_model.train.small import TINY, markov, settings, shards  # noqa: E402


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return data.open_shards(shards(tmp_path_factory.mktemp("shards") / "shards"))


# schedule and table


def test_wsd_rises_stays_and_falls_to_zero() -> None:
    rate = Schedule("wsd", warmup=100, decay=0.2)
    assert [rate.factor(at, 1000) for at in (50, 100, 500, 800, 900, 1000)] == pytest.approx([0.5, 1, 1, 1, 0.5, 0])


def test_the_papers_schedule_has_the_papers_rates() -> None:
    rate = Schedule("paper", warmup=0)
    assert [2e-4 * rate.factor(at, 1140) for at in (700, 730, 1039, 1140)] == pytest.approx(
        [2e-4, 1.3e-4, 1.3e-4, 3e-5]
    )


@given(st.integers(1, 5000), st.lists(st.integers(1, 400), min_size=1, max_size=4))
def test_steps_follow_each_other_and_hold_all_tokens(tokens: int, batches: list[int]) -> None:
    rows = TokenTable(tuple((i * 700, 8 * one) for i, one in enumerate(batches)))
    steps = rows.steps(tokens, 8)
    assert [s.first for s in steps] == [sum(t.sequences for t in steps[:i]) for i in range(len(steps))]
    assert sum(s.sequences for s in steps) == -(-tokens // 8)
    assert all(s.sequences * 8 == rows.batch(s.tokens) for s in steps[:-1])


@pytest.mark.parametrize("rows", [(), ((5, 8),), ((0, 8), (0, 9)), ((0, 0),)])
def test_a_table_that_is_none_is_refused(rows: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(UsageError, match="batch table"):
        TokenTable(rows)


def test_a_batch_holds_at_least_one_sequence() -> None:
    with pytest.raises(UsageError, match="holds no sequence"):
        constant(10).steps(100, 64)


# spikes


def test_a_spike_stands_out_from_the_past_and_does_not_hide_the_next() -> None:
    rng = np.random.default_rng(0)
    watch = Watch(Policy())
    found = []
    for step in range(300):
        loss = 4 - step / 200 + 0.05 * rng.normal() + (3 if step in (150, 151, 250) else 0)
        if watch.judge(step, loss, 1.0).spike:
            found.append(step)
    assert found == [150, 151, 250] and watch.spikes == 3 and watch.skipped == 0


def test_no_verdict_before_there_is_a_past() -> None:
    watch = Watch(Policy(spike="skip"))
    assert not any(watch.judge(i, 3.0 if i < ENOUGH - 1 else 99.0, 1.0).spike for i in range(ENOUGH))


# order of rows


def test_without_seeds_rows_come_as_the_loader_serves_them(dataset: PackedDataset) -> None:
    loader = PackedLoader(dataset.directory, global_batch=1)
    rows = data.scheduled(dataset)
    for one, two in zip(loader, data.batches(dataset, rows, 1), strict=True):
        for key in ("tokens", "labels", "cu_seqlens", "source", "n_bytes", "position_ids"):
            here = two[key][: len(one[key])]  # type: ignore[literal-required]
            assert np.array_equal(one[key], here)  # type: ignore[literal-required]


@given(st.integers(0, 2**64 - 1))
def test_an_order_seed_keeps_every_row_and_the_schedule_of_queues(dataset: PackedDataset, seed: int) -> None:
    rows = data.scheduled(dataset)
    found = data.permuted(rows, seed)
    assert np.array_equal(found.queue, rows.queue)
    pairs = [sorted(zip(r.places.shard.tolist(), r.places.row.tolist(), strict=True)) for r in (rows, found)]
    assert pairs[0] == pairs[1]


@given(st.integers(0, 2**64 - 1), st.floats(0.2, 0.9))
def test_a_subset_keeps_shares_in_every_prefix(dataset: PackedDataset, seed: int, share: float) -> None:
    rows = data.scheduled(dataset)
    found = data.subset(rows, share, seed)
    whole, part = Counter(rows.queue.tolist()), Counter(found.queue.tolist())
    assert all(abs(part[queue] - share * whole[queue]) <= 1 for queue in whole)
    for queue in whole:
        running = np.cumsum(found.queue == queue)
        assert np.abs(running - np.arange(1, len(found) + 1) * part[queue] / len(found)).max() <= 3


def test_epochs_go_on_with_other_permutations(dataset: PackedDataset) -> None:
    rows = data.scheduled(dataset)
    order = data.run_order(rows, 2 * len(rows), 5)
    first, second = order.take(np.arange(len(rows))), order.take(np.arange(len(rows), 2 * len(rows)))
    assert not np.array_equal(first.places.row, second.places.row)
    assert sorted(first.places.row.tolist()) == sorted(second.places.row.tolist())


def test_held_out_rows_are_the_same_for_all_and_share_no_document(dataset: PackedDataset) -> None:
    rows = data.scheduled(dataset)
    train, kept = data.split_off(rows, 0.1, dataset.manifest)
    assert len(train) + len(kept) == len(rows) and set(kept.queue.tolist()) == set(rows.queue.tolist())
    trained = data.documents_of(dataset, train)
    held = of_rows(dataset, kept, trained)
    expected = [key for key in data.documents_of(dataset, kept) if key not in set(trained.tolist())]
    assert 0 < len(held) <= len(expected)
    assert (np.diff(held.ends) > 1).all() and not np.isin(held.tokens, [0, 1]).any()  # no padding, no end-of-document


# what is refused


def test_shards_that_the_model_cannot_read_are_refused(tmp_path: Path, dataset: PackedDataset) -> None:
    with pytest.raises(UsageError, match="manifest"):
        data.open_shards(tmp_path)
    write_directory(tmp_path / "odd", {"a": [[5] * 30]}, sequence_length=65)
    with pytest.raises(UsageError, match=r"rows of 65 tokens.*\n.*L \+ 1"):
        data.open_shards(tmp_path / "odd")
    from dataclasses import replace

    small = settings(dataset.directory, tmp_path, model=replace(TINY, vocab_size=64))
    with pytest.raises(UsageError, match="ids up to 255, the model has 64"):
        check(small, dataset)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
def test_cuda_that_is_not_there_is_refused_and_bf16_on_the_cpu_is_not() -> None:
    with pytest.raises(UsageError, match="no CUDA\n  → say device: cpu and precision: fp32"):
        open_device("cuda", "bf16")
    assert open_device("cpu", "bf16").type == "cpu"
    with pytest.raises(UsageError, match="is unknown"):
        open_device("abacus", "fp32")


def test_on_cuda_only_deterministic_algorithms_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `warn_only` torch's flash attention keeps its atomic backward pass, and runs do not repeat."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with reproducible(torch.device("cuda"), 1):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()


def test_memory_that_ran_out_is_told_and_other_errors_are_not_swallowed() -> None:
    with pytest.raises(UsageError, match=r"(?s)out of memory: CUDA out of memory.*micro_batch"), told_of_memory():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB\nmore")
    with pytest.raises(UsageError, match="out of memory"), told_of_memory():
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 25600000000000 bytes")
    with pytest.raises(RuntimeError, match="device-side assert"), told_of_memory():
        raise RuntimeError("device-side assert triggered")


# optimizers


def test_embedding_head_and_norms_are_not_decayed() -> None:
    weights = Weights(ProxyLM(TINY, 0), "fp32")
    optimizers = Optimizers(weights, Optimizer(), 1e-3)
    ((adam, _),) = optimizers._every
    decayed = {id(p) for group in adam.param_groups if group["weight_decay"] for p in group["params"]}
    for name, one in weights.masters.items():
        assert (
            (id(one) in decayed)
            == is_matrix(name, one)
            == (one.dim() > 1 and name.split(".")[0] not in ("embed", "head"))
        )


def test_masters_move_by_less_than_bf16_can_hold() -> None:
    model = ProxyLM(TINY, 0)
    weights = Weights(model, "bf16")
    optimizers = Optimizers(weights, Optimizer(weight_decay=0.0), 1e-6)
    name = "blocks.0.feed_forward.down"
    before = weights.masters[name].detach().clone()
    weights.live[name].grad = torch.ones_like(weights.live[name])
    weights.collect()
    optimizers.step(1.0)
    moved = (weights.masters[name] - before).abs().max()
    assert 0 < moved < 1e-5 and weights.live[name].dtype == torch.bfloat16


def test_muon_takes_every_expert_as_a_matrix_of_its_own() -> None:
    weights = Weights(ProxyLM(TINY, 0), "fp32")
    optimizers = Optimizers(weights, Optimizer("muon"), 1e-3)
    name = "blocks.1.feed_forward.down"
    assert {f"{name}[{i}]" for i in range(TINY.experts)} <= set(optimizers.named)
    before = weights.masters[name].detach().clone()
    for one in weights.masters.values():
        one.grad = torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
    optimizers.step(1.0)
    assert (weights.masters[name] != before).all(dim=(1, 2)).all()


# held-out text and baselines


def test_bits_per_byte_are_those_of_separate_documents() -> None:
    model = ProxyLM(TINY, 3)
    sequences = [np.array(one, np.int64) for one in markov(1, 5, 20, 0)] + [np.array([7], np.int64)]
    held = of_sequences(sequences, [40] * 6, ["a", "a", "b", "b", "b", "b"])
    assert len(held) == 5  # one token has nothing to be predicted from
    together = nats_of(model, held, 1000)
    apart = np.concatenate([nats_of(model, of_sequences([one], [40], ["a"]), 10) for one in sequences[:5]])
    assert together == pytest.approx(apart, rel=1e-5)
    found = {(one.kind, one.name): one for one in scores(held, together)}
    assert found["source", "a"].bits_per_byte == pytest.approx(together[:2].sum() / math.log(2) / 80)
    assert found["all", ""].labels == 95


def slow_kneser_ney(train: list[list[int]], text: list[int], vocabulary: int, n: int) -> list[float]:
    """The formula, word by word."""
    grams: dict[int, Counter[tuple[int, ...]]] = {}
    for k in range(1, n + 1):
        if k == n:
            grams[k] = Counter(tuple(d[i : i + k]) for d in train for i in range(len(d) - k + 1))
        else:
            longer = {tuple(d[i : i + k + 1]) for d in train for i in range(len(d) - k)}
            grams[k] = Counter(one[1:] for one in longer)

    def p(word: int, context: tuple[int, ...]) -> float:
        k = len(context) + 1
        below = p(word, context[1:]) if context else 1 / vocabulary
        mine = {g: c for g, c in grams[k].items() if g[:-1] == context}
        if not mine:
            return below
        values = Counter(grams[k].values())
        d = values[1] / (values[1] + 2 * values[2]) if values[1] else 0.5
        total = sum(mine.values())
        return max(mine.get((*context, word), 0) - d, 0) / total + d * len(mine) / total * below

    return [-math.log(p(word, tuple(text[max(0, i - n + 1) : i]))) for i, word in enumerate(text)]


ids = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=12), min_size=1, max_size=5)


@given(ids, st.lists(st.integers(0, 6), min_size=1, max_size=10), st.integers(1, 4))
def test_n_grams_are_those_of_the_formula(train: list[list[int]], text: list[int], n: int) -> None:
    ends = np.concatenate([[0], np.cumsum([len(one) for one in train])]).astype(np.int64)
    model = kneser_ney(np.concatenate([np.array(one, np.int64) for one in train]), ends, 7, n)
    found = model.nats(np.array(text, np.int64), np.array([0, len(text)], np.int64))
    assert found == pytest.approx(slow_kneser_ney(train, text, 7, n), rel=1e-9)


def test_n_grams_are_distributions() -> None:
    train = np.array(markov(1, 20, 30, 0)).ravel() % 8
    model = kneser_ney(train, np.arange(0, 601, 30), 8, 3)
    for context in ([1, 2], [7, 7], [0, 5]):
        nats = [model.nats(np.array([*context, w]), np.array([0, 3]))[2] for w in range(8)]
        assert sum(math.exp(-one) for one in nats) == pytest.approx(1.0)
    assert math.fsum(np.exp(-unigram_nats(train, np.arange(8), 8))) == pytest.approx(1.0)


# critical batch


def test_the_default_curve_gives_the_papers_switch_points() -> None:
    assert [round(Curve().batch(loss) / 1e6) for loss in (2.22, 1.98, 1.77, 1.58)] == [16, 32, 64, 128]


def test_a_noise_scale_is_found_in_gradients_of_known_noise() -> None:
    rng = np.random.default_rng(0)
    signal, sigma, tokens, parts = np.full(2000, 0.05), 3.0, 64, 16
    estimates = []
    for _ in range(20):
        gradients = signal + sigma / math.sqrt(tokens) * rng.normal(size=(parts, 2000))
        squares = (gradients**2).sum(1).tolist()
        estimates.append(noise_scale(squares, float((gradients.mean(0) ** 2).sum()), tokens, 3.0))
    trace, squared = (
        float(np.mean([getattr(one, name) for one in estimates])) for name in ("trace", "squared_gradient")
    )
    assert trace == pytest.approx(sigma**2 * 2000, rel=0.05) and squared == pytest.approx(0.05**2 * 2000, rel=0.1)


def test_a_fit_finds_the_law_that_made_the_points_and_refuses_noise() -> None:
    points = [Noise(loss, 5e6 * loss**-4.0, 1.0, 1.0) for loss in (5.0, 4.0, 3.0)]
    curve = fit([*points, Noise(2.0, math.nan, -1.0, 1.0)])
    assert (curve.a, curve.b) == pytest.approx((5e6, -4.0))
    with pytest.raises(UsageError, match="a fit needs 3"):
        fit(points[:2])
    with pytest.raises(UsageError, match="falls as the loss falls"):
        fit([Noise(loss, loss, 1.0, 1.0) for loss in (5.0, 4.0, 3.0)])


def test_a_table_doubles_where_the_curve_allows_it() -> None:
    tokens = list(range(1000, 101_000, 1000))
    losses = np.linspace(8, 2, 100).tolist()
    made = table(Curve(2**18, -3.0), tokens, losses, sequence_length=64, smallest=1024, largest=8192)
    falling = smooth(tokens, losses)
    assert made.rows[0] == (0, 1024) and [batch for _, batch in made.rows] == [1024, 2048, 4096, 8192]
    for start, batch in made.rows[1:]:
        assert 2**18 * falling[tokens.index(start)] ** -3 >= batch > 2**18 * falling[tokens.index(start) - 1] ** -3


def test_a_probe_of_equal_parts_has_no_noise(dataset: PackedDataset) -> None:
    part = next(data.batches(dataset, data.scheduled(dataset), 2))
    found = probe(ProxyLM(TINY, 0), [part, part, part])
    assert abs(found.trace) < 1e-3 * found.squared_gradient * 128 and 5 < found.loss < 6
