"""Strings of special tokens inside texts: counted always, made special tokens only where explicitly allowed.

A page that spells out `<|im_end|>` must not end a turn: without permission such a string is text like any other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError

AllowSpecial = Collection[str] | Literal["all"]


class SpecialText:
    """Finds the strings of `special_ids` (text → id); where several begin, the longest, as Hugging Face does."""

    def __init__(self, special_ids: dict[str, int]) -> None:
        self.ids = special_ids
        self._every = _alternatives(special_ids)
        # a literal is found at 5 GB/s and more; nearly all texts hold none
        prefix = _common_start(special_ids)
        self._quick = re.escape(prefix) if prefix else _alternatives(special_ids).pattern

    def counts(self, texts: pa.LargeStringArray) -> NDArray[np.int64]:
        """int64 per row: strings of special tokens in the text."""
        counts = np.zeros(len(texts), np.int64)
        for row in self._candidates(texts):
            counts[row] = sum(1 for _ in self._every.finditer(texts[row].as_py()))
        return counts

    def allowed(self, names: AllowSpecial) -> frozenset[str]:
        """The names as a set.  Raises UsageError for one that the tokenizer does not have."""
        if names == "all":
            return frozenset(self.ids)
        if isinstance(names, str):
            raise UsageError(f"allow_special={names!r}", "give a list of special tokens, or 'all'")
        if unknown := sorted(set(names) - self.ids.keys()):
            known = ", ".join(name for name in self.ids if not name.startswith("<|reserved_"))
            raise UsageError(f"the tokenizer has no special token {unknown[0]!r}", f"it has {known}")
        return frozenset(names)

    def rows_with(self, texts: pa.LargeStringArray, allowed: frozenset[str]) -> dict[int, list[str]]:
        """Rows that hold an allowed string → text, special, text, special, … text (texts may be empty)."""
        if not allowed:
            return {}
        pattern = re.compile(f"({_alternatives(allowed).pattern})")
        split = ((row, pattern.split(texts[row].as_py())) for row in self._candidates(texts))
        return {row: pieces for row, pieces in split if len(pieces) > 1}

    def _candidates(self, texts: pa.LargeStringArray) -> list[int]:
        if not self.ids:
            return []
        found = pc.match_substring_regex(texts, self._quick)
        return [int(row) for row in np.flatnonzero(np.asarray(found))]


def _common_start(names: Collection[str]) -> str:
    first, last = min(names, default=""), max(names, default="")
    same = (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(same, min(len(first), len(last)))]


def _alternatives(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name))))
