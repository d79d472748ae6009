"""Bandings of MinHash by name: how wide the net is that candidates are caught with.

A banding of b bands with r rows each makes two documents with Jaccard similarity J candidates with
probability 1 − (1 − J^r)^b (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4.2).  Here
it only decides what is verified, never what is removed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Banding:
    """bands × rows minima of permuted shingle hashes; documents that share a band are candidates."""

    bands: int
    rows: int
    source: str

    @property
    def permutations(self) -> int:
        """Minima that a signature has."""
        return self.bands * self.rows

    def candidate_probability(self, jaccard: float) -> float:
        """P(at least one shared band) for two documents of this Jaccard similarity."""
        return float(1 - (1 - jaccard**self.rows) ** self.bands)


PRESETS = {
    "wide-32x8": Banding(32, 8, "own: a wide net for verification, P(J = 0.8) = 0.997 (docs/dedup.md)"),
    "fineweb-14x8": Banding(14, 8, "FineWeb (Penedo et al. 2024, arXiv:2406.17557), datatrove's default: 112 hashes"),
    "refinedweb-450x20": Banding(450, 20, "RefinedWeb (Penedo et al. 2023, arXiv:2306.01116): 9,000 hashes"),
    "dclm-93x15": Banding(93, 15, "DCLM (Li et al. 2024, arXiv:2406.11794): 1,395 hashes"),
}
DEFAULT = "wide-32x8"
