"""Digests of a directory's files: size, SHA-256 of the whole, CRC-32 of each 1 MiB block (which says where).

Both are of the standard library; a block CRC finds the damaged mebibyte of a shard of gigabytes (packing §4.2).
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

from packing.layout.manifest import BLOCK, FileDigest


def digest_file(directory: Path, name: str, *, blocks: bool) -> FileDigest:
    """Digest of `directory/name`; with CRCs of its blocks where `blocks` (data files).  Raises OSError."""
    sha, crc32, size = hashlib.sha256(), [], 0
    with open(directory / name, "rb", buffering=0) as file:
        while chunk := _read(file, BLOCK):
            sha.update(chunk)
            if blocks:
                crc32.append(zlib.crc32(chunk))
            size += len(chunk)
    return FileDigest(name, size, sha.hexdigest(), crc32)


def damage(directory: Path, expected: FileDigest) -> list[str]:
    """What is wrong with a file, in words; empty when it is as it was written."""
    path = directory / expected.name
    try:
        if not path.is_file():  # through links: the folder of a run holds links to its steps' files
            return ["missing" if not path.exists() else "not a regular file"]
        size = path.stat().st_size
        if size != expected.bytes:
            return [f"{size:,} bytes, {expected.bytes:,} were written"]
        found = digest_file(directory, expected.name, blocks=bool(expected.crc32))
    except OSError as error:
        return [f"cannot be read: {error.strerror or error}"]
    wrong = [i for i, (a, b) in enumerate(zip(found.crc32, expected.crc32, strict=False)) if a != b]
    words = []
    if wrong:
        places = ", ".join(map(str, wrong[:5])) + (", …" if len(wrong) > 5 else "")
        words.append(f"CRC-32 differs in {len(wrong)} of {len(found.crc32)} blocks of 1 MiB: {places}")
    if expected.crc32 and len(found.crc32) != len(expected.crc32):
        words.append(f"{len(expected.crc32)} block checksums in the manifest, the file has {len(found.crc32)} blocks")
    if found.sha256 != expected.sha256:
        words.append("SHA-256 differs")
    return words


def _read(file: object, count: int) -> bytes:
    """Exactly `count` bytes but at the end: a raw file may give fewer."""
    parts, missing = [], count
    while missing and (part := file.read(missing)):  # type: ignore[attr-defined]
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
