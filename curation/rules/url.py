"""The `url` item: removes pages by domain, URL prefix and words of the URL, from local lists only.

Order of the checks: `allow` (kept whatever else matches), domains, prefixes, words.  Removed documents
name the entry or the words that matched.  Sources: RefinedWeb (arXiv 2306.01116, G.1), FineWeb.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from curation.pipeline.task import Json
from curation.rules.block_list import BlockList, block_list, load_list, normal_entry, sha256_of, ut1_path
from curation.rules.item import CleanItem, Columns, Limited, Verdict
from curation.rules.url_parts import url_parts
from curation.rules.url_words import bundled_words, score

URL_VERSION = 1
DETAIL_CHARACTERS = 200


class UrlConfig(Limited):
    """Remove pages by their URL."""

    blocklist: Literal["default", "off"] = Field("default", description="UT1's adult domains, as FineWeb")
    words: Literal["default", "off"] = Field("default", description="RefinedWeb's words of adult URLs")
    soft_words: int = Field(2, ge=1, description="different soft words that remove a page")
    allow: list[str] = Field([], description="domains or URL prefixes that are never removed")
    block: list[str] = Field([], description="further domains or URL prefixes to remove")
    blocklists: list[str] = Field([], description="files of domains or URL prefixes, one a line, or hosts files")

    @field_validator("allow", "block")
    @classmethod
    def _named(cls, entries: list[str]) -> list[str]:
        return [normal_entry(entry) for entry in entries]


def _located(config: UrlConfig, base: Path) -> UrlConfig:
    """Paths relative to the config file; every list is read, so that a bad one is refused before the run."""
    located = config.model_copy(update={"blocklists": [str(base / path) for path in config.blocklists]})
    for one in _decided(located)["lists"]:
        load_list(one["path"], one["sha256"])
    return located


def _decided(config: UrlConfig) -> dict[str, Any]:
    paths = [*([ut1_path()] if config.blocklist == "default" else []), *map(Path, config.blocklists)]
    return {
        "lists": [{"path": str(path), "sha256": sha256_of(path)} for path in paths],
        "words": _words_digest() if config.words == "default" else None,
        "soft_words": config.soft_words,
        "public_suffixes": version("publicsuffixlist"),
        "allow": config.allow,
        "block": config.block,
    }


def _words_digest() -> str:
    return hashlib.sha256(resources.files("curation.rules").joinpath("data/url_words.yaml").read_bytes()).hexdigest()


def decide(columns: Columns, decided: Json) -> Verdict:
    """(`url.domain` | `url.prefix` | `url.hard_word` | `url.soft_words` | `url.strict_subword`, what matched).

    columns: `url`, string of n rows; a null or empty URL and one without a host and words is kept.
    """
    url = columns["url"].cast(pa.string())
    texts = url.to_pylist()
    parts = [url_parts(text) if text else None for text in texts]
    names = [[] if p is None else [*p.domains, *p.prefixes] for p in parts]
    allowed = _first_match(names, block_list(decided["allow"]).holds)
    lists = [block_list(decided["block"]), *(load_list(one["path"], one["sha256"]) for one in decided["lists"])]
    blocked = _first_match(names, lambda entries: _in_any(lists, entries))
    words = score(url, bundled_words(), decided["soft_words"]) if decided["words"] else [None] * len(texts)
    removed: list[tuple[str, str] | None] = [
        None if pardon else (("prefix" if "/" in entry else "domain"), entry) if entry else word
        for pardon, entry, word in zip(allowed, blocked, words, strict=True)
    ]
    return (
        pa.array([None if one is None else f"url.{one[0]}" for one in removed], pa.string()),
        pa.array([None if one is None else one[1][:DETAIL_CHARACTERS] for one in removed], pa.string()),
    )


def _in_any(lists: list[BlockList], entries: list[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    found = np.zeros(len(entries), np.bool_)
    for one in lists:
        found |= one.holds(entries)
    return found


def _first_match(names: list[list[str]], holds: Callable[[list[str]], Any]) -> list[str | None]:
    """Per row the first of its names that the lists hold; one look-up for all rows."""
    flat = [name for row in names for name in row]
    found = iter(holds(flat).tolist())
    matches = [[name for name in row if next(found)] for row in names]
    return [row[0] if row else None for row in matches]


URL = CleanItem(
    key="url",
    version=URL_VERSION,
    config=UrlConfig,
    located=_located,
    decided=_decided,
    decide=decide,
    reads=("url",),
)
