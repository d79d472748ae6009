"""Scoring: many requests together give what each gives alone; what cannot be answered is said."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from proxy_model.config import preset  # noqa: E402
from proxy_model.evaluate.hf import HFScorer  # noqa: E402
from proxy_model.evaluate.scoring import ProxyScorer, RequestError, batches, rows_of  # noqa: E402
from proxy_model.model import ProxyLM  # noqa: E402
from tests.proxy_model.evaluate.examples import VOCABULARY, hf_model, requests  # noqa: E402


def proxy(budget: int, **changes: Any) -> ProxyScorer:
    model = ProxyLM(preset("pico", vocab_size=VOCABULARY, **changes), 3)
    with torch.no_grad():
        model.embed.weight.mul_(4)  # options differ more than rounding does
    return ProxyScorer(model, "pico", budget=budget)


SCORERS: dict[str, Callable[[int], Any]] = {
    "pico": proxy,
    "pico with an expert capacity": lambda budget: proxy(budget, capacity_factor=0.5),
    "llama": lambda budget: HFScorer(hf_model("llama"), "llama", budget=budget),
    "gpt2": lambda budget: HFScorer(hf_model("gpt2"), "gpt2", budget=budget),
}


@pytest.mark.parametrize("name", SCORERS)
def test_packed_is_one_by_one(name: str) -> None:
    asked = requests()
    together = SCORERS[name](512).log_likelihoods(asked)
    alone = SCORERS[name](1).log_likelihoods(asked)
    worst = max(abs(a.nats - b.nats) for a, b in zip(together, alone, strict=True))
    assert worst <= 1e-4
    assert [one.greedy for one in together] == [one.greedy for one in alone]
    assert len({round(one.nats, 3) for one in together}) > 30


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_hugging_face_scores_are_the_models_own_log_softmax(name: str) -> None:
    model = hf_model(name)
    for (context, continuation), one in zip(requests(8), HFScorer(model, "").log_likelihoods(requests(8)), strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([[*context, *continuation]]), use_cache=False).logits[0].double()
        logs = logits.log_softmax(-1)[len(context) - 1 : -1]
        wanted = logs[torch.arange(len(continuation)), torch.tensor(continuation)].sum()
        assert one.nats == pytest.approx(float(wanted), abs=1e-4)
        assert one.greedy == (logs.argmax(-1).tolist() == continuation)


def test_our_scores_are_the_training_loss() -> None:
    from proxy_model.loss import token_nats
    from proxy_model.packed import packed_sequences

    scorer = proxy(4_096)
    model = scorer.model
    for (context, continuation), one in zip(requests(8), scorer.log_likelihoods(requests(8)), strict=True):
        tokens = torch.tensor([*context, *continuation])
        packed = packed_sequences([tokens[:-1]])
        labels = torch.full((len(packed.tokens),), -100)
        labels[len(context) - 1 : len(tokens) - 1] = torch.tensor(continuation)
        with torch.no_grad():
            nats = token_nats(
                model(packed).hidden, model.head_weight, labels, vocab_size=model.config.vocab_size
            ).double()
        assert one.nats == pytest.approx(-float(nats.sum()), abs=1e-4)


def test_greedy_tells_what_the_model_would_write() -> None:
    model = hf_model("llama")
    context = [5, 6, 7]
    with torch.no_grad():
        first = int(model(torch.tensor([context])).logits[0, -1].argmax())
        second = int(model(torch.tensor([[*context, first]])).logits[0, -1].argmax())
    other = (second + 1) % VOCABULARY
    found = HFScorer(model, "").log_likelihoods([(context, [first, second]), (context, [first, other])])
    assert [one.greedy for one in found] == [True, False]


def test_a_request_alone_knows_nothing_of_the_others() -> None:
    scorer = proxy(4_096)
    first = requests(4)
    others = [([9] * 40, [8] * 8), ([1], [2])]
    together = scorer.log_likelihoods([*others, *first])[2:]
    assert [a.nats for a in together] == pytest.approx([b.nats for b in scorer.log_likelihoods(first)], abs=1e-4)


def test_inputs_that_differ_in_the_last_token_are_run_once() -> None:
    rows = rows_of([([1, 2], [3, 4]), ([1, 2], [3, 5]), ([1, 2, 3], [6]), ([1, 2], [4, 4])], 10)
    assert [row.tokens for row in rows] == [(1, 2, 3), (1, 2, 4)]
    assert [answer for answer, _ in rows[0].answers] == [0, 1, 2]


@pytest.mark.parametrize("padded", [True, False])
def test_batches_keep_the_budget_and_lose_nothing(padded: bool) -> None:
    rows = rows_of(requests(), VOCABULARY)
    made = list(batches(rows, 120, padded=padded))
    assert [row for batch in made for row in batch] == rows
    for batch in made:
        used = len(batch) * len(batch[0].tokens) if padded else sum(len(row.tokens) for row in batch)
        assert used <= 120 or len(batch) == 1
    assert list(batches([], 120, padded=padded)) == []


@pytest.mark.parametrize(
    ("request_", "said"),
    [(([], [1]), "empty context"), (([1], []), "empty continuation"), (([1], [VOCABULARY]), "is this its tokenizer"),
     (([-1], [1]), "token -1")],
)  # fmt: skip
def test_a_request_that_no_model_can_answer(request_: Any, said: str) -> None:
    with pytest.raises(RequestError, match=f"request 1: .*{said}"):
        proxy(64).log_likelihoods([([1], [2]), request_])


def test_weights_that_give_no_number_end_the_evaluation() -> None:
    scorer = proxy(64)
    with torch.no_grad():
        scorer.model.norm.weight.fill_(math.nan)
    with pytest.raises(RuntimeError, match="no number for 1 of 1"):
        scorer.log_likelihoods([([1], [2])])


def test_progress_adds_up() -> None:
    told: list[tuple[int, int]] = []
    asked = requests()
    proxy(200).log_likelihoods(asked, lambda number, tokens: told.append((number, tokens)))
    assert sum(number for number, _ in told) == len(asked)
    assert len(told) > 3


def test_no_request_no_answer() -> None:
    assert proxy(64).log_likelihoods([]) == []
