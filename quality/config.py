"""The `quality:` block of a run's YAML."""

from __future__ import annotations

from pydantic import Field

from curation.pipeline.config import Frozen
from quality.tagging.chunks import CHARACTERS, MOST


class ChunkConfig(Frozen):
    """How long documents are cut before they are scored."""

    characters: int = Field(CHARACTERS, ge=200, le=100_000, description="of a piece, about")
    most: int = Field(MOST, ge=1, le=4096, description="pieces of one document that are scored")


class GateConfig(Frozen):
    """Conditions that stop the run; none by default."""

    max_between_sources: float | None = Field(
        None, ge=0, le=1, description="largest share of a score's variance that may lie between the sources"
    )
    min_source_sd: float | None = Field(
        None, ge=0, description="smallest standard deviation of a score within a source of 50 documents or more"
    )
    min_within_category: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="smallest within-category Spearman on held-out labels that the model's card tells",
    )


class QualityConfig(Frozen):
    """Tags of knowledge depth, practicality and category, and where each document stands."""

    model: str = Field("default", description="the shipped tagger, the folder of a model, or <labeler>:<argument>")
    r: float = Field(
        0.5, ge=0, le=1, description="how far mix_score compares within the category: 0 not at all, 1 only"
    )
    holdout: float = Field(0.02, ge=0, le=1, description="share of documents whose split is holdout")
    chunk: ChunkConfig = ChunkConfig()
    gates: GateConfig = GateConfig()
