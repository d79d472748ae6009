"""A stage of training, as the mix plans it and as packing takes it.

A stage runs over sources' documents of three length classes.  Without `lengths` a source gives its documents as
they come; with it, each class has its share of the tokens and inside it the sources keep their weights.  Weights
move linearly from those of the stage before over `transition` tokens, then to `end_weights` over the rest
(MiniMax-01 §4.2: linear interpolation of source weights).  The tail mixes one more queue into the last part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from mixing.inventory.columns import LENGTHS


@dataclass(frozen=True)
class Tail:
    """In the last `fraction` of a stage, `queue` gets `share` of the tokens and the others what is left."""

    queue: str
    share: float = 0.1
    fraction: float = 0.2


@dataclass(frozen=True)
class Stage:
    """tokens: of the stage; sequence_length: of its rows (None: packing's); weights: shares of sources at its begin
    (after the transition; None: as there are tokens), end_weights: at its end (None: the same); lengths: shares of
    short, medium and long documents (None: as they come); rope_base: a hint for the trainer.
    """

    name: str
    tokens: int
    sequence_length: int | None = None
    weights: Mapping[str, float] | None = None
    end_weights: Mapping[str, float] | None = None
    transition: int = 0
    lengths: Mapping[str, float] | None = None
    tail: Tail | None = None
    rope_base: float | None = None

    def __post_init__(self) -> None:
        """Raises UsageError: shares that are no numbers of at least 0 or all 0, unknown lengths, a tail outside."""
        if self.tokens <= 0 or not 0 <= self.transition <= self.tokens:
            raise UsageError(
                f"stage {self.name}: {self.tokens:,} tokens, {self.transition:,} of them transition",
                "tokens above 0, and a transition inside them",
            )
        for what, shares in (("weights", self.weights), ("end_weights", self.end_weights), ("lengths", self.lengths)):
            if shares is None:
                continue
            if not all(math.isfinite(one) and one >= 0 for one in shares.values()) or not sum(shares.values()) > 0:
                raise UsageError(f"stage {self.name}: {what}", "shares of at least 0, and one of them more")
        for kind in self.lengths or {}:
            if kind not in LENGTHS:
                raise UsageError(f"stage {self.name}: no documents are called {kind!r}", suggest(kind, list(LENGTHS)))
        if self.tail and not (0 < self.tail.share < 1 and 0 < self.tail.fraction <= 1):
            raise UsageError(f"stage {self.name}: its tail has {self.tail.share!r} of {self.tail.fraction!r}")
        if self.tail and self.tokens * (1 - self.tail.fraction) < self.transition:
            raise UsageError(f"stage {self.name}: its tail begins inside its transition", "shorten one of them")

    @property
    def last_weights(self) -> Mapping[str, float] | None:
        """Weights of sources at its end, its tail aside."""
        return self.weights if self.end_weights is None else self.end_weights


def check_stages(stages: Sequence[Stage]) -> None:
    """Raises UsageError: none, two of one name, or a transition with nothing before it."""
    if not stages:
        raise UsageError("mix.stages: there is none")
    names = [stage.name for stage in stages]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"mix.stages: two stages are called {twice[0]!r}")
    if stages[0].transition:
        raise UsageError(f"stage {names[0]}: nothing comes before it", "leave out its transition")


def to_json(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """In the words of packing's `pack.stages`; what is not given is left out."""
    return [{key: value for key, value in asdict(stage).items() if value not in (None, 0)} for stage in stages]
