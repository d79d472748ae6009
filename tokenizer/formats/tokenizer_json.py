"""tokenizer.json: a vocabulary as Hugging Face `tokenizers` reads it, and back.

Byte-level BPE without a normaliser: `Split` (isolated) once for each stage of the pattern, then
`ByteLevel` without its own regular expression.  The bytes are a pure function of the vocabulary.
Reading back accepts this layout only; anybody else's file is still good for encoding (`encode`).
Source: reference §7, measured with tokenizers 0.23 and transformers 5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson

from curation.pipeline.errors import UsageError
from tokenizer.splitting.patterns import CUSTOM, PATTERNS, UNICODE_TABLE_VERSION, Pattern
from tokenizer.vocabulary import BASE, BYTE_CHARACTERS, BYTE_IDS, RESERVED, Vocabulary

TOKENIZER_JSON = "tokenizer.json"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
DECODER = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
FOREIGN = "it can still encode: open_encoder(path); only tokenizers of this project load as a vocabulary"


def tokenizer_json(vocabulary: Vocabulary) -> bytes:
    """The file's bytes.  Raises UsageError where two merges make the same token (see `check_one_merge`)."""
    tokens = vocabulary.tokens()
    check_one_merge(vocabulary, tokens)
    names = ["".join(BYTE_CHARACTERS[byte] for byte in token) for token in tokens]
    splits = [
        {"type": "Split", "pattern": {"Regex": stage}, "behavior": "Isolated", "invert": False}
        for stage in vocabulary.pattern.stages
    ]
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": name, **FLAGS} for name, i in vocabulary.special_ids.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, BYTE_LEVEL]},
        "post_processor": None,
        "decoder": DECODER,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {name: i for i, name in enumerate(names)},
            "merges": [[names[left], names[right]] for left, right in vocabulary.merges.tolist()],
        },
    }
    return orjson.dumps(whole) + b"\n"


def check_one_merge(vocabulary: Vocabulary, tokens: list[bytes]) -> None:
    """UsageError unless every token is made by exactly one merge.

    Otherwise a token has two ranks: the file's vocabulary could name only one of them, and engines
    that merge by the rank of the bytes (tiktoken) would give other ids (reference §7).
    """
    first: dict[bytes, int] = {}
    for i, token in enumerate(tokens):
        if (other := first.setdefault(token, i)) != i:
            raise UsageError(
                f"the token {token!r} is made twice, by ids {other} and {i} (merges {other - BASE} and {i - BASE})",
                "such a vocabulary has no exact export: train without a limit that lets a token arise from two merges",
            )


def read_tokenizer_json(path: Path) -> dict[str, Any]:
    """The parsed file.  Raises UsageError where it is missing, cut or no tokenizer."""
    try:
        raw = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file", "give a tokenizer directory or a tokenizer.json") from None
    except orjson.JSONDecodeError as error:
        remedy = "the file is damaged or cut: export or copy it again"
        raise UsageError(f"{path}: not whole JSON ({error})", remedy) from None
    if not isinstance(raw, dict) or not isinstance(raw.get("model"), dict):
        raise UsageError(f"{path}: no tokenizer.json: it has no `model`", "give a tokenizer directory or its file")
    return raw


def parse_vocabulary(
    raw: dict[str, Any],
    where: str,
    provenance: dict[str, Any] | None = None,
    unicode_version: str = UNICODE_TABLE_VERSION,
) -> Vocabulary:
    """The vocabulary of a parsed tokenizer.json.

    Raises UsageError, naming what is foreign: model, normaliser, pre-tokeniser, order of ids, specials.
    """
    model = raw["model"]
    if model.get("type") != "BPE":
        raise UsageError(f"{where}: the model is {model.get('type')!r}, not byte-level BPE")
    if raw.get("normalizer") is not None:
        raise UsageError(f"{where}: has a normaliser ({_kind(raw['normalizer'])})", FOREIGN)
    pattern = _pattern(raw.get("pre_tokenizer"), where)
    merges = _merges(model, where)
    if model.get("ignore_merges") or model.get("dropout") or model.get("continuing_subword_prefix"):
        raise UsageError(f"{where}: uses ignore_merges, dropout or a prefix, which change the ids", FOREIGN)
    specials = _specials(raw.get("added_tokens") or [], BASE + len(merges), where)
    vocabulary = Vocabulary(pattern, merges, specials, provenance or {}, unicode_version)
    for added in raw.get("added_tokens") or []:
        if vocabulary.special_ids.get(added["content"]) != added["id"]:
            raise UsageError(f"{where}: the special token {added['content']!r} has an id out of order", FOREIGN)
    return vocabulary


def _kind(part: Any) -> str:
    return str(part.get("type")) if isinstance(part, dict) else type(part).__name__


def _pattern(pre: Any, where: str) -> Pattern:
    parts = pre.get("pretokenizers") if isinstance(pre, dict) and pre.get("type") == "Sequence" else None
    if not parts or parts[-1] != BYTE_LEVEL:
        raise UsageError(f"{where}: foreign pre-tokeniser ({_kind(pre)}): expected splits, then ByteLevel", FOREIGN)
    stages = []
    for part in parts[:-1]:
        regex = part.get("pattern", {}).get("Regex")
        if part.get("type") != "Split" or regex is None or part.get("behavior") != "Isolated" or part.get("invert"):
            raise UsageError(f"{where}: foreign pre-tokeniser stage ({_kind(part)}): expected isolated splits", FOREIGN)
        stages.append(regex)
    named = [pattern for pattern in PATTERNS.values() if pattern.stages == tuple(stages)]
    return named[0] if named else Pattern(CUSTOM, tuple(stages))


def _merges(model: dict[str, Any], where: str) -> np.ndarray:
    """int32[m, 2]; the layout must be ours: ids 0–255 the bytes, then one id for each merge in order."""
    vocab, pairs = model.get("vocab"), model.get("merges")
    if not isinstance(vocab, dict) or not isinstance(pairs, list):
        raise UsageError(f"{where}: the model lacks its vocabulary or merges", "the file is damaged: export it again")
    if any(vocab.get(character) != BYTE_IDS[byte] for byte, character in enumerate(BYTE_CHARACTERS)):
        raise UsageError(f"{where}: ids 0–255 are not the bytes in Hugging Face's order", FOREIGN)
    merges = np.empty((len(pairs), 2), np.int32)
    for i, pair in enumerate(pairs):
        left, _, right = pair.partition(" ") if isinstance(pair, str) else (pair[0], "", pair[1])
        if left not in vocab or right not in vocab or vocab.get(left + right) != BASE + i:
            raise UsageError(f"{where}: merge {i} ({left!r}, {right!r}) does not make id {BASE + i}", FOREIGN)
        merges[i] = vocab[left], vocab[right]
    # special tokens of some writers stand in the model's vocabulary too: they lie above the merges
    if BASE + len(merges) > len(vocab):
        raise UsageError(f"{where}: {len(vocab)} tokens for {len(merges)} merges", FOREIGN)
    return merges


def _specials(added: list[dict[str, Any]], first: int, where: str) -> tuple[str, ...]:
    ordered = sorted(added, key=lambda token: int(token["id"]))
    for i, token in enumerate(ordered):
        if token["id"] != first + i or any(token.get(flag) != value for flag, value in FLAGS.items()):
            raise UsageError(f"{where}: the added token {token.get('content')!r} does not follow the merges", FOREIGN)
    return tuple(token["content"] for token in ordered if not RESERVED.fullmatch(token["content"]))
