"""The chapter of `curate trace ID` on tags: scores with interval and percentiles, category, bucket, draws."""

from __future__ import annotations

from typing import Any

from curation.catalog import Catalog, Fate
from curation.text.display import name
from quality.rubric.rubric import DIMENSIONS


def trace(catalog: Catalog, fate: Fate) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Empty where the record has no tags: the run gives none, or it was removed before."""
    row = fate.row
    if row.get("category") is None or row.get("mix_score") is None:
        return []
    lines: list[tuple[str, Any]] = []
    for one in DIMENSIONS:
        value = f"{row[one]:.2f} ({row[f'{one}_lo']:.2f} … {row[f'{one}_hi']:.2f})"
        if row[f"{one}_max"] > row[f"{one}_min"]:
            value += f", its parts {row[f'{one}_min']:.2f} … {row[f'{one}_max']:.2f}, sd {row[f'{one}_sd']:.2f}"
        value += f"; above {row[f'{one}_pct']:.1%} of all documents, {row[f'{one}_pct_category']:.1%} of its category"
        lines.append((one, value))
    category = f"{name(row['category'])} (p {row['category_p']:.2f})"
    if row["category2"] is not None:
        category += f", also {name(row['category2'])}"
    lines += [
        ("category", category),
        ("mix_score", f"{row['mix_score']:+.3f}, bucket {row['bucket']} of 0 … 4"),
        ("split", f"{row['split']}; prio_sample {row['prio_sample']}, prio_ablate {row['prio_ablate']}"),
        ("tagged by", row["quality_model"] + (", with low confidence" if row["low_confidence"] else "")),
    ]
    return [("quality", lines)]
