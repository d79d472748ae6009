"""The verdict in words that need no statistics: one headline, one sentence on chance, and what limits it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from curation.text import display
from proxy_model.experiment.report.record import Comparison, Experiment
from proxy_model.experiment.report.units import Unit, chance

Tone = Literal["better", "worse", "same", "open", "stop"]
NAME = 40  # characters of an arm's name
MOST = 6  # mixes told in the headline's box
FEW = 4  # run degrees of freedom up to which intervals are told to be wide


@dataclass(frozen=True)
class Headline:
    """tone: what the sign beside it shows; pill: two words; text: the line; lines: sentences below it."""

    tone: Tone
    pill: str
    text: str
    lines: tuple[str, ...]


def headline(experiment: Experiment) -> Headline:
    """Of the whole experiment: its one comparison, or the best of several."""
    if experiment.failed:
        first = experiment.failed[0]
        more = f", and {len(experiment.failed) - 1} more" if len(experiment.failed) > 1 else ""
        inner = _inner(experiment)
        return Headline(
            "stop", "do not use", f"Do not use this result: {first['check']} failed{more}.",
            (f"{first['check'].capitalize()}: {first['detail']}.", f"What the test would say: {inner.text}"),
        )  # fmt: skip
    return _inner(experiment)


def _inner(experiment: Experiment) -> Headline:
    if len(experiment.comparisons) == 1:
        return one_line(experiment, experiment.comparisons[0])
    made = [one_line(experiment, one) for one in experiment.comparisons]
    baseline = name(experiment.arms[0])
    better = [one for one in made if one.tone == "better"]
    pairs = sorted(zip(experiment.comparisons, made, strict=True), key=lambda pair: pair[1].tone != "better")
    said = tuple(f"{name(one.candidate)}: {line.pill}{_measured(experiment, one)}." for one, line in pairs[:MOST])
    if not better:
        return Headline(
            "open" if all(one.tone == "open" for one in made) else made[0].tone, "none better",
            f"None of {len(made)} mixes was shown to be better than {baseline}.",
            said,
        )  # fmt: skip
    verb = "is" if len(better) == 1 else "are"
    return Headline(
        "better", f"{len(better)} of {len(made)} better",
        f"{len(better)} of {len(made)} mixes {verb} better than {baseline}.",
        (*said, "Each is tested at a level divided by the number of mixes, so the claims hold together."),
    )  # fmt: skip


def one_line(experiment: Experiment, comparison: Comparison) -> Headline:
    """One candidate against the baseline."""
    if comparison.verdict is None:
        return _exploration(experiment, comparison)
    verdict, unit = comparison.verdict, experiment.unit
    base, other = name(comparison.baseline), name(comparison.candidate)
    low, high = verdict["ci"]
    digits = unit.digits((high - low) / 2)
    measured = f"{unit.signed(verdict['estimate'], digits, named=True)} {unit.interval(low, high, digits)}"
    label = verdict["label"]
    margin = experiment.hypothesis.get("margin")
    within = unit.plain(margin, unit.digits(margin), named=True) if margin else ""
    seen = unit.plain(verdict["mde_achieved"], unit.digits(verdict["mde_achieved"]), named=True)
    runs = _runs(verdict)
    early = _early(verdict)
    if label == "superior":
        text, tone, pill = f"{other} is better than {base}: {measured}.", "better", "better"
        how = "difference this large" if experiment.hypothesis.get("two_sided") else "result this good"
        lines = [
            f"{runs}. If there were no difference, a {how} would come up in "
            f"{_p_of(experiment, verdict)} of experiments."
        ]
    elif label == "inferior":
        text, tone, pill = f"{other} is worse than {base}: {measured}.", "worse", "worse"
        lines = [f"{runs}. A difference this far below zero is not chance at the level that was set."]
    elif label == "equivalent":
        text, tone, pill = (
            f"{other} and {base} are equally good: they differ by less than {within}.",
            "same",
            "equally good",
        )
        lines = [f"Measured {measured}. {runs}."]
    elif label == "non_inferior":
        text, tone, pill = f"{other} is not worse than {base} by more than {within}.", "same", "not worse"
        lines = [f"Measured {measured}. {runs}. That it is better was not shown."]
    else:
        text, tone, pill = (
            f"No verdict: this experiment could only have seen differences above {seen}.",
            "open",
            "no verdict",
        )
        lines = [f"{other} against {base}: {measured}, which chance can explain. {runs}."]
        lines += _margin_words(experiment, within)
    if early:
        pill, lines = f"{pill} so far", [early, *lines]
    lines += _borrowed(experiment, verdict)
    rails = _guardrail_words(experiment, comparison, label)
    if tone in ("better", "same") and rails and rails[0].startswith("But"):
        pill = f"{pill}, but"
    lines += rails
    return Headline(tone, pill, text, tuple(lines))  # type: ignore[arg-type]


def _measured(experiment: Experiment, one: Comparison) -> str:
    if one.verdict is None:
        return ""
    unit, (low, high) = experiment.unit, one.verdict["ci"]
    digits = unit.digits((high - low) / 2)
    return f", {unit.signed(one.verdict['estimate'], digits, named=True)} {unit.interval(low, high, digits)}"


def _exploration(experiment: Experiment, comparison: Comparison) -> Headline:
    """One run an arm: a difference, and no way to tell it from chance."""
    unit = experiment.unit
    means = [_mean(experiment.runs_of(arm)) for arm in (comparison.baseline, comparison.candidate)]
    base, other = name(comparison.baseline), name(comparison.candidate)
    count = " + ".join(str(len(experiment.runs_of(arm))) for arm in (comparison.baseline, comparison.candidate))
    text = "No verdict: this was an exploration."
    if means[0] is None or means[1] is None:
        return Headline("open", "exploration", text, (f"{count} runs, not all of them with scores.",))
    difference = (means[1] - means[0]) * (-1 if unit.lower else 1)
    digits = unit.digits(difference)
    said = f"{other} scored {unit.signed(difference, digits, named=True)} against {base} in {count} runs"
    return Headline(
        "open", "exploration", text,
        (f"{said}. Another seed could turn this around: one run shows no spread between runs, so it cannot be told "
         "from chance.",),
    )  # fmt: skip


def _p_of(experiment: Experiment, verdict: Mapping[str, Any]) -> str:
    """The chance of the estimate under no difference, which p is not where the hypothesis has a margin."""
    if experiment.hypothesis.get("kind", "superiority") == "superiority":
        return chance(verdict["p"])
    return f"at most {chance(verdict['level'])}"


def _runs(verdict: Mapping[str, Any]) -> str:
    a, b = verdict["runs"]
    return f"{a} + {b} training runs"


def _early(verdict: Mapping[str, Any]) -> str:
    if verdict.get("look") is None or verdict.get("final", True):
        return ""
    level = chance(verdict["level"])
    return (
        f"Not finished: this is planned look {verdict['look'] + 1}, with a stricter level ({level}) than the last one."
    )


def _margin_words(experiment: Experiment, within: str) -> list[str]:
    kind = experiment.hypothesis.get("kind", "superiority")
    if kind == "equivalence":
        return [f"It does not show that they are equally good either: that needs the whole interval within ±{within}."]
    if kind == "non_inferiority":
        return [
            f"It does not show either that {name(experiment.comparisons[0].candidate)} is no worse than by {within}."
        ]
    return ["This is no proof that they are equally good."]


def _borrowed(experiment: Experiment, verdict: Mapping[str, Any]) -> list[str]:
    prior = experiment.raw.get("prior")
    if prior:
        return [f"The spread between runs is partly taken from {prior['experiments']} earlier experiments."]
    if min(verdict["runs"]) == 1:
        return ["One run of an arm: its spread between runs is taken to be that of the other arm's runs."]
    return []


def _guardrail_words(experiment: Experiment, comparison: Comparison, label: str) -> list[str]:
    some = [
        one
        for one in experiment.raw.get("guardrails") or ()
        if one.get("candidate", comparison.candidate) == comparison.candidate
    ]
    broken = [one["name"] for one in some if one.get("state") == "broken"]
    unproven = [one["name"] for one in some if one.get("state") == "unproven"]
    lead = "But" if label in ("superior", "non_inferior", "equivalent") else "Also"
    said = []
    if broken:
        said.append(f"{lead} a guardrail is broken: {_listed(broken)}.")
    if unproven:
        said.append(f"Not shown to be unharmed: {_listed(unproven)}.")
    return said


def _listed(names: list[str], most: int = 3) -> str:
    shown = [display.name(one, NAME) for one in names[:most]]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    parts = shown + more
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _mean(runs: list[Any]) -> float | None:
    values = [run["weighted"] for run in runs if run.get("weighted") is not None]
    return sum(values) / len(values) if values else None


def name(text: str) -> str:
    """An arm's name, safe and short."""
    return display.name(text, NAME)


def few(verdict: Mapping[str, Any]) -> bool:
    """So few runs that intervals are wide and their coverage is a little below 95 %."""
    return bool(sum(verdict["runs"]) - 2 < FEW)


def in_sigma(value: float, sigma: float | None) -> str:
    """`1.8 σ_seed`."""
    if not sigma or not math.isfinite(sigma):
        return "–"
    return Unit(1.0, "", False).signed(value / sigma, 1)
