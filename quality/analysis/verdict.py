"""The validation's answer in sentences, with the figures that decide it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quality.analysis.drop_one import Candidate
from quality.analysis.findings import Validation


def listed(names: Sequence[str]) -> str:
    """`a, b and c`, underscores as spaces."""
    words = [name.replace("_", " ") for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def verdict(found: Validation) -> list[str]:
    """A headline and the reasons."""
    rule = found.drop_one
    if not rule.decided:
        return [
            "Not decided: nothing may be dropped, because the reliability of the labels is not known.",
            f"{found.pairs} documents were judged twice; label some again under a name such as `judge#2`.",
        ]
    said = [_headline(found)]
    if rule.dropped:
        chosen = next((one for one in rule.candidates if one.kept == rule.kept), None)
        if chosen:
            said.append(_fares("From the kept set", chosen, rule.enough))
    else:
        best = max(rule.candidates, key=lambda one: np.nan_to_num(one.worst.value))
        said.append(_fares(f"The nearest miss keeps {listed(best.kept)}: from it", best, rule.enough))
    if rule.asked and rule.asked.kept != rule.kept:
        answer = "All secondary scores may" if rule.asked.admissible else "Not all secondary scores may"
        who = f"{answer} be dropped in favour of {listed(rule.asked.kept)} alone: from these"
        said.append(_fares(who, rule.asked, rule.enough))
    others = [one.kept for one in rule.candidates if one.admissible and len(one.kept) == len(rule.kept)]
    if len(others) > 1:
        said.append(
            f"{len(others)} sets of {len(rule.kept)} are admissible ({'; '.join(listed(kept) for kept in others)}); "
            "the one whose worst-predicted dimension is predicted best was chosen."
        )
    if found.variants:
        said.append(_robust(found))
    return said


def _headline(found: Validation) -> str:
    rule = found.drop_one
    share = rule.sizes.get(str(len(rule.kept)))
    stable = "" if share is None else f" In {100 * share:.1f} % of resamples the smallest set has this size."
    if not rule.dropped:
        return f"Nothing may be dropped: no smaller set predicts every other dimension well enough.{stable}"
    return f"Keep {listed(rule.kept)}; {listed(rule.dropped)} may be dropped.{stable}"


def _fares(who: str, one: Candidate, enough: float) -> str:
    weak, ratio = min(one.ratios.items(), key=lambda item: item[1].value)
    word = "reaches" if ratio.value >= enough else "reaches only"
    return (
        f"{who}, {listed([weak])} is predicted worst and {word} {ratio} of its reliability; {enough:.2f} is "
        f"asked. {100 * one.admitted:.1f} % of resamples admit the set."
    )


def _robust(found: Validation) -> str:
    rule = found.drop_one
    differing = [one.name for one in found.variants if tuple(rule.kept) not in {tuple(kept) for kept in one.kept}]
    if not differing:
        return (
            f"The other {len(found.variants)} ways of computing that were tried admit this set too, and none smaller."
        )
    return f"The answer depends on the method; it differs for: {'; '.join(differing)}."
