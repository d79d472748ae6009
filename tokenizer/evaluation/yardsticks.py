"""Public vocabularies to stand beside ours: o200k and cl100k (from `rs-bpe`), tekken (from `mistral-common`).

Both packages carry the vocabulary itself, so nothing is downloaded.  They are optional
(`pip install 'curate-lm[yardsticks]'`): `installed` returns what is there.  Source: reference §6, Yardsticks.
"""

from __future__ import annotations

import base64
import importlib.util
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from curation.pipeline.errors import UsageError
from tokenizer.encoding.engines import Ids, joined
from tokenizer.evaluation.subjects import Subject

# tiktoken's regex engine overflows its stack on a million spaces (a panic, which is no Exception), so a longer
# run of white space is cut; the count of tokens then differs by one or two at each cut.  Reference §4.
LONGEST_SPACE = 50_000
_LONG_SPACE = re.compile(rf"\s{{{LONGEST_SPACE}}}")
TEKKEN_FILE = "tekken_240911.json"


class ListEncoder:
    """A function `str → ids` as a TextEncoder."""

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        self._encode = encode

    def encode(self, texts: pa.LargeStringArray) -> Ids:
        return joined([self._long(text or "") for text in texts.to_pylist()])

    def _long(self, text: str) -> list[int]:
        cuts = [match.end() for match in _LONG_SPACE.finditer(text)]
        if not cuts:
            return self._encode(text)
        parts = zip([0, *cuts], [*cuts, len(text)], strict=True)
        return [number for start, end in parts for number in self._encode(text[start:end])]


def o200k() -> Subject:
    """OpenAI's o200k_base: 199,998 byte pairs, 200,019 rows with its specials."""
    return _from_rs_bpe("o200k", "o200k_base", 199_998, 200_019)


def cl100k() -> Subject:
    """OpenAI's cl100k_base: 100,256 byte pairs, 100,277 rows with its specials."""
    return _from_rs_bpe("cl100k", "cl100k_base", 100_256, 100_277)


def tekken() -> Subject:
    """Mistral's tekken, 131,072 rows of which 1,000 are special."""
    import mistral_common
    import tiktoken

    path = Path(str(mistral_common.__file__)).parent / "data" / TEKKEN_FILE
    try:
        stored = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"mistral-common has no {TEKKEN_FILE}", "install mistral-common 1.9 or later") from None
    rows, specials = stored["config"]["default_vocab_size"], stored["config"]["default_num_special_tokens"]
    tokens = [base64.b64decode(entry["token_bytes"]) for entry in stored["vocab"][: rows - specials]]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    encoding = tiktoken.Encoding(
        "tekken", pat_str=stored["config"]["pattern"], mergeable_ranks=ranks, special_tokens={}
    )
    return Subject("tekken", ListEncoder(encoding.encode_ordinary), tokens, rows)


KNOWN: dict[str, tuple[str, Callable[[], Subject]]] = {
    "o200k": ("rs_bpe", o200k),
    "cl100k": ("rs_bpe", cl100k),
    "tekken": ("mistral_common", tekken),
}


def installed(names: Iterable[str] | None = None) -> list[Subject]:
    """The yardsticks of those names, or every one whose package is installed, in the order of KNOWN.

    Raises UsageError for a name that is unknown or whose package is missing.
    """
    if names is None:
        return [make() for package, make in KNOWN.values() if importlib.util.find_spec(package)]
    found = []
    for name in names:
        if name not in KNOWN:
            raise UsageError(f"no yardstick is called {name!r}", f"known: {', '.join(KNOWN)}")
        package, make = KNOWN[name]
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"the yardstick {name} needs the package {package}", "pip install 'curate-lm[yardsticks]'")
        found.append(make())
    return found


def _from_rs_bpe(name: str, function: str, size: int, rows: int) -> Subject:
    from rs_bpe.bpe import openai

    tokenizer: Any = getattr(openai, function)()
    pairs = tokenizer.bpe()
    tokens = [bytes(pairs.decode_tokens([number])) for number in range(size)]
    return Subject(name, ListEncoder(tokenizer.encode), tokens, rows)
