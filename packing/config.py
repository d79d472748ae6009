"""The `pack:` section of a run's YAML."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from curation.pipeline.config import Count, Frozen, count_of
from packing.order.stages import CLASS_BOUNDS, CLASSES, Stage, Tail
from packing.plan.buckets import SMALLEST
from packing.write.rules import SHARD_BYTES, Rules, bucket_lengths

Share = Annotated[float, Field(ge=0)]
Length = Annotated[int, BeforeValidator(count_of), Field(ge=2, le=1 << 24)]
MOST_SETS = 4  # of rows of one length, each in a folder of its own


def _text_keys(value: Any) -> Any:
    """{256: 0.5} → {"256": 0.5}: buckets are named by a number."""
    return {str(key): one for key, one in value.items()} if isinstance(value, dict) else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Lengths = Annotated[dict[str, Share], BeforeValidator(_text_keys)]


class TailConfig(Frozen):
    """One more queue that the last part of a stage mixes in."""

    queue: str = Field(min_length=1, description="for example long-context questions and answers")
    share: float = Field(0.1, gt=0, lt=1, description="of the tokens there; the others keep their proportions")
    fraction: float = Field(0.2, gt=0, le=1, description="of the stage, at its end")


class StageConfig(Frozen):
    """A stage of training over the packed queues; it goes on where the stage before ended."""

    name: str = Field(min_length=1)
    sequence_length: Length | None = Field(None, description="where rows have another length than `pack` says")
    tokens: Count | None = Field(None, description="of the stage, e.g. 20M; default: all that is left")
    weights: dict[str, Share] | None = Field(None, description="shares of tokens by queue; default: as there are")
    end_weights: dict[str, Share] | None = Field(None, description="at its end; in between they move linearly")
    transition: Count | None = Field(None, description="tokens over which weights come from the stage before")
    lengths: Lengths | None = Field(
        None, description="shares of short, medium and long documents, or of the buckets of `method: buckets`"
    )
    tail: TailConfig | None = Field(None, description="one more queue in the last part")
    rope_base: float | None = Field(None, gt=0, description="a hint for the trainer, in the manifest")

    def stage(self) -> Stage:
        """What the schedule needs."""
        tail = None if self.tail is None else Tail(self.tail.queue, self.tail.share, self.tail.fraction)
        return Stage(
            self.name, self.tokens, self.weights, self.end_weights, self.transition or 0, self.lengths, tail,
            self.rope_base,
        )  # fmt: skip


class PackConfig(Frozen):
    """Documents cut, packed and interleaved into rows of one length."""

    sequence_length: int = Field(2048, ge=2, le=1 << 24, description="tokens of a row")
    method: Literal["windowed", "bfd", "concat", "crop", "buckets"] = Field(
        "windowed",
        description="windowed keeps the order of documents; bfd packs a queue whole and shuffles it; concat and crop "
        "are there for comparison; buckets: rows of pieces of one length, a power of two",
    )
    window: int = Field(10_000, ge=1, description="fragments that are packed together")
    long: Literal["split", "split_balanced", "truncate", "drop"] = Field(
        "split", description="documents that are longer than a row"
    )
    min_fragment: int = Field(32, ge=1, description="shortest piece that a cut leaves")
    smallest_bucket: Length = Field(SMALLEST, description="shortest pieces of `method: buckets`; less is left out")
    length_bounds: Annotated[tuple[Length, Length], BeforeValidator(_as_tuple)] = Field(
        CLASS_BOUNDS, description="tokens from which a document is medium, and above which it is long"
    )
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
        if self.mix and self.method in ("bfd", "crop"):
            raise ValueError(f"{self.method} does not keep the mix table's order; use windowed")
        if self.mix and self.queues != "source":
            raise ValueError("the mix table has queues of its own; leave out `queues`")
        return self

    @model_validator(mode="after")
    def _fitting_method(self) -> PackConfig:
        if self.method == "crop" and self.long not in ("truncate", "drop"):
            raise ValueError("crop throws away what does not fit: say `long: truncate` (or drop)")
        if self.method in ("concat", "buckets") and self.long != "split":
            raise ValueError(f"{self.method} cuts documents in its own way: leave out `long`")
        if self.method in ("concat", "crop") and self.bos != "none":
            raise ValueError(f"{self.method} works on documents without a begin-of-document id: leave out `bos`")
        if self.method == "buckets" and self.bos == "fragment":
            raise ValueError("buckets have room for an id at the begin of a document only: `bos: doc`")
        if self.method == "buckets":
            for length in {length for length, _ in self._by_length()}:
                if length & (length - 1) or self.smallest_bucket & (self.smallest_bucket - 1):
                    raise ValueError("buckets need powers of two: `sequence_length` and `smallest_bucket`")
                if self.smallest_bucket > length:
                    raise ValueError(f"`smallest_bucket` is longer than a row of {length} tokens")
        if not self.length_bounds[0] <= self.length_bounds[1]:
            raise ValueError("`length_bounds` must rise")
        return self

    @model_validator(mode="after")
    def _fitting_stages(self) -> PackConfig:
        stages = self.stages or []
        if len({one.name for one in stages}) < len(stages):
            raise ValueError("two stages have one name")
        if stages and stages[0].transition:
            raise ValueError(f"stage {stages[0].name}: nothing comes before it, so there is no transition")
        sets = self._by_length()
        if len(sets) > MOST_SETS:
            raise ValueError(f"{len(sets)} changes of sequence_length; rows of {MOST_SETS} lengths are the most")
        if len(sets) > 1 and self.method == "bfd":
            raise ValueError("stages of several lengths go on at the order of documents, which bfd does not keep")
        for length, some in sets:
            known: tuple[str, ...] = CLASSES
            if self.method == "buckets":
                known = tuple(str(one) for one in bucket_lengths(length, self.smallest_bucket))
            for one in some:
                if one.lengths is not None and not sum(one.lengths.values()) > 0:
                    raise ValueError(f"stage {one.name}: lengths: one share must be more than 0")
                for kind in one.lengths or {}:
                    if kind not in known:
                        raise ValueError(f"stage {one.name}: no documents are called {kind!r}: {', '.join(known)}")
        return self

    def _by_length(self) -> list[tuple[int, list[Stage]]]:
        """Stages one after another with rows of one length."""
        if self.stages is None:
            return [(self.sequence_length, [Stage("stage0", self.tokens, self.weights)])]
        made: list[tuple[int, list[Stage]]] = []
        for one in self.stages:
            length = one.sequence_length or self.sequence_length
            if not made or made[-1][0] != length:
                made.append((length, []))
            made[-1][1].append(one.stage())
        return made

    def sets(self, seed: int) -> list[Rules]:
        """What the writer needs: rules of each set of rows, in the order in which they are trained on."""
        made: list[Rules] = []
        before: Stage | None = None
        for length, stages in self._by_length():
            divided = self.method != "buckets" and any(one.lengths is not None for one in stages)
            made.append(
                Rules(
                    length,
                    seed,
                    self.method,
                    self.window,
                    self.long,
                    self.min_fragment,
                    self.bos,
                    tuple(stages),
                    self.shard_mb << 20,
                    self.smallest_bucket,
                    self.length_bounds if divided else None,
                    before,
                )
            )
            before = stages[-1]
        return made
