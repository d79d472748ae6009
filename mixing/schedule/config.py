"""Stages in the `mix:` section: the keys of `pack.stages`, or one line for the long-context stages of Table 6."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from curation.pipeline.config import Count, Frozen, count_of
from mixing.schedule.stages import Stage, Tail, check_stages
from mixing.schedule.table6 import TRANSITION, long_context

Shares = dict[str, Annotated[float, Field(ge=0)]]
Length = Annotated[int, BeforeValidator(count_of, json_schema_input_type=int | str), Field(ge=2, le=1 << 24)]


class TailConfig(Frozen):
    """One more queue that the last part of a stage mixes in."""

    queue: str = Field(min_length=1, description="for example long-context questions and answers")
    share: float = Field(0.1, gt=0, lt=1, description="of the tokens there; the others keep their proportions")
    fraction: float = Field(0.2, gt=0, le=1, description="of the stage, at its end")


class StageConfig(Frozen):
    """A stage of training."""

    name: str = Field(min_length=1)
    tokens: Count = Field(description="of the stage, e.g. 20M")
    sequence_length: Length | None = Field(None, description="tokens of its rows")
    weights: Shares | None = Field(None, description="shares of sources; default: as there are tokens")
    end_weights: Shares | None = Field(None, description="at its end; in between they move linearly")
    transition: Annotated[int, BeforeValidator(count_of), Field(ge=0)] = Field(
        0, description="tokens over which the weights come from the stage before"
    )
    lengths: Shares | None = Field(None, description="shares of short, medium and long documents")
    tail: TailConfig | None = Field(None, description="one more queue in the last part")
    rope_base: float | None = Field(None, gt=0, description="a hint for the trainer")

    def stage(self) -> Stage:
        """Raises UsageError as `Stage` does."""
        tail = None if self.tail is None else Tail(self.tail.queue, self.tail.share, self.tail.fraction)
        return Stage(
            self.name, self.tokens, self.sequence_length, self.weights, self.end_weights, self.transition,
            self.lengths, tail, self.rope_base,
        )  # fmt: skip


class LongContextConfig(Frozen):
    """MiniMax-01's stages of 128K, 512K and 1M tokens, after the stages given before it."""

    preset: Literal["long-context"]
    scale: float = Field(1.0, gt=0, description="of the paper's 300B, 32B and 26B tokens")
    weights: Shares | None = Field(None, description="shares of sources; default: as there are tokens")
    qa: str | None = Field(None, description="queue of long questions and answers, 10 % of the last fifth")
    transition: float = Field(TRANSITION, ge=0, le=0.8, description="of each stage, from the weights before")


StagesConfig = list[LongContextConfig | StageConfig]


def stages_of(config: StagesConfig) -> list[Stage]:
    """All stages in order.  Raises UsageError as `Stage` and `check_stages` do."""
    made: list[Stage] = []
    for one in config:
        if isinstance(one, StageConfig):
            made.append(one.stage())
        else:
            made += long_context(one.scale, one.weights, one.qa, follows=bool(made), transition=one.transition)
    check_stages(made)
    return made
