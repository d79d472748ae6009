"""Conditions of `quality.gates`: what a run's tags, or its model's card, must show for the run to go on."""

from __future__ import annotations

from curation.pipeline.errors import UsageError
from quality.rubric.rubric import DIMENSIONS
from quality.tagging.labeler import Labeler
from quality.tagging.spread import FLAT_DOCUMENTS, Spread


def broken(
    spread: Spread, *, max_between_sources: float | None, min_source_sd: float | None, **of_the_card: float | None
) -> list[str]:
    """A line for each condition that the tags of a run do not meet."""
    lines = []
    for name, share in spread.between().items():
        if max_between_sources is not None and share is not None and share > max_between_sources:
            lines.append(f"{share:.3f} of the variance of {name} lies between sources, allowed {max_between_sources}")
    for row in spread.sources() if min_source_sd is not None else []:
        for name in DIMENSIONS:
            if row["documents"] >= FLAT_DOCUMENTS and row[name]["sd"] < (min_source_sd or 0.0):
                lines.append(
                    f"sd of {name} in {row['source']} is {row[name]['sd']:.3f}, at least {min_source_sd} wanted"
                )
    return lines


def check_card(labeler: Labeler, wanted: float | None) -> None:
    """UsageError where the card tells no within-category Spearman of a score, or a smaller one."""
    if wanted is None:
        return
    told = labeler.card.get("metrics", {})
    for name in DIMENSIONS:
        found = told.get(name, {}).get("within_category_spearman") if isinstance(told, dict) else None
        if not isinstance(found, int | float):
            raise UsageError(
                f"quality.gates.min_within_category: the card of {labeler.name!r} does not tell it for {name}",
                "evaluate the model on held-out labels, or drop the gate",
            )
        if found < wanted:
            raise UsageError(
                f"quality.gates.min_within_category: {name} of {labeler.name!r} has {found:.3f}, wanted {wanted}",
                "train on more labels, or lower the gate",
            )
