"""Log-likelihood of continuations under a model, many requests a forward pass.

A request's input is context + continuation without its last token; what differs only in that last token is run once.
Which requests share a batch follows from their lengths alone and changes results by rounding only.
Imports only torch and the model, so that it runs on a bare GPU machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from proxy_model.model import ProxyLM

Request = tuple[Sequence[int], Sequence[int]]  # context ids, continuation ids
Progressed = Callable[[int, int], None]  # requests and tokens done since the last call
LOGITS = 1 << 24  # of scored positions held at once: 64 MiB in float32


class RequestError(ValueError):
    """A request that no model can answer: an empty side, or an id outside the vocabulary."""


@dataclass(frozen=True, slots=True)
class Scored:
    """log p(continuation | context) in nats; whether greedy decoding would write exactly the continuation."""

    nats: float
    greedy: bool


class Scorer(Protocol):
    """A model that scores requests; answers stand in the order of the requests."""

    @property
    def digest(self) -> str:
        """Of the weights."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else decides the last bits: JSON."""

    @property
    def max_length(self) -> int | None:
        """Tokens of an input; None: any."""

    def log_likelihoods(self, requests: Sequence[Request], progressed: Progressed | None = None) -> list[Scored]:
        """Raises RequestError."""


@dataclass(frozen=True, slots=True)
class Row:
    """One input and the requests that it answers: (number of the request, its continuation)."""

    tokens: tuple[int, ...]
    answers: tuple[tuple[int, tuple[int, ...]], ...]


def rows_of(requests: Sequence[Request], vocab_size: int) -> list[Row]:
    """Inputs without repetition, longest first (memory runs out at once or never), ties by their tokens."""
    found: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for number, (context, continuation) in enumerate(requests):
        if not context or not continuation:
            raise RequestError(f"request {number}: an empty {'continuation' if context else 'context'}")
        tokens = (*context, *continuation)
        if min(tokens) < 0 or max(tokens) >= vocab_size:
            raise RequestError(
                f"request {number}: token {max(tokens) if min(tokens) >= 0 else min(tokens)}, but the model has "
                f"{vocab_size:,} tokens; is this its tokenizer?"
            )
        found.setdefault(tokens[:-1], []).append((number, tuple(continuation)))
    rows = [Row(tokens, tuple(answers)) for tokens, answers in found.items()]
    return sorted(rows, key=lambda row: (-len(row.tokens), row.tokens))


def batches(rows: Sequence[Row], budget: int, *, padded: bool) -> Iterator[list[Row]]:
    """Consecutive rows of at most `budget` tokens, counted as padded to the longest or end to end; one row at least."""
    batch: list[Row] = []
    used = 0
    for row in rows:
        size = len(batch[0].tokens) if padded and batch else len(row.tokens)
        if batch and used + size > budget:
            yield batch
            batch, used, size = [], 0, len(row.tokens)
        batch.append(row)
        used += size
    if batch:
        yield batch


@dataclass(frozen=True)
class Targets:
    """Where to look and for what: `rows[i]`, `positions[i]` and the id `labels[i]` wanted there, of `owners[i]`."""

    rows: Tensor
    positions: Tensor
    labels: Tensor
    owners: Tensor


def targets(batch: Sequence[Row], device: torch.device | str) -> Targets:
    """Every scored token of a batch: the token after position p of row r.  `owners`: place in the batch's answers."""
    places: list[tuple[int, int, int, int]] = []
    owner = 0
    for number, row in enumerate(batch):
        for _, continuation in row.answers:
            first = len(row.tokens) - len(continuation)
            places += [(number, first + i, token, owner) for i, token in enumerate(continuation)]
            owner += 1
    return Targets(*torch.tensor(places, dtype=torch.int64).to(device).unbind(1))


def answer(
    scored: list[Scored | None], batch: Sequence[Row], wanted: Targets, width: int,
    logits_at: Callable[[slice], Tensor],
) -> None:  # fmt: skip
    """Fill in a batch's answers.  `logits_at(part)`: [n, width] of a slice of the targets; sums are in float64."""
    owners = sum(len(row.answers) for row in batch)
    nats = torch.zeros(owners, dtype=torch.float64)
    missed = torch.zeros(owners, dtype=torch.int64)
    step = max(1, LOGITS // width)
    for start in range(0, len(wanted.labels), step):
        part = slice(start, start + step)
        logits = logits_at(part).float()
        labels = wanted.labels[part]
        who = wanted.owners[part].cpu()
        nats.index_add_(0, who, (logits.gather(1, labels[:, None])[:, 0] - logits.logsumexp(1)).double().cpu())
        missed.index_add_(0, who, (logits.argmax(1) != labels).long().cpu())
    numbers = [number for row in batch for number, _ in row.answers]
    for number, value, wrongs in zip(numbers, nats.tolist(), missed.tolist(), strict=True):
        scored[number] = Scored(value, wrongs == 0)


def finished(scored: list[Scored | None]) -> list[Scored]:
    """All answers; raises RuntimeError where a model gave no number (NaN weights), or weights that overflow)."""
    done = [one for one in scored if one is not None]
    bad = sum(not math.isfinite(one.nats) for one in done)
    if bad or len(done) < len(scored):
        raise RuntimeError(
            f"the model gave no number for {bad + len(scored) - len(done):,} of {len(scored):,} requests"
        )
    return done


def dropless(model: ProxyLM) -> ProxyLM:
    """The model itself, or a copy of its weights without an expert capacity."""
    if model.config.capacity_factor is None:
        return model
    free = type(model)(replace(model.config, capacity_factor=None)).to(model.embed.weight)
    free.load_state_dict(model.state_dict())
    return free


class ProxyScorer:
    """Our model: requests stand end to end in packed rows, none sees another.

    `budget`: tokens of one forward pass.  A model with an expert capacity scores without one: dropped tokens would make
    an item's score depend on its neighbours.
    """

    def __init__(self, model: ProxyLM, digest: str, *, budget: int = 16_384, max_length: int | None = None) -> None:
        self.model = dropless(model).eval()
        self.digest = digest
        self.budget = budget
        self.max_length = max_length
        weight = self.model.embed.weight
        self.settings = {"kind": "proxy", "dtype": str(weight.dtype), "device": weight.device.type, "budget": budget}

    @torch.inference_mode()
    def log_likelihoods(self, requests: Sequence[Request], progressed: Progressed | None = None) -> list[Scored]:
        """See `Scorer`."""
        from proxy_model.packed import packed_sequences

        scored: list[Scored | None] = [None] * len(requests)
        device = self.model.embed.weight.device
        config = self.model.config
        for batch in batches(rows_of(requests, config.vocab_size), self.budget, padded=False):
            packed = packed_sequences([torch.tensor(row.tokens) for row in batch], device)
            hidden = self.model(packed).hidden
            wanted = targets(batch, device)
            places = packed.cu_seqlens[wanted.rows].long() + wanted.positions

            def logits_at(part: slice, hidden: Tensor = hidden, places: Tensor = places) -> Tensor:
                return self.model.logits(hidden[places[part]])

            answer(scored, batch, wanted, config.rows, logits_at)
            if progressed:
                progressed(sum(len(row.answers) for row in batch), sum(len(row.tokens) for row in batch))
        return finished(scored)
