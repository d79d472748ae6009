"""How a document's columns become the key of its cell, as SQL: one rule for each key.

What is missing has a stated value: category `untagged`, bucket −1, mix_score 0 (the mean), language
`unknown`, split train, duplicate_count 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from mixing.inventory.cells import ANY, KEYS, NEUTRAL_SCORE, NO_BUCKET, UNTAGGED

UNKNOWN_LANGUAGE = "unknown"
HOLDOUT = "holdout"
TAGS = ("category", "bucket", "mix_score")
LENGTHS = ("short", "medium", "long")
LENGTH_EDGES = (32_768, 131_072)  # tokens: short < 32K ≤ medium < 128K ≤ long (MiniMax-01, Table 6)


@dataclass(frozen=True)
class Split:
    """How documents are cut into cells: by which of KEYS, and at which token counts for `length`."""

    keys: tuple[str, ...] = ("source", "category", "bucket")
    length_edges: tuple[int, int] = LENGTH_EDGES

    def __post_init__(self) -> None:
        """Raises UsageError for an unknown or repeated key and for edges that do not rise."""
        for key in self.keys:
            if key not in KEYS:
                raise UsageError(f"mix.cells: there is no key {key!r}", suggest(key, list(KEYS)))
        if not self.keys or len(set(self.keys)) != len(self.keys):
            raise UsageError(f"mix.cells: {list(self.keys)}", "each key once, and at least one: " + ", ".join(KEYS))
        if not 0 < self.length_edges[0] < self.length_edges[1]:
            raise UsageError(f"mix: length edges {list(self.length_edges)}", "two rising token counts")


def column_sql(there: Sequence[str], end_tokens: int) -> dict[str, str]:
    """SQL of every value that the inventory reads, given the columns that the files have."""

    def value(name: str, missing: str) -> str:
        return f'coalesce("{name}", {missing})' if name in there else missing

    bare = [f'"{name}" is null' for name in TAGS] if set(TAGS) <= set(there) else ["true"]
    return {
        "source": '"source"',
        "category": value("category", f"'{UNTAGGED}'"),
        "bucket": f"{value('bucket', str(NO_BUCKET))}::integer",
        "language": value("language", f"'{UNKNOWN_LANGUAGE}'"),
        "split": value("split", "'train'"),
        "score": f"{value('mix_score', str(NEUTRAL_SCORE))}::double",
        "duplicates": f"{value('duplicate_count', '1')}::bigint",
        "tokens": f"token_count::bigint + {end_tokens}",
        "plain": "token_count::bigint",
        "untagged": f"({' or '.join(bare)})",
    }


def key_sql(split: Split) -> dict[str, str]:
    """SQL of the five keys of a cell over the values of `column_sql`."""
    first, second = split.length_edges
    length = f"case when plain < {first} then 'short' when plain < {second} then 'medium' else 'long' end"
    given = {name: name for name in KEYS} | {"length": length}
    without = dict.fromkeys(KEYS, f"'{ANY}'") | {"bucket": str(NO_BUCKET)}
    return {key: given[key] if key in split.keys else without[key] for key in KEYS}
