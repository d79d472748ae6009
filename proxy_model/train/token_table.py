"""How many tokens a step has, as a fixed table over tokens seen, identical for every arm of an experiment.

A batch that grows when *this* run's loss falls would confound the mix with the schedule (reference, §6): the table is
made once, by `curate proxy fit-critical-batch` or by hand, and written into the config.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.pipeline.errors import UsageError


@dataclass(frozen=True)
class Step:
    """One optimizer step: sequences `first` … `first + sequences - 1` of the run's order."""

    number: int  # from 0
    first: int
    sequences: int
    tokens: int  # seen before it


@dataclass(frozen=True)
class TokenTable:
    """(from, batch) in tokens, rising from 0: a step that begins at or after `from` has `batch` tokens."""

    rows: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.rows]
        if not self.rows or starts[0] != 0 or starts != sorted(set(starts)) or min(b for _, b in self.rows) < 1:
            raise UsageError(
                f"batch table {list(self.rows)}: the first row begins at 0 tokens, the others later and later",
                "write for example [{from: 0, batch: 64k}, {from: 10M, batch: 128k}]",
            )

    def batch(self, tokens: int) -> int:
        """Tokens of a step that begins after `tokens`."""
        return next(batch for start, batch in reversed(self.rows) if start <= tokens)

    def steps(self, tokens: int, sequence_length: int) -> list[Step]:
        """All steps of a run of at least `tokens`, in whole sequences, at least one a step; the last may be shorter.

        Raises UsageError for a batch that is less than one sequence.
        """
        for _, batch in self.rows:
            if batch < sequence_length:
                raise UsageError(
                    f"a batch of {batch:,} tokens holds no sequence of {sequence_length:,}",
                    "give a larger batch, or pack shorter rows (pack.sequence_length)",
                )
        wanted = -(-tokens // sequence_length)
        made: list[Step] = []
        first = 0
        while first < wanted:
            seen = first * sequence_length
            count = min(self.batch(seen) // sequence_length, wanted - first)
            made.append(Step(len(made), first, count, seen))
            first += count
        return made


def constant(batch: int) -> TokenTable:
    """The same number of tokens in every step."""
    return TokenTable(((0, batch),))


def merged(rows: Sequence[tuple[int, int]]) -> TokenTable:
    """A table without rows that repeat the batch of the row before."""
    kept = [row for i, row in enumerate(rows) if i == 0 or row[1] != rows[i - 1][1]]
    return TokenTable(tuple(kept))
