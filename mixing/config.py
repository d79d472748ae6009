"""The `mix:` section of a run's YAML, and what the planner and the sampler make of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from curation.pipeline.config import Count, Frozen
from curation.pipeline.errors import UsageError
from mixing.inventory.cells import KEYS
from mixing.inventory.columns import LENGTH_EDGES, Split
from mixing.inventory.natural import Duplicates
from mixing.plan.config import FLOOR, HIGH_CAP, KL, LOW_CAP, OnDeficit, PlanConfig, Preset, Unit, caps_between
from mixing.schedule.config import StagesConfig, stages_of

Share = Annotated[float, Field(ge=0, le=1)]
Epochs = Annotated[float, Field(ge=0)]
Queues = Literal["source", "category", "pool"]
NO_CAPS = (float("inf"),) * 5


class CapsConfig(Frozen):
    """Epochs of a document at most, by its quality bucket."""

    low: Epochs | None = Field(None, description="buckets 0 and 1, default 2; bucket 2 gets the middle")
    high: Epochs | None = Field(None, description="buckets 3 and 4, default 4")
    buckets: list[Epochs] | None = Field(None, min_length=5, max_length=5, description="one each, in place of both")
    untagged: Epochs | None = Field(None, description="documents without a bucket; default: the lowest")

    @model_validator(mode="after")
    def _one_way(self) -> CapsConfig:
        if self.buckets is not None and (self.low is not None or self.high is not None):
            raise ValueError("give either `buckets`, or `low` and `high`")
        return self

    def by_bucket(self) -> tuple[float, ...]:
        """Caps of buckets 0 to 4."""
        if self.buckets is not None:
            return tuple(self.buckets)
        return caps_between(LOW_CAP if self.low is None else self.low, HIGH_CAP if self.high is None else self.high)


class AblationConfig(Frozen):
    """A smaller set for experiments, in `mix/ablation/`."""

    tokens: Count | None = Field(None, description="of the set, e.g. 1M")
    share: float | None = Field(None, gt=0, lt=1, description="of the mix, in place of tokens")
    matched: bool = Field(
        True, description="documents with all their copies, so that it repeats as the mix does; false: occurrences"
    )

    @model_validator(mode="after")
    def _one_size(self) -> AblationConfig:
        if (self.tokens is None) == (self.share is None):
            raise ValueError("give one of `tokens` and `share`")
        return self

    def budget(self, total: int) -> float:
        """Tokens, of a mix of `total` tokens."""
        return float(self.tokens) if self.tokens is not None else float(self.share or 0) * total


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class MixConfig(Frozen):
    """How many tokens of each cell of documents training takes."""

    budget: Count = Field(description="tokens of the mix, e.g. 20M; every document counts one more for its end")
    preset: Preset = Field(
        "tilted",
        description="tilted: towards quality; proportional: as there is; temperature, unimax: flatter; fixed, "
        "regression: by `weights`",
    )
    kl: float = Field(KL, ge=0, description="tilted: how far from the base, in nats")
    tau: float | None = Field(None, ge=0, le=10, description="base = tokens^tau; default 1 (temperature 0.5, unimax 0)")
    over: Unit = Field("cell", description="between what tau flattens")
    caps: CapsConfig | Literal["none"] | None = Field(
        None, description="epochs of a document at most; default {low: 2, high: 4}, none under soft_caps"
    )
    soft_caps: bool = Field(False, description="repeats lose value by the law of data-constrained scaling")
    floors: Share | dict[str, Share] = Field(
        FLOOR, description="of a category's base share that stays, or {category: share of the budget}"
    )
    ceilings: dict[str, Share] = Field({}, description="{source: largest share of the budget}")
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field({}, description="shares of the preset fixed")
    weights_of: Unit = Field("source", description="what `weights` names")
    duplicates: Duplicates = Field("none", description="copies by how often a document stood in the crawl")
    untagged: Literal["error", "keep"] = Field("keep", description="documents without quality tags")
    on_deficit: OnDeficit = Field("error", description="where the caps do not allow the budget")
    cells: list[str] = Field(["source", "category", "bucket"], description="what splits documents into cells")
    length_edges: Annotated[tuple[int, int], BeforeValidator(_as_tuple)] = Field(
        LENGTH_EDGES, description="tokens from which a document is medium and long, for cells by length"
    )
    queues: Queues = Field("source", description="what packing interleaves")
    ablation: AblationConfig | None = Field(None, description="a smaller set that repeats as the mix does")
    stages: StagesConfig | None = Field(
        None, description="stages of training, e.g. [{preset: long-context}]: what they need is told in plan.json"
    )

    @field_validator("cells")
    @classmethod
    def _with_sources(cls, cells: list[str]) -> list[str]:
        for key in cells:
            if key not in KEYS:
                raise ValueError(f"no cells by {key!r}; known: {', '.join(KEYS)}")
        if len(set(cells)) < len(cells):
            raise ValueError("a key stands in it twice")
        if "source" not in cells:
            raise ValueError("`source` must be among them: every occurrence names its source")
        return cells

    @model_validator(mode="after")
    def _consistent(self) -> MixConfig:
        if self.queues == "category" and "category" not in self.cells:
            raise ValueError("queues by category need cells by category")
        if self.stages is not None and self.queues != "source":
            raise ValueError("stages name sources: leave out `queues`")
        if self.ablation and self.ablation.tokens is not None and self.ablation.tokens >= self.budget:
            raise ValueError("the ablation has as many tokens as the mix")
        try:
            self.plan_config()
            self.split()
            if self.stages is not None:
                stages_of(self.stages)
        except UsageError as error:
            raise ValueError(str(error).replace("\n  → ", ": ")) from None
        return self

    def plan_config(self) -> PlanConfig:
        """What the planner needs."""
        caps: tuple[float, ...] | None = NO_CAPS if self.caps == "none" else None
        untagged = None
        if isinstance(self.caps, CapsConfig):
            caps, untagged = self.caps.by_bucket(), self.caps.untagged
        return PlanConfig(
            preset=self.preset, kl=self.kl, tau=self.tau, over=self.over, caps=caps, untagged_cap=untagged,
            floors=self.floors, ceilings=self.ceilings, weights=self.weights, weights_of=self.weights_of,
            on_deficit=self.on_deficit, soft_caps=self.soft_caps,
        )  # fmt: skip

    def split(self) -> Split:
        """How documents are cut into cells."""
        return Split(tuple(self.cells), self.length_edges)
