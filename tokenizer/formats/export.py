"""A vocabulary as a directory that other people's tools load, and back.

    tokenizer.json          tokenizers, transformers, gigatoken, fastokens
    ranks.tiktoken          tiktoken (with the pattern and the specials of the manifest)
    tokenizer_config.json   transformers: class, end of text, padding
    chat_template.jinja     transformers: only where the vocabulary has <|im_start|> and <|im_end|>
    manifest.json           hashes, pattern, Unicode version, provenance (`manifest`)

The class is PreTrainedTokenizerFast and must stay so: for GPT2Tokenizer and Qwen2Tokenizer transformers 5
replaces the pre-tokeniser by its own, silently (reference §7; the tests show it).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import sweep_stale, sync_directory, temporary_name
from tokenizer.formats.manifest import MANIFEST, dump, is_tokenizer_directory, manifest_of, read_manifest
from tokenizer.formats.tiktoken_ranks import RANKS, ranks_file
from tokenizer.formats.tokenizer_json import TOKENIZER_JSON, parse_vocabulary, read_tokenizer_json, tokenizer_json
from tokenizer.vocabulary import Vocabulary

TOKENIZER_CONFIG = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
TEMPLATES = Path(__file__).parents[1] / "templates"
END_OF_TEXT, PAD = "<|endoftext|>", "<|pad|>"
CHAT_MARKS = ("<|im_start|>", "<|im_end|>")
NO_LIMIT = 1_000_000_000  # tokens; a tokenizer has no limit of its own, a model's card sets one


def export(
    vocabulary: Vocabulary,
    directory: Path,
    *,
    model_max_length: int = NO_LIMIT,
    metrics: dict[str, Any] | None = None,
) -> Path:
    """Write the directory, whole or not at all; returns it.

    An existing tokenizer directory is replaced (for an instant between two renames there is none); any
    other existing path that is not an empty directory raises UsageError, as does a vocabulary in which
    two merges make the same token.
    """
    check_target(directory)
    files = {
        TOKENIZER_JSON: tokenizer_json(vocabulary),
        RANKS: ranks_file(vocabulary),
        TOKENIZER_CONFIG: tokenizer_config(vocabulary.specials, model_max_length),
    }
    if all(mark in vocabulary.specials for mark in CHAT_MARKS):
        files[CHAT_TEMPLATE] = (TEMPLATES / CHAT_TEMPLATE).read_bytes()
    files[MANIFEST] = dump(manifest_of(vocabulary, files, metrics))
    directory.parent.mkdir(parents=True, exist_ok=True)
    sweep_stale(directory.parent)
    _replace(directory, files)
    return directory


def tokenizer_config(specials: Sequence[str], model_max_length: int) -> bytes:
    """tokenizer_config.json: padding is the end of text where the vocabulary has no token for it."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": model_max_length,
    }
    if END_OF_TEXT in specials:
        config["eos_token"] = END_OF_TEXT
        config["pad_token"] = PAD if PAD in specials else END_OF_TEXT
    return orjson.dumps(config, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def load_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a tokenizer directory, every file checked against its manifest, or of a tokenizer.json.

    Raises UsageError: missing, cut or changed files, a foreign layout, a hash that does not fit.
    """
    if path.name == TOKENIZER_JSON and is_tokenizer_directory(path.parent):
        path = path.parent
    if not path.is_dir():
        return parse_vocabulary(read_tokenizer_json(path), str(path))
    manifest = read_manifest(path)
    raw = read_tokenizer_json(path / TOKENIZER_JSON)
    where = str(path / TOKENIZER_JSON)
    vocabulary = parse_vocabulary(raw, where, manifest.get("provenance"), str(manifest.get("unicode_version")))
    if vocabulary.hash != manifest.get("hash"):
        stated = str(manifest.get("hash"))
        raise UsageError(
            f"{path}: its vocabulary hashes to {vocabulary.hash[:12]}…, the manifest says {stated[:12]}…",
            "manifest and tokenizer.json are of different tokenizers: export again",
        )
    return vocabulary


def check_target(directory: Path) -> None:
    """UsageError unless an export may write there: nothing, an empty directory, or a tokenizer directory."""
    if not directory.exists() or is_tokenizer_directory(directory):
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise UsageError(f"{directory} exists and is no tokenizer directory", "choose another directory or remove it")


def _replace(directory: Path, files: dict[str, bytes]) -> None:
    temporary, old = temporary_name(directory), temporary_name(directory)
    try:
        temporary.mkdir()
        for name, content in files.items():
            with open(temporary / name, "wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
        sync_directory(temporary)
        if directory.exists():
            os.rename(directory, old)
        os.rename(temporary, directory)
        sync_directory(directory.parent)
    finally:
        if old.exists() and not directory.exists():
            os.rename(old, directory)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
