"""The `tokenizer:` section of a run's YAML."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from curation.pipeline.config import Frozen
from curation.pipeline.errors import UsageError
from tokenizer.vocabulary import DEFAULT_SPECIALS, check_specials

Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Thinning(Frozen):
    """One in `keep_one_in` of the words seen fewer than `below` times stays, and counts that many times."""

    below: int = Field(ge=2)
    keep_one_in: int = Field(ge=2)


class TrainConfig(Frozen):
    """Byte-level BPE trained on the run's kept documents."""

    vocab_size: int = Field(200_000, ge=256, description="bytes and merges; special tokens follow")
    pattern: str = Field("o200k", description="a preset's name or a regular expression")
    languages: Literal["auto", "text"] | Annotated[float, Field(ge=0, le=1)] | dict[str, Share] = Field(
        "auto",
        description="auto: lift those that pay most; text: as they occur; 0 … 1: temperature; or shares by language",
    )
    most_loss: float = Field(0.005, gt=0, le=1, description="auto: what the mix may pay, in tokens")
    quotas: dict[str, Share] = Field({}, description="least share of a language in the weighted text, e.g. {ka: 0.01}")
    special_tokens: list[str] = Field(list(DEFAULT_SPECIALS), description="after the merges; padded to 64 rows")
    clip: int | None = Field(10, ge=1, description="occurrences of a word that one document adds at most")
    longest_word: int | None = Field(None, ge=4, description="in bytes; longer ones are cut for training only")
    thin: Thinning | None = Field(None, description="words seen less often are thinned, for tables beyond memory")
    min_frequency: int = Field(0, ge=0, description="smallest count of a pair that is merged")
    max_token_length: int | None = Field(None, ge=2, description="longest token in bytes, inclusive")
    holdout: float = Field(0.02, ge=0, lt=0.5, description="share of documents held out for the evaluation")
    dev: float = Field(0.02, ge=0, lt=0.5, description="share of documents that the language weights are chosen on")

    @field_validator("special_tokens")
    @classmethod
    def _special(cls, names: list[str]) -> list[str]:
        try:
            check_specials(names)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return names

    @field_validator("pattern")
    @classmethod
    def _known(cls, text: str) -> str:
        from tokenizer.splitting.patterns import pattern_of

        try:
            pattern_of(text)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return text


class TokenizerConfig(Frozen):
    """A tokenizer that exists, or one to be trained; `token_count` of every document is written with it."""

    path: str | None = Field(None, description="a tokenizer directory or tokenizer.json")
    train: TrainConfig | None = None
    evaluate: bool = Field(True, description="evaluate it on the documents held out from training")

    @model_validator(mode="after")
    def _one(self) -> TokenizerConfig:
        if (self.path is None) == (self.train is None):
            raise ValueError("give either `path` of a tokenizer or `train`")
        return self
