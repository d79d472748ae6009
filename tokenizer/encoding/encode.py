"""Texts → ids: an Arrow column in, one array of ids with offsets out, by the fastest engine that is exact.

    encoder = open_encoder(Path("tokenizer"))
    ids, offsets = encoder.encode(column)  # the ids of row i: ids[offsets[i]:offsets[i + 1]]

`open_encoder` tries the engines from fast to slow and takes the first whose ids are Hugging Face's
(`verdicts`); rows with a code point that it knows otherwise go to Hugging Face.  A null gives no ids.
Strings of special tokens are text unless `allow_special` names them.  A document is never cut, so
its ids do not depend on how the column is chunked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from curation.text.arrow import text_buffers
from tokenizer.encoding.engines import BUILDERS, HUGGING_FACE, EngineUnavailable, Ids, build, joined
from tokenizer.encoding.risk import RiskyRows
from tokenizer.encoding.routing import Routed
from tokenizer.encoding.source import open_tokenizer
from tokenizer.encoding.special_text import AllowSpecial, SpecialText
from tokenizer.encoding.verdicts import Verdict, judge
from tokenizer.notes import Note, silent

log = logging.getLogger("curate")
CHUNK_BYTES = 8 << 20  # of text given to an engine at once; Hugging Face holds some 100 bytes a token meanwhile
NOT_TRIED = "not tried: a faster engine is exact"
SPEED_ORDER = tuple(BUILDERS)  # fast to slow, as benchmarks/tokenizer_encode.py measures them


@dataclass(frozen=True)
class Encoded:
    """`ids` uint32; `offsets` int64[n + 1]; `special_text` int64[n]: special strings that stayed text;

    `by_reference` bool[n]: rows that Hugging Face encoded in place of the engine.
    """

    ids: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    special_text: NDArray[np.int64]
    by_reference: NDArray[np.bool_]


@dataclass(frozen=True)
class Encoder:
    """An opened tokenizer.  `hash`: the vocabulary's, to be stored with ids; `report`: one verdict for each engine."""

    hash: str
    engine: str
    version: str
    report: tuple[Verdict, ...]
    special_ids: dict[str, int]
    routed: Routed
    special_text: SpecialText

    def encode(self, texts: pa.Array, *, allow_special: AllowSpecial = ()) -> Ids:
        """(ids uint32, offsets int64[n + 1]) of a string or large_string array of n texts, nulls allowed.

        Raises UsageError for another type, invalid UTF-8 or an unknown special token.
        """
        encoded = self.encode_counted(texts, allow_special=allow_special)
        return encoded.ids, encoded.offsets

    def encode_counted(self, texts: pa.Array, *, allow_special: AllowSpecial = ()) -> Encoded:
        """The same, with what a report should say."""
        allowed = self.special_text.allowed(allow_special)
        parts = [self._encode_chunk(chunk, allowed) for chunk in chunks(texts)]
        if len(parts) == 1:
            return parts[0]
        lengths = [np.diff(part.offsets) for part in parts]
        return Encoded(
            np.concatenate([np.zeros(0, np.uint32), *(part.ids for part in parts)]),
            np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths])),
            np.concatenate([np.zeros(0, np.int64), *(part.special_text for part in parts)]),
            np.concatenate([np.zeros(0, np.bool_), *(part.by_reference for part in parts)]),
        )

    def token_counts(self, texts: pa.Array) -> NDArray[np.int64]:
        """int64 per row; holds the ids of one chunk at a time."""
        counts = [np.diff(self.routed.encode(chunk)[1]) for chunk in chunks(texts)]
        return np.concatenate([np.zeros(0, np.int64), *counts])

    def _encode_chunk(self, texts: pa.LargeStringArray, allowed: frozenset[str]) -> Encoded:
        found = self.special_text.counts(texts)
        by_reference = self.routed.rows_for_reference(texts)
        split = self.special_text.rows_with(texts, allowed)
        if not split:
            return Encoded(*self.routed.encode(texts, by_reference), found, by_reference)
        flat = [piece for pieces in split.values() for piece in pieces[::2]]
        ids, ends = self.routed.encode(pa.array(flat, pa.large_string()))
        whole, whole_ends = self.routed.encode(texts, by_reference)
        rows: list[NDArray[np.uint32]] = []
        at = 0
        for row in range(len(texts)):
            if row not in split:
                rows.append(whole[whole_ends[row] : whole_ends[row + 1]])
                continue
            parts = []
            for i, piece in enumerate(split[row]):
                if i % 2:
                    parts.append(np.array([self.special_ids[piece]], np.uint32))
                    found[row] -= 1
                else:
                    parts.append(ids[ends[at] : ends[at + 1]])
                    at += 1
            rows.append(np.concatenate(parts))
        return Encoded(*joined(rows), found, by_reference)


