"""What a finished task says of itself: a manifest, written last.

A directory without `_manifest.json` is unfinished.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from curation.pipeline.folders import size_of
from curation.pipeline.shards import Output, write_atomic

MANIFEST = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished task says of itself; written last, so its presence means *finished*."""

    task: str
    step: str
    fingerprint: str
    outputs: dict[str, Output]
    counts: dict[str, int]
    slices: dict[str, str] = field(default_factory=dict)  # digest of a global step's part per shard
    versions: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)  # lines for a person; every run that uses the task tells them
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: float = 0.0

    def write(self, directory: Path) -> None:
        """Write atomically and durably."""
        write_atomic(directory / MANIFEST, orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))

    @staticmethod
    def read(directory: Path) -> Manifest | None:
        """The manifest of a finished task; None where it is unfinished, damaged or an output is gone."""
        try:
            raw = orjson.loads((directory / MANIFEST).read_bytes())
            raw["outputs"] = {name: Output(**one) for name, one in raw["outputs"].items()}
            manifest = Manifest(**raw)
            whole = all(size_of(directory / one.file) == one.bytes for one in manifest.outputs.values())
        except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError, KeyError, TypeError):
            return None
        return manifest if whole else None
