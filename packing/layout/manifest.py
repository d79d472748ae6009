"""manifest.json: what a shard directory holds, written last.

`root` is the identity: a hash over everything that decides what a model is trained on.  It does not depend on
workers, hosts, times or the order in which inputs were listed.  `checksum` covers everything else in the file, also
what `root` leaves out, so that no flipped bit stays unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from packing.layout.files import MANIFEST

FORMAT = 1
BLOCK = 1 << 20  # bytes of a data file that one CRC-32 covers


class LayoutError(Exception):
    """A directory that is no finished shard directory, or does not fit what was asked; says what to do."""


@dataclass(frozen=True)
class FileDigest:
    """A file of the directory: name relative to it, size, SHA-256, and CRC-32 of each 1 MiB block (data files)."""

    name: str
    bytes: int
    sha256: str
    crc32: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class ShardInfo:
    """One shard; `queue` is its number in `Manifest.queues`."""

    name: str
    queue: int
    rows: int
    fragments: int
    tokens: int  # without padding, EOS included
    files: list[FileDigest]
    max_fragments: int | None = None  # most fragments in one row: sizes cu_seqlens of a loader; None: not counted


@dataclass(frozen=True)
class QueueInfo:
    """What is interleaved: a source, or a pool of sources.  `tokens` without padding."""

    name: str
    rows: int
    tokens: int


@dataclass(frozen=True)
class StageInfo:
    """A stage of the schedule: weights at its begin and end (interpolated), and its number of sequences."""

    name: str
    sequences: int
    weights: list[float]  # by queue, of tokens
    end_weights: list[float] | None = None
    file: FileDigest | None = None


@dataclass(frozen=True)
class Manifest:
    """See `files` for what the files mean.  `ledger`: documents and tokens in, packed, dropped by reason."""

    sequence_length: int
    vocab_rows: int  # every id is below
    eos_id: int
    pad_id: int
    bos_id: int | None
    tokenizer: str  # hash
    sources: list[str]  # numbers in SEGMENT.source
    queues: list[QueueInfo]
    shards: list[ShardInfo]
    stages: list[StageInfo]
    policy: dict[str, Any]
    ledger: dict[str, Any]
    seed: int
    plan: str  # digest of rules, seed, tokenizer, documents and their order; no paths
    files: list[FileDigest] = field(default_factory=list)  # docs.parquet, dropped.parquet
    hints: dict[str, Any] = field(default_factory=dict)  # e.g. rope_base of a stage; no part of the root
    root: str = ""
    checksum: str = ""  # SHA-256 over all other values
    format: int = FORMAT

    def with_root(self) -> Manifest:
        """The manifest with its root digest and its checksum filled in."""
        value = {key: one for key, one in vars(self).items() if key != "checksum"}
        content = {key: one for key, one in value.items() if key not in ("root", "hints", "plan")}
        root = _sha256(content)
        checksum = _sha256({**value, "root": root})
        return Manifest(**{**self.__dict__, "root": root, "checksum": checksum})

    def to_json(self) -> bytes:
        """Indented JSON; floats as `repr` has them."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @staticmethod
    def read(directory: Path) -> Manifest:
        """Read and check format and root.  Raises LayoutError."""
        path = directory / MANIFEST
        try:
            raw = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise LayoutError(
                f"{directory} has no {MANIFEST}: it is not finished, or no shard directory; run `curate pack` again"
            ) from None
        except ValueError as error:
            raise LayoutError(f"{path} is damaged ({error}); restore it or pack again") from None
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise LayoutError(
                f"{path}: format {raw.get('format') if isinstance(raw, dict) else raw!r}, expected {FORMAT}"
            )
        try:
            made = _from_json(raw)
        except (KeyError, TypeError) as error:
            raise LayoutError(f"{path} is damaged ({error}); restore it or pack again") from None
        fitting = made.with_root()
        if fitting.root != made.root:
            raise LayoutError(f"{path} was changed after it was written: its root digest does not fit")
        if fitting.checksum != made.checksum:
            raise LayoutError(f"{path} was changed after it was written: its checksum does not fit")
        return made


def _sha256(value: dict[str, Any]) -> str:
    # default=vars writes dataclasses without copying them: asdict takes seconds for the CRCs of a terabyte of shards
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=vars)
    return hashlib.sha256(text.encode()).hexdigest()


def _from_json(raw: dict[str, Any]) -> Manifest:
    return Manifest(
        **{
            **raw,
            "queues": [QueueInfo(**one) for one in raw["queues"]],
            "shards": [ShardInfo(**{**one, "files": _digests(one["files"])}) for one in raw["shards"]],
            "stages": [
                StageInfo(**{**one, "file": FileDigest(**one["file"]) if one.get("file") else None})
                for one in raw["stages"]
            ],
            "files": _digests(raw["files"]),
        }
    )


def _digests(raw: list[dict[str, Any]]) -> list[FileDigest]:
    return [FileDigest(**one) for one in raw]
