"""A training's merges on disk, so that an interrupted one goes on: resuming replays them.

One file: a line of JSON (what it was trained from, SHA-256 of the rest), then the merges (int32 pairs), their
counts and how often each was joined (int64), little-endian.  It is refused when damaged or when it belongs
to other counts or options, because merges of other counts would go unnoticed.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import canonical_json
from curation.pipeline.shards import write_atomic
from tokenizer.vocabulary import check_merges
from tokenizer.words import WordCounts

CHECKPOINT_EVERY = 10_000  # merges
FORMAT = "curate tokenizer checkpoint 1"
MOST_HEADER = 4096  # bytes
BYTES_PER_MERGE = 2 * 4 + 8 + 8


@dataclass(frozen=True)
class Identity:
    """What decides the merges; the size does not: a longer training begins with a shorter one's merges."""

    words: str  # SHA-256 of words and counts
    start: str  # SHA-256 of the merges that were replayed first
    least: int
    longest: int

    @staticmethod
    def of(words: WordCounts, start: np.ndarray, least: int, longest: int) -> Identity:
        return Identity(words.digest, hashlib.sha256(start.astype("<i4").tobytes()).hexdigest(), least, longest)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """`exhausted`: the corpus has no further pair, so training is finished whatever the size."""

    merges: np.ndarray
    pair_counts: np.ndarray
    joined: np.ndarray
    exhausted: bool


def write_checkpoint(
    path: Path, identity: Identity, merges: np.ndarray, counts: np.ndarray, joined: np.ndarray, exhausted: bool
) -> None:
    """Write atomically; the directory must exist."""
    body = merges.astype("<i4").tobytes() + counts.astype("<i8").tobytes() + joined.astype("<i8").tobytes()
    head = {
        "format": FORMAT,
        "identity": asdict(identity),
        "merges": len(merges),
        "exhausted": exhausted,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    write_atomic(path, canonical_json(head) + b"\n" + body)


def read_checkpoint(path: Path, identity: Identity) -> Checkpoint | None:
    """The checkpoint, or None where there is no file.

    Raises UsageError where it is damaged or was written by a training on other counts or with other options.
    """
    try:
        with open(path, "rb") as file:
            line = file.readline(MOST_HEADER)
            body = file.read()
    except FileNotFoundError:
        return None
    remedy = "delete the file to train from the beginning, or name another one"
    try:
        head = orjson.loads(line)
        found, made, exhausted = Identity(**head["identity"]), int(head["merges"]), bool(head["exhausted"])
        whole = head["format"] == FORMAT and head["sha256"] == hashlib.sha256(body).hexdigest()
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a training checkpoint ({error})", remedy) from None
    if not whole or len(body) != made * BYTES_PER_MERGE:
        raise UsageError(f"{path}: the checkpoint is damaged (its contents do not have the hash it states)", remedy)
    changed = [name for name, value in asdict(identity).items() if asdict(found)[name] != value]
    if changed:
        names = {"words": "word counts", "start": "start vocabulary", "least": "min_frequency",
                 "longest": "max_token_length"}  # fmt: skip
        raise UsageError(f"{path}: the checkpoint belongs to other {', '.join(names[one] for one in changed)}", remedy)
    merges = np.frombuffer(body, "<i4", 2 * made).reshape(-1, 2).astype(np.int32)
    check_merges(merges)
    counts = np.frombuffer(body, "<i8", made, 8 * made).astype(np.int64)
    joined = np.frombuffer(body, "<i8", made, 16 * made).astype(np.int64)
    return Checkpoint(merges, counts, joined, exhausted)
