"""How documents become rows: what the writer needs of the `pack:` section."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Long = Literal["split", "split_balanced", "truncate", "drop"]
Bos = Literal["none", "doc", "fragment"]
Method = Literal["windowed", "bfd"]
SHARD_BYTES = 256 << 20


@dataclass(frozen=True)
class StageRules:
    """`tokens` of the stage (None: all that is there); shares of tokens by queue at its begin and end."""

    name: str
    tokens: int | None = None
    weights: dict[str, float] | None = None
    end_weights: dict[str, float] | None = None


@dataclass(frozen=True)
class Rules:
    """Everything but the documents, the tokenizer and the order keys that decides the bytes written."""

    sequence_length: int
    seed: int
    method: Method = "windowed"
    window: int = 10_000  # fragments; a bin stays open one more window (reference, packing §3.3)
    long: Long = "split"
    min_fragment: int = 32
    bos: Bos = "none"
    stages: tuple[StageRules, ...] = (StageRules("stage0"),)
    shard_bytes: int = SHARD_BYTES

    @property
    def rows_per_shard(self) -> int:
        """At least one."""
        return max(1, self.shard_bytes // (4 * self.sequence_length))

    def policy(self) -> dict[str, Any]:
        """For the manifest: what a reader or checker needs to know."""
        named = asdict(self)
        return {key: named[key] for key in ("method", "window", "long", "min_fragment", "bos")}
