"""All chosen documents, asked in parallel; documents whose requests are equal are asked once.

A cap ends the run in order: what is on its way is kept, nothing more is sent.  A judge that fails again and again
ends it with an error, before more is paid for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from decimal import Decimal

from curation.pipeline.errors import CurateError
from quality.judge.ask import Asker, Outcome
from quality.judge.budget import CapReached, Caps, Spending
from quality.judge.cache import ReplyCache
from quality.judge.documents import Chosen
from quality.judge.endpoint import Endpoint, request_body, request_key, token_bound
from quality.rubric.rubric import Rubric

BYTES_PER_TOKEN = 4.0  # English text under the usual vocabularies; the bound, not this, guards the caps
TYPICAL_REPLY = 160  # tokens
IN_A_ROW = {"unreachable": 8, "refused": 20, "invalid": 40}  # documents after which something is wrong for good


@dataclass(frozen=True)
class Estimate:
    """Before anything is sent: what it will probably take, and what it could at most in first attempts."""

    documents: int
    requests: int  # distinct, not yet in the cache
    cached: int
    tokens_in: int
    tokens_out: int
    money: Decimal | None
    most_tokens: int
    most_money: Decimal | None
    spent_before: Spending
    exceeds: str | None  # the cap that the probable amount would go over

    def __str__(self) -> str:
        price = "" if self.money is None else f", about {self.money:.2f} (at most {self.most_money:.2f}) of money"
        text = (
            f"{self.documents:,} documents: {self.cached:,} in the cache, {self.requests:,} requests, about "
            f"{self.tokens_in:,} tokens in and {self.tokens_out:,} out{price}; retries come on top"
        )
        if self.exceeds:
            text += f"\nthe cap of {self.exceeds} will end the run before that"
        return text


@dataclass(frozen=True)
class Answers:
    """Per document its outcome (None: not reached), and the cap that ended the run."""

    outcomes: list[Outcome | None]
    cap: str | None


def group(endpoint: Endpoint, rubric: Rubric, documents: Sequence[Chosen]) -> dict[str, list[int]]:
    """Positions of documents by the key of their first request."""
    groups: dict[str, list[int]] = {}
    for i, one in enumerate(documents):
        key = request_key(endpoint, rubric, request_body(endpoint, rubric, one.excerpt, 0))
        groups.setdefault(key, []).append(i)
    return groups


def estimate(
    endpoint: Endpoint, rubric: Rubric, documents: Sequence[Chosen], groups: dict[str, list[int]], cache: ReplyCache,
    caps: Caps,
) -> Estimate:  # fmt: skip
    """What the requests that are not in the cache will take."""
    tokens_in = tokens_out = 0
    most = probable = Spending()
    wanted = [members[0] for key, members in groups.items() if key not in cache]
    for i in wanted:
        bound_in, bound_out = token_bound(request_body(endpoint, rubric, documents[i].excerpt, 0), endpoint)
        likely_in, likely_out = round(bound_in / BYTES_PER_TOKEN), min(TYPICAL_REPLY, bound_out)
        tokens_in += likely_in
        tokens_out += likely_out
        most += caps.cost(bound_in, bound_out)
        probable += caps.cost(likely_in, likely_out)
    priced = caps.price_in is not None and caps.price_out is not None
    return Estimate(
        documents=len(documents),
        requests=len(wanted),
        cached=len(groups) - len(wanted),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        money=probable.money if priced else None,
        most_tokens=most.tokens,
        most_money=most.money if priced else None,
        spent_before=cache.spent,
        exceeds=caps.exceeded_by(cache.spent + probable),
    )


def ask_all(
    asker: Asker, documents: Sequence[Chosen], groups: dict[str, list[int]], parallel: int,
    on_done: Callable[[int, float], None],
) -> Answers:  # fmt: skip
    """Every group once, at most `parallel` at a time.  on_done(documents, requests per second) after each."""
    outcomes: list[Outcome | None] = [None] * len(documents)
    waiting = iter(groups.values())
    running: dict[Future[Outcome], list[int]] = {}
    cap: str | None = None
    failing: dict[str, int] = dict.fromkeys(IN_A_ROW, 0)
    started, requests = time.monotonic(), 0
    with ThreadPoolExecutor(parallel) as pool:
        try:
            while True:
                while cap is None and len(running) < 2 * parallel and (members := next(waiting, None)) is not None:
                    running[pool.submit(asker.ask, documents[members[0]].excerpt)] = members
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    members = running.pop(future)
                    try:
                        outcome = future.result()
                    except CapReached as error:
                        cap = str(error)
                        continue
                    for i in members:
                        outcomes[i] = outcome
                    requests += outcome.attempts - outcome.cached
                    on_done(len(members), requests / max(time.monotonic() - started, 1e-9))
                    _watch(outcome, failing)
        except BaseException:
            if asker.client is not None:
                asker.client.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)  # what is on its way is still kept
            raise
    return Answers(outcomes, cap)


def _watch(outcome: Outcome, failing: dict[str, int]) -> None:
    """CurateError where documents fail one after the other in the same way."""
    kind = "" if outcome.reason is None else outcome.reason.partition(":")[0]
    for name in failing:
        failing[name] = failing[name] + 1 if name == kind else 0
        if failing[name] >= IN_A_ROW[name] and outcome.attempts > outcome.cached:
            raise CurateError(
                f"{failing[name]} documents in a row failed; the last: {outcome.reason}",
                "replies so far are kept: see what is wrong with the endpoint, then run the same command again",
            )
