"""manifest.json of a tokenizer directory: what it is, what it was made from, what its files must hash to.

No times and no host names: equal vocabularies give equal bytes.  The directory is the only on-disk form
of a vocabulary; `load_vocabulary` refuses files that the manifest does not vouch for (reference §7).
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import write_atomic
from tokenizer.vocabulary import Vocabulary

MANIFEST = "manifest.json"
FORMAT = "curate tokenizer 1"
SOFTWARE = ("curate-lm", "tokenizers", "numpy", "numba")


def manifest_of(vocabulary: Vocabulary, files: dict[str, bytes], metrics: dict[str, Any] | None) -> dict[str, Any]:
    """The manifest of a directory with these files (name → content)."""
    return {
        "format": FORMAT,
        "hash": vocabulary.hash,
        "vocab_size": vocabulary.vocab_size,
        "rows": vocabulary.rows,
        "specials": list(vocabulary.specials),
        "pattern": {"name": vocabulary.pattern.name, "stages": list(vocabulary.pattern.stages)},
        "unicode_version": vocabulary.unicode_version,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        "provenance": vocabulary.provenance,  # count table, weights, sample, seeds: as the training step states them
        "versions": {"python": platform.python_version(), **{n: v for n in SOFTWARE if (v := _version(n))}},
        "metrics": metrics,
    }


def dump(manifest: dict[str, Any]) -> bytes:
    """The bytes of a manifest.json."""
    return orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def is_tokenizer_directory(directory: Path) -> bool:
    """Whether this project wrote the directory (so that a new export may replace it).

    Raises UsageError where its manifest is damaged: it must be taken neither for ours nor for somebody else's.
    """
    path = directory / MANIFEST
    try:
        raw = orjson.loads(path.read_bytes())
    except OSError:
        return False
    except orjson.JSONDecodeError as error:
        remedy = "export the tokenizer again into another folder; without its manifest nothing vouches for the files"
        raise UsageError(f"{path}: damaged ({error})", remedy) from None
    return isinstance(raw, dict) and str(raw.get("format")).startswith("curate tokenizer ")


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest, with every file that it names checked.

    Raises UsageError: no manifest, damaged, of a later format, or a file that is missing or was changed.
    """
    path = directory / MANIFEST
    try:
        raw = orjson.loads(path.read_bytes())
        stated, files = raw["format"], raw["files"].items()
    except FileNotFoundError:
        remedy = "give the directory that `curate tokenizer export` or `train` wrote, or a tokenizer.json"
        raise UsageError(f"{directory}: no tokenizer directory: there is no {MANIFEST}", remedy) from None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: damaged ({error})", "export the tokenizer again") from None
    if stated != FORMAT:
        raise UsageError(f"{path}: format {stated!r}, this version reads {FORMAT!r}", "use the version that wrote it")
    for name, digest in files:
        if Path(name).name != name:
            raise UsageError(f"{path}: names a file outside its directory: {name!r}")
        try:
            found = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        except FileNotFoundError:
            raise UsageError(f"{directory}: {name} is missing", "export the tokenizer again") from None
        if found != digest:
            remedy = "the file was changed or cut: export the tokenizer again"
            raise UsageError(f"{directory / name}: its SHA-256 is not the manifest's", remedy)
    return dict(raw)


def add_metrics(directory: Path, metrics: dict[str, Any]) -> None:
    """Write an evaluation's figures into the manifest (they are no part of the tokenizer's hash)."""
    write_atomic(directory / MANIFEST, dump({**read_manifest(directory), "metrics": metrics}))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
