"""Is quality just the source?  How much of the scores' variance lies between the sources, and which are flat.

    share = Σ_s n_s (m_s − m)² / Σ_d (v_d − m)²      over documents d and sources s

A labeler that only recognises sources gives 1, labels that sources do not tell give about 0.  Source: reference §1
(Marin #6849: the source alone predicted the judge at AUC 0.852; #6860: 12 of 98 sources with sd < 0.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quality.rubric.rubric import DIMENSIONS
from quality.tagging.standing import STEPS, levels

FLAT_SD = 0.25  # levels
FLAT_DOCUMENTS = 50  # a source of fewer is not called flat
MOSTLY_SOURCE = 0.5
TOLD = 5  # flat sources by name


class Spread:
    """Documents, Σ level and Σ level² of every source and score, as integers."""

    def __init__(self) -> None:
        self._sums: dict[str, list[list[int]]] = {}

    def add(self, source: pa.Array, scores: tuple[NDArray[np.floating], ...]) -> None:
        """Some more documents."""
        encoded = source.cast(pa.string()).dictionary_encode()
        index = encoded.indices.to_numpy(zero_copy_only=False)
        for number, name in enumerate(encoded.dictionary.to_pylist()):
            mine = index == number
            sums = self._sums.setdefault(name, [[0, 0, 0] for _ in scores])
            for one, values in zip(sums, scores, strict=True):
                at = levels(values[mine])
                for k, part in enumerate((len(at), int(at.sum()), int((at * at).sum()))):
                    one[k] += part

    def between(self) -> dict[str, float | None]:
        """The share by score; None for a single source or scores that are all the same."""
        shares: dict[str, float | None] = {}
        for d, name in enumerate(DIMENSIONS):
            sums = [some[d] for some in self._sums.values()]
            n, total, squares = (sum(one[k] for one in sums) for k in range(3))
            whole = squares - total * total / n if n else 0.0
            among = sum(t * t / k for k, t, _ in sums) - total * total / n if n else 0.0
            shares[name] = min(max(among / whole, 0.0), 1.0) if len(sums) > 1 and whole > 0.5 else None
        return shares

    def sources(self) -> list[dict[str, Any]]:
        """source, documents, and by score mean and sd (of a population), in the order of the names."""
        rows = []
        for name, sums in sorted(self._sums.items()):
            row: dict[str, Any] = {"source": name, "documents": sums[0][0]}
            for dimension, (n, total, squares) in zip(DIMENSIONS, sums, strict=True):
                variance = max(squares / n - (total / n) ** 2, 0.0)
                row[dimension] = {"mean": total / n / STEPS, "sd": variance**0.5 / STEPS}
            rows.append(row)
        return rows

    def warnings(self) -> list[str]:
        """A line for each score that is flat within sources, and for each that is mostly the source."""
        lines = []
        rows = self.sources()
        for name in DIMENSIONS:
            flat = [row for row in rows if row["documents"] >= FLAT_DOCUMENTS and row[name]["sd"] < FLAT_SD]
            flat.sort(key=lambda row: -row["documents"])
            if flat:
                told = ", ".join(f"{row['source']} ({row[name]['sd']:.2f})" for row in flat[:TOLD])
                more = f" and {len(flat) - TOLD} more" if len(flat) > TOLD else ""
                lines.append(
                    f"{name} has a standard deviation below {FLAT_SD} within {len(flat)} of {len(rows)} sources, where "
                    f"it cannot choose: {told}{more}"
                )
        for name, share in self.between().items():
            if share is not None and share > MOSTLY_SOURCE:
                lines.append(
                    f"{share:.0%} of the variance of {name} lies between sources: quality is mostly the source"
                )
        return lines
