"""What encoding starts from: a tokenizer directory or tokenizer.json, of this project or of others.

Of others, any byte-level BPE that `tokenizers` reads will do; it is identified by the hash of its file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.errors import UsageError
from tokenizer.formats.export import load_vocabulary
from tokenizer.formats.manifest import is_tokenizer_directory
from tokenizer.formats.tokenizer_json import TOKENIZER_JSON, parse_vocabulary, read_tokenizer_json
from tokenizer.vocabulary import Vocabulary


@dataclass(frozen=True)
class Source:
    """`json`: tokenizer.json without added tokens, so that no text gives one.

    `vocabulary`: None for a file of others, which engines that need ranks cannot serve.
    """

    json: bytes
    vocabulary: Vocabulary | None


@dataclass(frozen=True)
class OpenTokenizer:
    """`raw`: the parsed tokenizer.json; `special_ids`: text → id of every added token; `hash`: its identity."""

    raw: dict[str, Any]
    source: Source
    special_ids: dict[str, int]
    hash: str


def open_tokenizer(path: Path) -> OpenTokenizer:
    """Read and check; a directory of this project against its manifest.

    Raises UsageError: missing or damaged files, no byte-level BPE.
    """
    file = tokenizer_file(path)
    raw = read_tokenizer_json(file)
    special_ids = {str(token["content"]): int(token["id"]) for token in raw.get("added_tokens") or []}
    vocabulary: Vocabulary | None
    if is_tokenizer_directory(file.parent):
        vocabulary = load_vocabulary(file.parent)
    else:
        try:
            vocabulary = parse_vocabulary(raw, str(file))
        except UsageError:
            _check_byte_level(raw, str(file))
            vocabulary = None
    identity = vocabulary.hash if vocabulary else hashlib.sha256(file.read_bytes()).hexdigest()
    return OpenTokenizer(raw, Source(without_added_tokens(raw), vocabulary), special_ids, identity)


def tokenizer_file(path: Path) -> Path:
    """The tokenizer.json of a directory, or the path itself."""
    return path / TOKENIZER_JSON if path.is_dir() else path


def without_added_tokens(raw: dict[str, Any]) -> bytes:
    """tokenizer.json whose texts never give an added token, whatever they contain."""
    return orjson.dumps({**raw, "added_tokens": [], "post_processor": None, "truncation": None, "padding": None})


def _check_byte_level(raw: dict[str, Any], where: str) -> None:
    if raw["model"].get("type") != "BPE" or b'"ByteLevel"' not in orjson.dumps(raw.get("pre_tokenizer")):
        raise UsageError(
            f"{where}: no byte-level BPE (model {raw['model'].get('type')!r})",
            "only byte-level BPE tokenizers keep every text; WordPiece, Unigram and SentencePiece are not read",
        )
