"""The `decontaminate:` section's keys."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation.pipeline.config import Frozen


class ItemFields(Frozen):
    """Which field of an item's JSON object holds what; the defaults are those of lm-eval style files."""

    benchmark: str = Field("benchmark", description="name of the benchmark; without it the file's name")
    id: str = Field("id", description="name of the item; without it the line's number")
    question: str = Field("query", description="what is asked, with its passage if it has one")
    choices: str = Field("choices", description="list of possible answers")
    gold: str = Field("gold", description="place of the right one in `choices`, from 0")
    answer: str = Field("answer", description="the right answer as text (or a list of them), where there is no gold")


class DecontaminateConfig(Frozen):
    """Benchmark items are looked for in every document."""

    items: list[str] = Field(min_length=1, description="JSONL files (also .gz, .zst, …) of benchmark items; patterns")
    fields: ItemFields = ItemFields()
    ngram: int = Field(13, ge=5, le=100, description="words in a row that are a match, or …")
    bytes: int = Field(50, ge=30, le=1000, description="… as many bytes of the item in a row")
    containment: float = Field(0.35, ge=0, le=1, description="act where this share of the question or more was found")
    action: Literal["cut", "remove"] = Field("cut", description="cut the matching span, or remove the document")
    remove_above: float = Field(0.5, ge=0, le=1, description="remove where more than this share would be cut")
