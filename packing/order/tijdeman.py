"""In which order queues give their sequences: every prefix within one sequence of the target mix.

Tijdeman's chairman assignment (Discrete Mathematics 32, 1980), carried over to sequences of different numbers of
real tokens and to weights that change.  With K queues and δ = 1 / (2K - 2): a queue may give its next sequence as
soon as that does not put it more than (1 - δ) L tokens ahead of its share, and must have given it before it falls
(1 - δ) L behind; of those that may, the one that must soonest does.  Then no queue is ever further than
(1 - δ) L < L tokens off, ahead or behind, after any number of sequences.  Proof: docs/packing-plan.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.text.kernel import cached_kernel
from packing.order.feasibility import longest_budget
from packing.order.weights import WeightPath, static

MOST_QUEUES = 200  # the order file allows 65,535, but every step looks at all queues

ROUNDING = 1 + 1e-6  # a budget above the tokens there by less is no mistake of the caller's

Tokens = NDArray[np.int64]


def tijdeman(
    weights: WeightPath | NDArray[np.float64] | Sequence[float],
    tokens: Sequence[Tokens],
    L: int,
    sequences: int | None = None,
    epochs: float = 1.0,
    used: NDArray[np.int64] | None = None,
    budget: float = float("inf"),
) -> NDArray[np.uint16]:
    """The queue of each sequence in training order, uint16[n].

    `weights` are shares of tokens; `tokens[k]` int64[n_k] are the real tokens (1 … L) of queue k's sequences in
    their order.  Queue k starts at its sequence `used[k]` (0) and may go through its sequences `epochs` times,
    from the begin again.  It ends after `sequences`, with the sequence that reaches `budget` real tokens, or before
    the one after which some queue could no longer give its share, whichever is first.  Raises UsageError for a
    budget that the weights do not allow and for more sequences than there are; `feasibility` says it by name.
    """
    target = weights if isinstance(weights, WeightPath) else static(list(weights))
    if not 1 <= len(tokens) <= MOST_QUEUES or target.queues != len(tokens):
        raise UsageError(f"{target.queues} weights for {len(tokens)} queues; at most {MOST_QUEUES} queues, one each")
    rows = np.array([part.size for part in tokens], np.int64)
    for number, part in enumerate(tokens):
        if part.size and not 1 <= part.min() <= part.max() <= L:
            raise UsageError(f"queue {number} has a sequence of {part.min()} or {part.max()} tokens, not 1 … {L}")
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(rows)])
    sizes = np.concatenate([np.empty(0, np.int64), *tokens]).astype(np.int64, copy=False)
    done = np.zeros(rows.size, np.int64) if used is None else used.astype(np.int64)
    left = (np.floor(rows * epochs).astype(np.int64) - done).clip(0)
    left[target.weights.max(0) == 0] = 0
    total = int(left.sum())
    if sequences is not None and total < sequences:
        raise UsageError(
            f"{sequences:,} sequences are wanted, and the queues with a weight have {total:,}",
            "train on fewer tokens, or allow more epochs",
        )
    available = [_tokens_of(part, int(at), int(n)) for part, at, n in zip(tokens, done, left, strict=True)]
    limit = longest_budget(target, available) + 0.5  # tokens are whole numbers; half of one is rounding
    if limit * ROUNDING < budget < np.inf:
        ends = [target.reached(queue, count) if count else 0.0 for queue, count in enumerate(available)]
        ends = [end if target.weights[:, queue].max() > 0 else np.inf for queue, end in enumerate(ends)]
        raise UsageError(
            f"queue {int(np.argmin(ends))} has no more after {limit:,.0f} tokens in all, and {budget:,.0f} are wanted",
            "give it less weight, train on fewer tokens, or allow more epochs",
        )
    slack = L if rows.size == 1 else L * (1 - 1 / (2 * rows.size - 2))
    times = np.zeros((rows.size, 3))
    out = np.empty(total if sequences is None else sequences, np.uint16)
    knots = (target.at, target.weights, target.cumulative, target.slopes)
    steps = _schedule(sizes, starts, done, left, *knots, slack, budget, limit, times, out)
    return out[:steps]


def prefix_deviation(
    order: NDArray[np.uint16],
    weights: WeightPath,
    tokens: Sequence[Tokens],
    L: int,
    used: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """float64[K]: the farthest that each queue's real tokens are from their share after any prefix, in sequences.

    Between two of its turns a queue only falls behind, so looking just before and after each turn, and at the
    end, is looking at every prefix.
    """
    sizes = np.empty(order.size, np.int64)
    turns = [np.flatnonzero(order == queue) for queue in range(len(tokens))]
    for queue, mine in enumerate(turns):
        first = 0 if used is None else int(used[queue])
        if mine.size:
            sizes[mine] = tokens[queue][(first + np.arange(mine.size)) % tokens[queue].size]
    ends = np.cumsum(sizes).astype(np.float64)
    worst = np.zeros(len(tokens))
    for queue, mine in enumerate(turns):
        given = np.cumsum(sizes[mine])
        gaps = [
            weights.ideal(ends[mine], queue) - given,
            weights.ideal(ends[mine] - sizes[mine], queue) - (given - sizes[mine]),
            weights.ideal(ends[-1:], queue) - (given[-1] if given.size else 0),
        ]
        worst[queue] = max((float(np.abs(gap).max()) for gap in gaps if gap.size), default=0.0)
    return worst / L


def _tokens_of(sizes: Tokens, first: int, count: int) -> int:
    """Tokens of `count` sequences from number `first` on, going round."""
    if not sizes.size:
        return 0
    first %= sizes.size
    turns, rest = divmod(count, sizes.size)
    beyond = max(0, first + rest - sizes.size)
    return int(turns * sizes.sum() + sizes[first : first + rest].sum() + sizes[:beyond].sum())


def _schedule_loop(sizes, starts, done, left, at, weights, cumulative, slopes, slack, budget, limit, times, out):  # type: ignore[no-untyped-def]
    """Earliest deadline first among the queues that may give one; `times` holds (may from, must until, tokens given).

    A queue's times change only when it has had its turn (`fresh`), so one place computes them.
    """
    total = 0.0
    fresh = -1  # all of them, before the first turn
    for step in range(out.size + 1):
        for queue in range(left.size):
            if left[queue] <= 0 or (fresh >= 0 and queue != fresh):
                continue
            size = sizes[starts[queue] + done[queue] % (starts[queue + 1] - starts[queue])]
            for side in range(2):
                value = times[queue, 2] + (size - slack if side == 0 else slack)
                # The inverse of the integral of the weight, as in WeightPath.reached.
                when = 0.0
                if value > 0.0:
                    segment = 0
                    while segment + 1 < at.size and cumulative[segment + 1, queue] < value:
                        segment += 1
                    missing = value - cumulative[segment, queue]
                    begin = weights[segment, queue]
                    root = begin + np.sqrt(max(0.0, begin * begin + 2.0 * slopes[segment, queue] * missing))
                    when = at[segment] + 2.0 * missing / root if root > 0.0 else np.inf
                times[queue, side] = when - size if side == 0 else when
        if step == out.size or total >= budget:
            return step
        best = -1
        soonest = -1
        for queue in range(left.size):
            if left[queue] <= 0:
                continue
            if soonest < 0 or times[queue, 0] < times[soonest, 0]:
                soonest = queue
            if times[queue, 0] <= total and (best < 0 or times[queue, 1] < times[best, 1]):
                best = queue
        if best < 0:  # by rounding only
            best = soonest
        size = sizes[starts[best] + done[best] % (starts[best + 1] - starts[best])]
        if total + size > limit:  # a queue could not keep up with its share any more
            return step
        out[step] = best
        total += size
        times[best, 2] += size
        done[best] += 1
        left[best] -= 1
        fresh = best
    return out.size


_schedule = cached_kernel(_schedule_loop)
