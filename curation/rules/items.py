"""The items of the `clean:` list that ship with curate: `rules` and `language`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from curation.pipeline.task import Json
from curation.rules import language
from curation.rules.families import FAMILIES
from curation.rules.item import CleanItem, Columns, Limited, Verdict
from curation.rules.languages import load as load_languages
from curation.rules.lines import BLOCKLIST, config_for, edits_lines, located
from curation.rules.thresholds import RemoveIf, RuleSet, Threshold


class RulesConfig(Limited):
    """Threshold sets by name, with the user's own values."""

    presets: list[str] = Field(description="applied in this order, e.g. gopher-repetition, gopher-quality")
    override: dict[str, float] = Field({}, description="e.g. gopher-quality.min_words: 30")
    languages: Literal["default"] | dict[str, dict[str, float]] | None = Field(
        None, description="thresholds by language: the shipped table, or e.g. {de: {gopher-quality.min_words: 30}}"
    )

    blocked_words: str | None = Field(None, description="file of words and phrases, one a line: for c4-blocklist")

    @model_validator(mode="after")
    def _known(self) -> Self:
        self.rule_set()
        if (BLOCKLIST in self.presets) != (self.blocked_words is not None):
            raise ValueError(f"`blocked_words` (a file) belongs to the preset {BLOCKLIST!r}, which needs it")
        return self

    def rule_set(self) -> RuleSet:
        """The thresholds; raises ValueError as `RuleSet.resolve`."""
        table = load_languages() if self.languages == "default" else self.languages
        return RuleSet.resolve(self.presets, self.override, table)


def _words_located(config: RulesConfig, base: Path) -> RulesConfig:
    if config.blocked_words is None:
        return config
    return config.model_copy(update={"blocked_words": located(config.blocked_words, base)})


def _expand(config: RulesConfig) -> list[tuple[str, Any]]:
    """Presets that edit lines see the text as the presets before them left it: an edit, then the next thresholds."""
    groups: list[list[str]] = [[]]
    for name in config.presets:
        if edits_lines(name):
            groups.append([])
        groups[-1].append(name)
    parts: list[tuple[str, Any]] = []
    for group in filter(None, groups):
        if edits_lines(group[0]):
            parts.append(("lines", config_for(group[0], config.sources, config.blocked_words)))
        mine = {key: value for key, value in config.override.items() if key.partition(".")[0] in group}
        parts.append(("rules", config.model_copy(update={"presets": group, "override": mine})))
    return parts


def _resolved(config: RulesConfig) -> Json:
    return [
        {"preset": t.preset, "name": t.name, "numerator": t.numerator, "denominator": t.denominator}
        | {"remove_if": t.remove_if.value, "value": t.value, "family": t.family, "by_language": dict(t.by_language)}
        for t in config.rule_set().thresholds
    ]


def _rule_set(resolved: Json) -> RuleSet:
    return RuleSet(
        tuple(Threshold(**{**one, "remove_if": RemoveIf(one["remove_if"])}, argument="", source="") for one in resolved)
    )


def _measured(config: RulesConfig) -> list[Json]:
    return [{"family": name} for name in config.rule_set().families if FAMILIES[name].measure is not None]


def _measure(text: pa.LargeStringArray, measured: Json) -> Columns:
    measure = FAMILIES[measured["family"]].measure
    assert measure is not None  # see _measured
    return {measured["family"]: measure(text)}


def _decide_rules(columns: Columns, resolved: Json) -> Verdict:
    return _rule_set(resolved).decide(columns)


def _thresholds(resolved: Json) -> list[Json]:
    names = ("numerator", "denominator", "remove_if", "value", "by_language")
    return [
        {"key": f"{one['preset']}.{one['name']}", "column": one["family"]} | {name: one[name] for name in names}
        for one in resolved
    ]


def _needs(config: RulesConfig) -> tuple[str, ...]:
    return ("language",) if any(t.by_language for t in config.rule_set().thresholds) else ()


RULES = CleanItem(
    key="rules",
    version=2,
    config=RulesConfig,
    decided=_resolved,
    decide=_decide_rules,
    measured=_measured,
    measure=_measure,
    columns=lambda measured: [pa.field(measured["family"], FAMILIES[measured["family"]].type)],
    versions=lambda measured: {f"statistics.{measured['family']}": str(FAMILIES[measured["family"]].version)},
    thresholds=_thresholds,
    located=_words_located,
    needs=_needs,
    expand=_expand,
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
    measured=lambda config: [{"model": config.model}],
    measure=_identify,
    columns=lambda measured: [pa.field("language", pa.string()), pa.field("language_score", pa.float32())],
    versions=_language_versions,
)
