"""Block lists of domains and URL prefixes: millions of entries as sorted 64-bit hashes.

An entry is only ever looked up by what stands in a URL, so its text need not be kept: 8 bytes an
entry, and a false match once in 2^64 / entries look-ups.  The bundled-by-dependency list is the
one of FineWeb and RefinedWeb (UT1 Toulouse, CC BY-SA), read from the installed datatrove.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from isal import igzip
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.rules.line_hashes import line_hashes
from curation.rules.url_parts import url_parts

UT1 = "url_filterblacklists*.tar.gz"
CHUNK = 8 << 20
_ADDRESSES = ("0.0.0.0", "127.0.0.1", "::", "::1")  # of the format of a hosts file


@dataclass(frozen=True)
class BlockList:
    """hashes: sorted uint64 of all entries, domains and URL prefixes alike (a prefix holds a `/`)."""

    hashes: NDArray[np.uint64]

    def __contains__(self, entry: str) -> bool:
        return bool(self.holds([entry])[0])

    def holds(self, entries: list[str]) -> NDArray[np.bool_]:
        """Which of the entries (normal form, without line breaks) are in the list."""
        wanted = entry_hashes(entries)
        if not len(self.hashes):
            return np.zeros(len(wanted), np.bool_)
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        found: NDArray[np.bool_] = self.hashes[at] == wanted
        return found


def block_list(entries: Iterable[str]) -> BlockList:
    """The list of some entries as a person writes them.  Raises ValueError for one that names no host."""
    return BlockList(_sorted_set(entry_hashes([normal_entry(entry) for entry in entries])))


def normal_entry(entry: str) -> str:
    """`Example.ORG.` → `example.org`, `https://www.example.org/A/` → `example.org/a`."""
    parts = url_parts(entry)
    if parts.host is None:
        raise ValueError(f"{entry[:80]!r} is no domain and no URL")
    return parts.prefixes[-1] if parts.prefixes else parts.host


def read_entries(path: Path) -> list[str]:
    """The entries of a local list: one a line, or a hosts file; `#` begins a comment; .gz, .zst by name.

    Raises UsageError for a file that cannot be read, naming the line of an entry that names no host.
    """
    try:
        with pa.input_stream(str(path), compression="detect") as file:
            text = file.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"block list {path}: {error}") from None
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        names = fields[1:] if fields[0] in _ADDRESSES and len(fields) > 1 else fields
        for name in names:
            try:
                entries.append(normal_entry(name))
            except ValueError as error:
                raise UsageError(f"block list {path}:{number}: {error}") from None
    return entries


def sha256_of(path: Path) -> str:
    """Digest of a list's file: what identifies its version."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"block list {path}: {error}") from None


@lru_cache(maxsize=8)
def load_list(path: str, sha256: str) -> BlockList:
    """A list from its file, once a process.  Raises UsageError where the file is no longer the one planned."""
    if sha256_of(Path(path)) != sha256:
        raise UsageError(f"block list {path} has changed since the plan was made", "run the same command again")
    if Path(path).match(UT1):
        return _read_ut1(Path(path))
    return BlockList(_sorted_set(entry_hashes(read_entries(Path(path)))))


def ut1_path() -> Path:
    """UT1's lists in the installed datatrove.  Raises UsageError where they are not there."""
    spec = find_spec("datatrove")
    folder = Path(spec.origin or "").parent / "assets" if spec else None
    found = sorted(folder.glob(UT1)) if folder else []
    if not found:
        raise UsageError(
            "clean: url: blocklist: the installed datatrove has no assets/" + UT1,
            "pip install 'datatrove>=0.6', or blocklist: off and your own `blocklists:`",
        )
    return found[-1]


def _read_ut1(path: Path) -> BlockList:
    """Entries as they stand, one a line, already lower case; nothing is unpacked to disk."""
    parts: list[NDArray[np.uint64]] = []
    file = igzip.open(path, "rb")  # type: ignore[no-untyped-call]
    with file, tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name in ("domains", "urls") else None
            if stream is not None:
                parts += [line_hashes(lines) for lines in _whole_lines(stream)]
    return BlockList(_sorted_set(np.concatenate(parts)))


def _sorted_set(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sorted in place, each once; np.unique would take several times the memory."""
    hashes.sort()
    distinct = np.ones(len(hashes), np.bool_)
    np.not_equal(hashes[1:], hashes[:-1], out=distinct[1:])
    return hashes if distinct.all() else hashes[distinct]


def _whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Pieces of about CHUNK bytes, each ending with a line."""
    rest = b""
    while piece := stream.read(CHUNK):
        lines, end, rest = (rest + piece).rpartition(b"\n")
        yield lines + end
    yield rest


def entry_hashes(entries: list[str]) -> NDArray[np.uint64]:
    """Hashes of entries that hold no line break."""
    if any("\n" in entry for entry in entries):
        raise ValueError("an entry of a block list cannot hold a line break")
    return line_hashes("\n".join([*entries, ""]).encode("utf-8", "surrogatepass"), keep_empty=True)
