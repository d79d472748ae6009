"""The one door to all readers: input files of a source in, chunks of rows out.

What a reader needs beyond memory for one chunk is bounded by the source's `limits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

from curation.sources.chunks import Chunk
from curation.sources.config import (
    HtmlSource,
    JsonlSource,
    ParquetSource,
    SourceConfig,
    TextSource,
    WarcSource,
)
from curation.sources.files import read_tree
from curation.sources.inputs import InputFile
from curation.sources.jsonl import read_jsonl
from curation.sources.parquet import read_parquet
from curation.sources.warc import read_warc

TREE_KINDS = frozenset({"text", "markdown", "latex", "html"})  # one file = one record; grouped into tasks
_LIBRARIES = {"warc": ("fastwarc", "warcio"), "jsonl": ("orjson",), "parquet": ("pyarrow",)}


def read(files: Sequence[InputFile], config: SourceConfig) -> Iterator[Chunk]:
    """Rows of some files in order, chunk by chunk.

    Damaged records are quarantine rows of a chunk.  Raises OSError (disk, network),
    MemoryError, and UsageError where the config does not fit the file (a missing column).
    """
    match config:
        case WarcSource():
            yield from read_warc(files, config)
        case JsonlSource():
            for file in files:
                yield from read_jsonl(file, config)
        case ParquetSource():
            for file in files:
                yield from read_parquet(file, config)
        case TextSource() | HtmlSource():
            yield from read_tree(files, config)


def check(config: SourceConfig) -> str | None:
    """What is missing on this machine for this source, with its remedy; None when nothing is."""
    return config.extract.check() if isinstance(config, WarcSource | HtmlSource) else None


def versions(config: SourceConfig) -> Mapping[str, str]:
    """Versions of the libraries that can change what is read."""
    libraries = _LIBRARIES.get("warc" if isinstance(config, WarcSource) else config.read, ())
    found = {name: version(name) for name in libraries}
    if isinstance(config, WarcSource | HtmlSource):
        found |= config.extract.versions()
    return found
