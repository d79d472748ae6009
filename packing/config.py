"""The `pack:` section of a run's YAML."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from curation.pipeline.config import Frozen
from packing.write.rules import SHARD_BYTES, Rules, StageRules

_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGBT]?)")
_SCALE = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def count_of(value: Any) -> Any:
    """20M → 20,000,000; anything else is left to the validation after."""
    if isinstance(value, str) and (found := _COUNT.fullmatch(value.strip())):
        return round(float(found[1]) * _SCALE[found[2]])
    return value


Count = Annotated[int, BeforeValidator(count_of, json_schema_input_type=int | str), Field(ge=1)]
Share = Annotated[float, Field(ge=0)]


class StageConfig(Frozen):
    """A stage of training over the packed queues; it goes on where the stage before ended."""

    name: str = Field(min_length=1)
    tokens: Count | None = Field(None, description="of the stage, e.g. 20M; default: all that is left")
    weights: dict[str, Share] | None = Field(None, description="shares of tokens by queue; default: as there are")
    end_weights: dict[str, Share] | None = Field(None, description="at its end; in between they move linearly")


class PackConfig(Frozen):
    """Documents cut, packed and interleaved into rows of one length."""

    sequence_length: int = Field(2048, ge=2, le=1 << 24, description="tokens of a row")
    method: Literal["windowed", "bfd"] = Field(
        "windowed", description="windowed keeps the order of documents; bfd packs a queue whole and shuffles it"
    )
    window: int = Field(10_000, ge=1, description="fragments that are packed together")
    long: Literal["split", "split_balanced", "truncate", "drop"] = Field(
        "split", description="documents that are longer than a row"
    )
    min_fragment: int = Field(32, ge=1, description="shortest piece that a cut leaves")
    bos: Literal["none", "doc", "fragment"] = Field("none", description="where a begin-of-document id stands")
    eos_token: str | None = Field(None, description="special token after each document; default: the usual names")
    pad_token: str | None = Field(None, description="special token that fills rows")
    bos_token: str | None = Field(None, description="special token of `bos`")
    queues: Literal["source", "pool"] | dict[str, list[str]] = Field(
        "source", description="what is packed and interleaved: each source, all together, or {name: [sources]}"
    )
    mix: str | None = Field(None, description="folder of a mix table; default: every document once")
    weights: dict[str, Share] | None = Field(None, description="shares of tokens by queue; default: as there are")
    tokens: Count | None = Field(None, description="tokens to schedule with these weights, e.g. 20M")
    stages: list[StageConfig] | None = Field(None, description="in place of weights and tokens")
    shard_mb: int = Field(SHARD_BYTES >> 20, ge=1, le=1 << 20, description="size of a shard's rows")
    export: list[str] = Field([], description="formats of other trainers: megatron, mds, litdata, olmo, …")

    @field_validator("export")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        from packing.export.registry import FORMATS

        for name in names:
            if name not in FORMATS:
                raise ValueError(f"no format is called {name!r}; known: {', '.join(FORMATS)}")
        if len(set(names)) < len(names):
            raise ValueError("a format stands in it twice")
        return names

    @field_validator("queues")
    @classmethod
    def _disjoint(cls, queues: str | dict[str, list[str]]) -> str | dict[str, list[str]]:
        members = [] if isinstance(queues, str) else [one for some in queues.values() for one in some]
        if len(set(members)) < len(members):
            raise ValueError("a source stands in two queues")
        return queues

    @model_validator(mode="after")
    def _consistent(self) -> PackConfig:
        if self.stages is not None and (self.weights or self.tokens):
            raise ValueError("give either `stages`, or `weights` and `tokens`")
        if self.stages is not None and not self.stages:
            raise ValueError("`stages` is empty")
        if self.mix and self.method == "bfd":
            raise ValueError("bfd does not keep the mix table's order; use windowed")
        if self.mix and self.queues != "source":
            raise ValueError("the mix table has queues of its own; leave out `queues`")
        return self

    def rules(self, seed: int) -> Rules:
        """What the writer needs."""
        if self.stages is None:
            stages: tuple[StageRules, ...] = (StageRules("stage0", self.tokens, self.weights),)
        else:
            stages = tuple(StageRules(one.name, one.tokens, one.weights, one.end_weights) for one in self.stages)
        return Rules(
            self.sequence_length,
            seed,
            self.method,
            self.window,
            self.long,
            self.min_fragment,
            self.bos,
            stages,
            self.shard_mb << 20,
        )
