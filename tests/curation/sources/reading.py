"""What the source tests share: files made on the spot, read through the one door, books checked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from curation.pipeline.hashing import hash64
from curation.sources.config import SourceConfig
from curation.sources.inputs import expand
from curation.sources.read import read

CONFIG: TypeAdapter[SourceConfig] = TypeAdapter(SourceConfig)


@dataclass(frozen=True)
class Outcome:
    documents: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]

    @property
    def kept(self) -> list[dict[str, Any]]:
        return [row for row in self.documents if row["removed_by"] is None]

    @property
    def texts(self) -> list[str]:
        return [row["text"] for row in self.kept]

    @property
    def removed(self) -> list[tuple[str, str]]:
        rows = [row for row in self.documents if row["removed_by"] is not None]
        return [(row["removed_by"], row["removed_detail"]) for row in rows]

    @property
    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.quarantine]


def config_of(kind: str, paths: Sequence[Path | str] = ("-",), **rest: Any) -> SourceConfig:
    """As the YAML gives it: JSON values, validated strictly."""
    return CONFIG.validate_json(orjson.dumps({"read": kind, "paths": [str(path) for path in paths], **rest}))


def outcome(kind: str, *paths: Path, **rest: Any) -> Outcome:
    """Everything that some files give, with the sums checked that must always hold."""
    config = config_of(kind, paths, **rest)
    files = expand("s", config.paths, Path("/"))
    documents: list[dict[str, Any]] = []
    quarantine: list[dict[str, Any]] = []
    stored = 0
    for chunk in read(files, config):
        chunk.documents.validate(full=True)
        assert chunk.records == chunk.documents.num_rows + chunk.quarantine.num_rows
        documents += chunk.documents.to_pylist()
        quarantine += chunk.quarantine.to_pylist()
        stored += chunk.input_bytes
    assert stored == sum(file.size for file in files)
    assert all(row["doc_key"] == hash64(row["id"]) for row in documents)
    return Outcome(documents, quarantine)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def peak_megabytes(kind: str, path: Path) -> tuple[float, list[str]]:
    """Growth of a fresh process' resident memory while it reads a file, and the quarantine reasons."""
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom tests.curation.sources.reading import outcome\n"
        "rss = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = rss(); found = outcome(sys.argv[1], Path(sys.argv[2]))\n"
        "print((rss() - before) / 1024, *found.reasons)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, kind, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    grown, *reasons = run.stdout.split()
    return float(grown), reasons
