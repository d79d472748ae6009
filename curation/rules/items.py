"""The items of the `clean:` list that ship with curate: `rules` and `language`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pydantic import Field, model_validator

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from curation.pipeline.task import Json
from curation.rules import language
from curation.rules.clean import CleanItem, Columns, Limited, Verdict
from curation.rules.thresholds import RemoveIf, RuleSet, Threshold
from curation.text.statistics import STATISTICS, STATISTICS_VERSION, measure


class RulesConfig(Limited):
    """Published threshold sets by name, with the user's own values."""

    presets: list[str] = Field(description="applied in this order, e.g. gopher-repetition, gopher-quality")
    override: dict[str, float] = Field({}, description="e.g. gopher-quality.min_words: 30")

    @model_validator(mode="after")
    def _known(self) -> Self:
        RuleSet.resolve(self.presets, self.override)
        return self


def _resolved(config: RulesConfig) -> Json:
    return [
        {"preset": t.preset, "name": t.name, "numerator": t.numerator, "denominator": t.denominator}
        | {"remove_if": t.remove_if.value, "value": t.value}
        for t in RuleSet.resolve(config.presets, config.override).thresholds
    ]


def _rule_set(resolved: Json) -> RuleSet:
    return RuleSet(
        tuple(Threshold(**{**one, "remove_if": RemoveIf(one["remove_if"])}, argument="", source="") for one in resolved)
    )


def _measure_statistics(text: pa.LargeStringArray, measured: Json) -> Columns:
    return {"stats": measure(text)}


def _decide_rules(columns: Columns, resolved: Json) -> Verdict:
    return _rule_set(resolved).decide(columns["stats"])


RULES = CleanItem(
    key="rules",
    version=1,
    config=RulesConfig,
    decided=_resolved,
    decide=_decide_rules,
    measured=lambda config: {},
    measure=_measure_statistics,
    columns=lambda measured: [pa.field("stats", STATISTICS)],
    versions=lambda measured: {"statistics": str(STATISTICS_VERSION)},
    thresholds=lambda resolved: [
        {"key": f"{one['preset']}.{one['name']}"}
        | {k: one[k] for k in ("numerator", "denominator", "remove_if", "value")}
        for one in resolved
    ],
)


class LanguageItemConfig(Limited, language.LanguageConfig):
    """Keep documents of some languages; fastText language identification, offline."""


def _located(config: LanguageItemConfig, base: Path) -> LanguageItemConfig:
    """A model path is relative to the config file; the model is read, so a bad one is refused before the run."""
    if config.model is None:
        return config
    path = str(base / config.model)
    try:
        known = [label.removeprefix(language.PREFIX) for label in language.load_model(path).labels]
    except (OSError, ValueError) as error:
        raise UsageError(f"clean: language: model: {error}") from None
    for code in config.keep or []:
        if code not in known:
            raise UsageError(f"clean: language: keep: the model knows no language {code!r}", suggest(code, known))
    return config.model_copy(update={"model": path})


def _identify(text: pa.LargeStringArray, measured: Json) -> Columns:
    labels, scores = language.identify(text, language.load_model(measured["model"]))
    return {"language": labels, "language_score": scores}


def _language_versions(measured: Json) -> dict[str, str]:
    return {"language_model": language.load_model(measured["model"]).sha256, "fasttext": str(language.KERNEL_VERSION)}


def _decide_language(columns: Columns, decided: Json) -> Verdict:
    return language.decide(columns["language"], columns["language_score"], decided["keep"], decided["min_score"])


def _language_decided(config: Any) -> Json:
    return {"keep": config.keep, "min_score": config.min_score}


LANGUAGE = CleanItem(
    key="language",
    version=language.KERNEL_VERSION,
    located=_located,
    config=LanguageItemConfig,
    decided=_language_decided,
    decide=_decide_language,
    measured=lambda config: {"model": config.model},
    measure=_identify,
    columns=lambda measured: [pa.field("language", pa.string()), pa.field("language_score", pa.float32())],
    versions=_language_versions,
)
