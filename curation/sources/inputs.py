"""From `paths:` in the config to a sorted list of input files, each with a stable name.

A pattern's root is its longest leading directory without a wildcard; a file's name is its
path below that root, and is what ids are made of.  So the same tree gives the same ids
wherever it lies.  Local paths go through the standard library, URLs through fsspec.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import fsspec
import xxhash

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest

_WILDCARD = re.compile(r"[*?\[]")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")  # would break ids, terminals or UTF-8 columns
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One stored file.  `name` is relative to the source's root, `version` an etag or mtime in ns."""

    source: str
    path: str
    name: str
    size: int
    version: str


_Found = tuple[str, str, int, str]  # path, name, size, version


def is_url(path: str) -> bool:
    """Whether fsspec, not the local file system, knows this path."""
    return "://" in path or "::" in path


def open_stored(file: InputFile) -> BinaryIO:
    """The stored bytes, seekable; raises OSError (a PermissionError names the file)."""
    try:
        if is_url(file.path):
            return cast(BinaryIO, fsspec.open(file.path, "rb").open())
        return open(file.path, "rb")
    except PermissionError as error:
        raise PermissionError(error.errno, f"source {file.source}: may not be read", file.path) from error


def content_digest(file: InputFile) -> str:
    """xxh3-128 of the stored bytes, in hex."""
    state = xxhash.xxh3_128()
    with open_stored(file) as stored:
        while piece := stored.read(2**20):
            state.update(piece)
    return state.hexdigest()


def expand(source: str, paths: list[str], base: Path, *, key: str | None = None) -> list[InputFile]:
    """Every file that the patterns name, sorted by name, each once.

    `key` is the config's key that messages name, `sources.<source>` if none is given.  `base` is
    the directory that relative patterns start from.  A directory stands for all files below it;
    names that begin with a dot are left out, as in a shell, unless the pattern says otherwise.
    Raises UsageError for a pattern without a match, for two files of one name and for links that
    lead out of a pattern's root.
    """
    key = key or f"sources.{source}"
    by_path: dict[str, InputFile] = {}
    for pattern in paths:
        found = list(_remote(key, pattern) if is_url(pattern) else _local(key, pattern, base))
        if not found:
            raise UsageError(f"{key}: {pattern!r} matches no file", _nearest(pattern, base))
        for one in found:
            by_path.setdefault(one[0], InputFile(source, *one))
    by_name: dict[str, InputFile] = {}
    for file in sorted(by_path.values(), key=lambda f: (f.name, f.path)):
        other = by_name.setdefault(file.name, file)
        if other is not file:
            raise UsageError(
                f"{key}: two files would be called {file.name!r}: {other.path} and {file.path}",
                "name their common parent directory in one pattern, or rename one of them",
            )
    return list(by_name.values())


def _local(key: str, pattern: str, base: Path) -> Iterator[_Found]:
    whole = os.path.normpath(base.absolute() / pattern)
    if not _WILDCARD.search(whole) or os.path.lexists(whole):  # a name may itself hold a bracket
        if os.path.isfile(whole):
            yield _local_file(whole, os.path.dirname(whole))
            return
        if not os.path.isdir(whole):
            return
        root, whole = whole, os.path.join(glob.escape(whole), "**")
    else:
        root = _literal_parent(whole)
    matches = sorted(path for path in glob.glob(whole, recursive=True) if os.path.isfile(path))
    yield from (_local_file(path, root) for path in _without_links_out(key, pattern, matches, root))


def _without_links_out(key: str, pattern: str, matches: list[str], root: str) -> list[str]:
    """Each real file once, under its own name where that matched too; refuses links that leave the root."""
    real_root = os.path.realpath(root)
    chosen: dict[str, str] = {}
    for path in matches:
        real = os.path.realpath(path)
        if os.path.commonpath([real, real_root]) != real_root:
            raise UsageError(
                f"{key}: {pattern!r} matches {path}, a link that leads outside {root}, to {real}",
                "name that file or its directory itself in paths",
            )
        is_own_name = real == os.path.join(real_root, os.path.relpath(path, root))
        if is_own_name or real not in chosen:
            chosen[real] = path
    return sorted(chosen.values())


def _local_file(path: str, root: str) -> _Found:
    state = os.stat(path)
    name = _safe_name(os.path.relpath(path, root).replace(os.sep, "/"))
    return path, name, state.st_size, str(state.st_mtime_ns)


def _remote(key: str, pattern: str) -> Iterator[_Found]:
    system, path = fsspec.core.url_to_fs(pattern)
    if _WILDCARD.search(path) and not system.exists(path):
        root = _literal_parent(path, "/")
        try:
            found: dict[str, Any] = system.glob(path, detail=True)
        except ValueError as error:  # e.g. `**` as a part of a name
            raise UsageError(f"{key}: {pattern!r}: {error}") from None
    elif system.isdir(path):
        root = path.rstrip("/")
        found = system.find(root, detail=True)
    else:
        root = posixpath.dirname(path.rstrip("/"))
        found = {path: system.info(path)} if system.exists(path) else {}
    for each, info in sorted(found.items()):
        if info["type"] != "file":
            continue
        name = _safe_name(posixpath.relpath(each, root) if root else each.lstrip("/"))
        version = next((str(info[key]) for key in _VERSION_KEYS if info.get(key) is not None), None)
        if version is None:
            version = system.ukey(each)
        if info.get("size") is None:
            raise UsageError(f"{key}: the size of {each} is unknown to its server", "copy it first")
        yield system.unstrip_protocol(each), name, int(info["size"]), version


def _literal_parent(pattern: str, separator: str = os.sep) -> str:
    """The longest leading directory of a pattern that holds no wildcard."""
    parts = pattern.split(separator)
    first = next(i for i, part in enumerate(parts) if _WILDCARD.search(part))
    return separator.join(parts[:first]) or (separator if pattern.startswith(separator) else "")


def _safe_name(name: str) -> str:
    """A relative name that is UTF-8 without control characters; raises UsageError when it leaves the root."""
    if posixpath.isabs(name) or ".." in name.split("/"):
        raise UsageError(f"{name!r} lies outside the directory of its source")
    if not _UNSAFE.search(name):
        return name
    return quote(name.encode("utf-8", "surrogateescape"), safe="/ !#$&'()+,;=@[]~")


def _nearest(pattern: str, base: Path) -> str:
    """What does exist: the nearest name in the deepest directory of the pattern that is there."""
    if is_url(pattern):
        return "check the URL and the credentials that its file system reads from the environment"
    at, rest = Path(os.path.normpath(base.absolute() / pattern)), ""
    while not at.is_dir() and at != at.parent:
        at, rest = at.parent, at.name
    names = sorted(os.listdir(at))
    if not names:
        return f"{at} is empty"
    return f"in {at}: " + suggest(rest, names[:1000])[:400]
