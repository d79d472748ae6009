"""How documents become rows: what the writer needs of the `pack:` section."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from packing.order.stages import CLASSES, Stage
from packing.plan.buckets import SMALLEST

Long = Literal["split", "split_balanced", "truncate", "drop"]
Bos = Literal["none", "doc", "fragment"]
Method = Literal["windowed", "bfd", "concat", "crop", "buckets"]
SHARD_BYTES = 256 << 20


@dataclass(frozen=True)
class Rules:
    """Everything but the documents, the tokenizer and the order keys that decides the bytes written.

    `length_bounds`: queues are divided into length classes of documents.  `before`: the stage before the first
    of `stages`, where it has rows of another length.
    """

    sequence_length: int
    seed: int
    method: Method = "windowed"
    window: int = 10_000  # fragments; a bin stays open one more window (reference, packing §3.3)
    long: Long = "split"
    min_fragment: int = 32
    bos: Bos = "none"
    stages: tuple[Stage, ...] = (Stage("stage0"),)
    shard_bytes: int = SHARD_BYTES
    smallest_bucket: int = SMALLEST  # of the method `buckets`
    length_bounds: tuple[int, int] | None = None
    before: Stage | None = None

    @property
    def rows_per_shard(self) -> int:
        """At least one."""
        return max(1, self.shard_bytes // (4 * self.sequence_length))

    @property
    def length_classes(self) -> tuple[str, ...]:
        """Into which each queue is divided: buckets, classes of documents, or ("",) where it is not."""
        if self.method == "buckets":
            return tuple(str(one) for one in bucket_lengths(self.sequence_length, self.smallest_bucket))
        return ("",) if self.length_bounds is None else CLASSES

    def policy(self) -> dict[str, Any]:
        """For the manifest: what a reader or checker needs to know."""
        named = asdict(self)
        made = {key: named[key] for key in ("method", "window", "long", "min_fragment", "bos")}
        if self.method == "buckets":
            made["smallest_bucket"] = self.smallest_bucket
        elif self.length_bounds is not None:
            made["length_bounds"] = list(self.length_bounds)
        return made


def bucket_lengths(sequence_length: int, smallest: int) -> list[int]:
    """Powers of two from the smallest bucket to a whole row."""
    return [smallest << i for i in range((sequence_length // smallest).bit_length())]
