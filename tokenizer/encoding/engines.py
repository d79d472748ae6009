"""The encoders that others wrote, behind one call: an Arrow column of texts → ids and offsets.

An engine is built from a `Source`, whose tokenizer.json has no added tokens: special strings in a text
are text in every engine, and only `special_text` ever makes a special id.  Hugging Face's `tokenizers` is
the reference; gigatoken, fastokens and tiktoken are optional, `words` is ours (`word_engine`); all of
them are trusted only after `canary` compared them with the reference.
Measured against each other: benchmarks/tokenizer_encode.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.text.arrow import text_buffers
from tokenizer.encoding.source import Source
from tokenizer.splitting.patterns import UNICODE_TABLE_VERSION

Ids = tuple[NDArray[np.uint32], NDArray[np.int64]]  # all ids; n + 1 offsets into them
Encode = Callable[[pa.LargeStringArray], Ids]
HUGGING_FACE = "tokenizers"
WORDS = "words"
# tiktoken's regular expressions backtrack on the stack: 1,000,000 blanks panic, 300,000 do not (tiktoken 0.14)
TIKTOKEN_LONGEST_SPACES = 10_000
SPACES = re.compile(r"\s+")


class EngineUnavailable(Exception):
    """Why an engine cannot serve this tokenizer: not installed, or it does not take the file."""


@dataclass(frozen=True)
class Engine:
    """`refuses`: rows that the engine must not be given (bool per row); None where it takes all."""

    name: str
    version: str
    encode: Encode
    refuses: Callable[[pa.LargeStringArray], NDArray[np.bool_]] | None = None


def build(name: str, source: Source, *, parallel: bool = False) -> Engine:
    """The engine of that name.  `parallel`: gigatoken may use all cores; the others follow RAYON_NUM_THREADS.

    Raises EngineUnavailable, with the reason.
    """
    try:
        release = f"{UNICODE_TABLE_VERSION}/{version(HUGGING_FACE)}" if name == WORDS else version(name)
        encode = BUILDERS[name](source, parallel)
    except ModuleNotFoundError:  # importlib.metadata raises a subclass of it too
        raise EngineUnavailable("not installed (pip install 'curate-lm[encode]')") from None
    except EngineUnavailable:
        raise
    except Exception as error:  # what a foreign library raises for a file that it cannot take is not specified
        raise EngineUnavailable(f"does not take this tokenizer: {error}") from None
    return Engine(name, release, encode, long_spaces if name == "tiktoken" else None)


def hugging_face(source: Source, parallel: bool = False) -> Encode:
    """`tokenizers` with encode_batch_fast (no character offsets)."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(source.json.decode())

    def encode(texts: pa.LargeStringArray) -> Ids:
        found = tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        return joined([encoding.ids for encoding in found])

    return encode


def _gigatoken(source: Source, parallel: bool) -> Encode:
    import awkward
    import gigatoken

    tokenizer = gigatoken.Tokenizer.from_json(source.json)

    def encode(texts: pa.LargeStringArray) -> Ids:
        # an awkward array over the very buffers of Arrow: no Python string is made
        offsets, data = text_buffers(texts)
        characters = awkward.contents.NumpyArray(data, parameters={"__array__": "char"})
        strings = awkward.contents.ListOffsetArray(
            awkward.index.Index64(offsets), characters, parameters={"__array__": "string"}
        )
        rows = tokenizer.encode_batch(awkward.Array(strings), parallel=parallel).layout.to_ListOffsetArray64(True)
        ends = np.asarray(rows.offsets.data, np.int64)
        return np.asarray(rows.content.data, np.uint32)[: ends[-1]], ends

    return encode


def _fastokens(source: Source, parallel: bool) -> Encode:
    import fastokens

    tokenizer = fastokens.Tokenizer.from_json_str(source.json.decode())

    def encode(texts: pa.LargeStringArray) -> Ids:
        ids, offsets = tokenizer.encode_batch_flat(texts.to_pylist())
        return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64).astype(np.int64)

    return encode


def _tiktoken(source: Source, parallel: bool) -> Encode:
    import tiktoken

    vocabulary = source.vocabulary
    if vocabulary is None:
        raise EngineUnavailable("needs the ranks of a tokenizer of this project")
    if len(vocabulary.pattern.stages) != 1:
        raise EngineUnavailable(f"splits by one regular expression, the pattern has {len(vocabulary.pattern.stages)}")
    ranks = {token: rank for rank, token in enumerate(vocabulary.tokens())}
    encoding = tiktoken.Encoding(
        "curate", pat_str=vocabulary.pattern.stages[0], mergeable_ranks=ranks, special_tokens={}
    )

    def encode(texts: pa.LargeStringArray) -> Ids:
        return joined([encoding.encode_ordinary(text) for text in texts.to_pylist()])

    return encode


def _words(source: Source, parallel: bool) -> Encode:
    from tokenizer.encoding.word_engine import word_encoder
    from tokenizer.splitting.scan_rules import rules_of

    vocabulary = source.vocabulary
    if vocabulary is None or rules_of(vocabulary.pattern) is None:
        raise EngineUnavailable("needs a tokenizer of this project whose pattern has a scanner")
    return word_encoder(source.json, vocabulary)


def long_spaces(texts: pa.LargeStringArray) -> NDArray[np.bool_]:
    """bool per row: the text has a run of white space on which tiktoken could exhaust its stack."""
    offsets, _ = text_buffers(texts)
    rows = np.diff(offsets) > TIKTOKEN_LONGEST_SPACES
    for row in np.flatnonzero(rows):
        runs = SPACES.finditer(texts[int(row)].as_py())
        rows[row] = any(run.end() - run.start() > TIKTOKEN_LONGEST_SPACES for run in runs)
    return rows


def joined(rows: list[Any]) -> Ids:
    """Lists or arrays of ids, one a row, as one array with offsets."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    ids = np.empty(int(offsets[-1]), np.uint32)
    for row, start, end in zip(rows, offsets, offsets[1:], strict=False):
        ids[start:end] = row
    return ids, offsets


BUILDERS: dict[str, Callable[[Source, bool], Encode]] = {
    "gigatoken": _gigatoken,
    "fastokens": _fastokens,
    WORDS: _words,
    "tiktoken": _tiktoken,
    HUGGING_FACE: hugging_face,
}
