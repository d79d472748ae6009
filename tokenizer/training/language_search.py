"""The automatic language weights: lift whatever language pays most for sharing the vocabulary, while it helps.

regret of a language = its development tokens with the shared vocabulary / with a vocabulary of 40,000 trained
on that language alone.  Starting from temperature 0.5, each round multiplies the shares of the languages above a
ceiling, which comes down from the worst regret to the target: so the worst are served first while there is
something to spend.  One-sided: no share is lowered but by renormalising, because evening out both ways takes from
efficient languages (reference §6b: Chinese lost 25 %).  A language whose regret fell by less than 0.7 % while its
share grew by a quarter is frozen, or a tiny one would swallow the mixture.  The price is bounded: neither the
training mix nor its largest language may grow by more than 0.5 % in tokens against the start.  A language with
too little development text to tell keeps its starting share, a frozen one the share that it has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from curation.pipeline.errors import UsageError
from tokenizer.training.languages import LanguageTable, check_names, shares_of, temperature, weights_for
from tokenizer.training.train import train

CEILING = 0.75  # a round aims at lowering the worst regret's distance from 1 to this part
# factor of a round: (regret / ceiling)^8 · 1.05, at most 3; a regret falls as about the share^-0.05 to share^-0.15
EXPONENT, EXTRA, MOST_FACTOR = 8.0, 1.05, 3.0
HEADROOM = 0.9  # of the allowed loss is used: it is measured on development text, and holds for other text
RAISED = 1.25  # a share that rose by less than this has not shown yet whether it helps: small regrets are noisy
LEAST_STRENGTH = 0.2  # steps are halved after one that costs too much; below this it stops


@dataclass(frozen=True)
class SearchOptions:
    """`most_loss`: how much longer the training mix, and its largest language, may get in tokens against the start.
    `saturation`: fall of a regret below which a language whose share rose by a quarter is frozen.
    `least_dev_bytes`: languages with less development text are not driven; a regret compares tokens of the same
    text, so little of it is enough."""

    vocab_size: int = 200_000
    reference_size: int = 40_000
    alpha: float = 0.5
    target_regret: float = 1.06
    most_loss: float = 0.005
    saturation: float = 0.007
    most_rounds: int = 12
    least_dev_bytes: int = 5_000


@dataclass(frozen=True)
class Round:
    """One training: the shares it had, the regret of each driven language and what the mix lost."""

    shares: dict[str, float]
    regret: dict[str, float]
    mix_loss: float  # relative growth of the mix in tokens against round 0
    largest_loss: float  # the same of the mix's largest language
    accepted: bool  # both losses within the limit
    raised: tuple[str, ...]  # what was raised to get here
    frozen: tuple[str, ...]  # what no longer is, after this round

    @property
    def worst(self) -> float:
        return max(self.regret.values(), default=0.0)


@dataclass(frozen=True)
class SearchResult:
    """`shares` of the weighted text, `weights` for the counts, the rounds and why the search ended."""

    shares: dict[str, float]
    weights: dict[str, float]
    rounds: tuple[Round, ...]
    best: int  # the round that was chosen
    stopped: str
    not_driven: tuple[str, ...]  # languages with too little development text


def search_weights(
    text: LanguageTable,
    dev: LanguageTable,
    options: SearchOptions | None = None,
    *,
    mix: Mapping[str, float] | None = None,
    on_round: Callable[[int, Round], None] | None = None,
) -> SearchResult:
    """Weights for `text` (training counts) by the development counts `dev`, from other pages than `text`.

    mix: share of each language in the text that the model will read; the bytes of `text` where not given.
    A pure function of its arguments.  Raises UsageError where no language has enough development text.
    """
    options = options or SearchOptions()
    amounts = text.bytes
    if mix is not None:
        check_names(mix, text.languages, "share of the mix")
    shares = shares_of(mix if mix is not None else amounts)
    dev_bytes = {name: size for name, size in dev.bytes.items() if amounts.get(name)}
    driven = [name for name, size in dev_bytes.items() if size >= options.least_dev_bytes]
    if not driven:
        raise UsageError(
            f"no language has {options.least_dev_bytes:,} bytes of development text",
            "hold out more pages for development, or set the temperature by hand",
        )
    alone = {name: dev.tokens_of(name, train(text.counts_of(name), options.reference_size).merges) for name in driven}

    def measure(candidate: Mapping[str, float]) -> dict[str, int]:
        return dev.tokens(train(text.weighted(weights_for(candidate, amounts)), options.vocab_size).merges)

    rounds, best, stopped = search_shares(measure, alone, shares, dev_bytes, options, on_round)
    chosen = rounds[best].shares
    not_driven = tuple(sorted(set(amounts) - set(driven)))
    return SearchResult(chosen, weights_for(chosen, amounts), rounds, best, stopped, not_driven)


def search_shares(
    measure: Callable[[Mapping[str, float]], Mapping[str, int]],
    alone: Mapping[str, int],
    mix: Mapping[str, float],
    dev_bytes: Mapping[str, int],
    options: SearchOptions,
    on_round: Callable[[int, Round], None] | None = None,
) -> tuple[tuple[Round, ...], int, str]:
    """The search itself: (rounds, index of the best accepted one, why it ended).

    measure(shares) → development tokens by language after training with these shares; alone: the same with
    each language's own reference vocabulary, for the driven languages.
    """
    start = shares = temperature(mix, options.alpha)
    largest = max(sorted(dev_bytes), key=lambda name: mix[name])
    rounds: list[Round] = []
    frozen: set[str] = set()
    raised: tuple[str, ...] = ()
    strength, least_ceiling = 1.0, options.target_regret
    at = 0  # the accepted round that the next step starts from
    judged: dict[str, tuple[float, float]] = {}  # share and regret where a language was last seen to gain
    stopped = f"{options.most_rounds} rounds"
    while len(rounds) < options.most_rounds:
        tokens = measure(shares)
        cost = math.fsum(mix[name] * tokens[name] / size for name, size in dev_bytes.items() if size)
        if not rounds:
            start_cost, start_largest = cost, tokens[largest]
        losses = cost / start_cost - 1, tokens[largest] / start_largest - 1
        regret = {name: tokens[name] / own for name, own in alone.items()}
        accepted = max(losses) <= HEADROOM * options.most_loss
        for name in raised or regret:
            share, before = judged.setdefault(name, (shares[name], regret[name]))
            if shares[name] >= RAISED * share:
                judged[name] = shares[name], regret[name]
                if regret[name] > before * (1 - options.saturation):
                    frozen.add(name)
        rounds.append(Round(shares, regret, *losses, accepted, raised, tuple(sorted(frozen))))
        if on_round:
            on_round(len(rounds) - 1, rounds[-1])
        if accepted:
            at = len(rounds) - 1
        else:  # too dear: go back, take a shorter step and only with the languages that are worse off
            strength, least_ceiling = strength / 2, (least_ceiling + rounds[at].worst) / 2
            if strength < LEAST_STRENGTH:
                stopped = f"lifting languages further would cost more than {options.most_loss:.1%}"
                break
        movable = {name: value for name, value in rounds[at].regret.items() if name not in frozen}
        ceiling = max(least_ceiling, 1 + CEILING * (max(movable.values(), default=1.0) - 1))
        factors = raise_factors(movable, ceiling, strength)
        if not factors:
            stopped = "no language is above the target regret" + (" that more text would help" if frozen else "")
            if least_ceiling > options.target_regret:
                stopped = f"lifting more languages would cost more than {options.most_loss:.1%}"
            break
        raised = tuple(sorted(factors))
        kept = {name: start[name] for name in start if name not in alone}
        kept |= {name: rounds[at].shares[name] for name in frozen}
        shares = _raise(rounds[at].shares, factors, kept)
    best = min((i for i, one in enumerate(rounds) if one.accepted), key=lambda i: (rounds[i].worst, i))
    return tuple(rounds), best, stopped


def _raise(shares: Mapping[str, float], factors: Mapping[str, float], kept: Mapping[str, float]) -> dict[str, float]:
    """Shares times factors; the others are renormalised to what those that keep their share leave."""
    driven = shares_of({name: share * factors.get(name, 1.0) for name, share in shares.items() if name not in kept})
    free = 1 - math.fsum(kept.values())
    return {name: kept[name] if name in kept else driven[name] * free for name in shares}


def raise_factors(regret: Mapping[str, float], ceiling: float, strength: float) -> dict[str, float]:
    """Factor (> 1) of each language above the ceiling; `strength` in (0, 1] shortens the step."""
    return {
        name: min((value / ceiling) ** EXPONENT * EXTRA, MOST_FACTOR) ** strength
        for name, value in regret.items()
        if value > ceiling
    }
