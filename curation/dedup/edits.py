"""Edit similarity of candidates, where `edit_similarity` asks for it: it needs the sequence of words.

Levenshtein over words by rapidfuzz; only pairs that are alike by Jaccard come here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from curation.dedup.components import Candidates
from curation.dedup.inputs import Positions
from curation.dedup.lists import FilePartitions
from curation.dedup.stars import Judge
from curation.pipeline.barrier import with_positions
from curation.pipeline.context import TaskContext
from curation.pipeline.schema import TEXT
from curation.text.shingles import shingle_hashes

EDIT_WORDS = 50_000  # longer documents are judged without their edit similarity: its cost is quadratic


class EditJudge:
    """Words of all candidates, by partition."""

    def __init__(self, context: TaskContext, candidates: Candidates, folder: Path) -> None:
        self._members, self._least = candidates.members, context.config["edit_similarity"]
        self._lists = FilePartitions(folder / "words", candidates.partitions)
        self._words = np.zeros(candidates.members.size, np.uint32)
        for number, _, _, batches in context.all_shards([TEXT]):
            for table in with_positions(number, batches):
                positions = np.asarray(table["position"])
                here = self._members.holds(positions)
                if not here.any():
                    continue
                hashes = shingle_hashes(table[TEXT].combine_chunks().filter(pa.array(here)), 1)
                offsets = np.concatenate([[0], hashes.ends])
                rank = self._members.rank(positions[here])
                self._words[rank] = np.diff(offsets)
                words = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes.values))
                self._lists.append_lists(candidates.partition[rank], words)
        self._lists.seal()

    @staticmethod
    def of(context: TaskContext, candidates: Candidates, folder: Path) -> EditJudge | None:
        """One where the config asks for it."""
        return None if context.config["edit_similarity"] is None else EditJudge(context, candidates, folder)

    def of_partition(self, number: int, positions: Positions, counts: Counter[str]) -> Judge:
        """Judges documents by their index in `positions`."""
        values = self._lists.read(number)
        in_file = np.sort(positions)
        words = self._words[self._members.rank(in_file)].astype(np.int64)
        ends = np.cumsum(words)

        def sequence(document: int) -> NDArray[np.uint32]:
            place = int(in_file.searchsorted(positions[document]))
            return values[ends[place] - words[place] : ends[place]]

        def judge(shorter: int, longer: int) -> bool:
            a, b = sequence(shorter), sequence(longer)
            if max(len(a), len(b)) > EDIT_WORDS:
                counts["too_long_for_edit_similarity"] += 1
                return True
            return bool(Levenshtein.normalized_similarity(a.tolist(), b.tolist()) >= self._least)

        return judge