def chunks(texts: pa.Array) -> Iterator[pa.LargeStringArray]:
    """Whole rows of at most CHUNK_BYTES together (or one longer row), as large_string without nulls."""
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise UsageError(f"texts must be a string or large_string array, not {texts.type}")
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        remedy = "decode them first; engines treat broken text differently"
        raise UsageError(f"the texts are not valid UTF-8: {error}", remedy) from None
    column = pc.fill_null(texts, "").cast(pa.large_string())
    offsets, _ = text_buffers(column)
    start = 0
    while start < len(column):
        stop = int(np.searchsorted(offsets, offsets[start] + CHUNK_BYTES, "right")) - 1
        stop = min(max(stop, start + 1), len(column))
        yield column.slice(start, stop - start)
        start = stop


def open_encoder(path: Path, engine: str = "auto", *, parallel: bool = False, note: Note = silent) -> Encoder:
    """Open a tokenizer directory or tokenizer.json (also one of others) for encoding.

    `engine`: auto, or a name of SPEED_ORDER, which must then pass the check.  `parallel`: let gigatoken use
    all cores; leave it off inside worker processes.  `note`: told of checks that take seconds.
    Raises UsageError: an unreadable tokenizer, or a named engine that is unknown, not installed or not exact.
    """
    if engine not in ("auto", *SPEED_ORDER):
        raise UsageError(f"no engine is called {engine!r}", f"known: auto, {', '.join(SPEED_ORDER)}")
    tokenizer = open_tokenizer(path)
    reference = build(HUGGING_FACE, tokenizer.source)
    report: list[Verdict] = []
    chosen: Routed | None = None
    for name in SPEED_ORDER if engine == "auto" else (engine,):
        if chosen is not None:
            report.append(Verdict(name, None, False, NOT_TRIED))
        elif name == HUGGING_FACE:
            report.append(Verdict(name, reference.version, True, "the reference"))
            chosen = Routed(reference, RiskyRows(np.zeros(0, np.int64)), reference.encode)
        else:
            try:
                candidate = build(name, tokenizer.source, parallel=parallel)
                verdict, risky = judge(candidate, reference, tokenizer, path, note)
            except EngineUnavailable as unavailable:
                report.append(Verdict(name, None, False, str(unavailable).splitlines()[0][:200]))
                continue
            report.append(verdict)
            if verdict.accepted:
                chosen = Routed(candidate, risky, reference.encode)
    if chosen is None:
        raise UsageError(f"engine {engine!r} cannot serve {path}: {report[0].reason}", "use engine='auto'")
    for verdict in report:
        log.info("encoder %s: %s (%s)", verdict.engine, "taken" if verdict.accepted else "not taken", verdict.reason)
    return Encoder(
        tokenizer.hash,
        chosen.engine.name,
        chosen.engine.version,
        tuple(report),
        tokenizer.special_ids,
        chosen,
        SpecialText(tokenizer.special_ids),
    )


def encode_reference(path: Path, texts: list[str]) -> list[list[int]]:
    """What `encode` gives without allowed specials, by `tokenizers` alone and one text at a time."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(open_tokenizer(path).source.json.decode())
    return [list(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
