"""Code points on which an engine does not agree with Hugging Face's `tokenizers`, and the rows that hold one.

Engines carry different versions of Unicode (gigatoken 0.10 that of 2025, tokenizers 0.23 that of 2024) and
different case folding; where they differ they split words elsewhere.  Nobody states the set, so it is
probed: with a vocabulary in which every split beside a non-ASCII character changes the ids, and each code
point in contexts that tell letters, cases, marks, digits, blanks and other apart.  Source: reference §5.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from curation.text import hashing
from curation.text.arrow import text_buffers
from curation.text.hashing import load_block
from curation.text.kernel import cached_kernel, source_digest
from tokenizer.encoding.engines import Encode
from tokenizer.encoding.source import Source, without_added_tokens
from tokenizer.formats.tokenizer_json import tokenizer_json
from tokenizer.splitting.patterns import Pattern
from tokenizer.vocabulary import BYTE_IDS, Vocabulary

# The planes that have characters; the others (4–13 unassigned, 15–16 private) are alike in every Unicode version.
PROBED = (range(0x80, 0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000))
# a|A lower or upper · 1|1 digit · blank|Aa caseless or not · !!|a mark or letter · !|! white space · a'| contraction
CONTEXTS = "a{0}A1{0}1 {0}Aa!!{0}a!{0}!a'{0}"
BATCH = 20_000  # code points probed at once
HIGH_BITS = np.uint64(0x8080_8080_8080_8080)


def probe_source(raw: dict[str, Any], pattern: Pattern | None) -> Source:
    """A tokenizer with the pre-tokeniser of `raw` in which each split beside a non-ASCII character shows.

    Its merges join an ASCII neighbour with a lead byte and a last byte with an ASCII neighbour; "a'" comes
    first, so that an apostrophe that is cut off shows too.
    """
    leads, tails = range(0xC2, 0xF5), range(0x80, 0xC0)
    before, after = b"a1 !'", b"A1a!"
    pairs = [(ord("a"), ord("'"))]
    pairs += [(left, lead) for left in before for lead in leads] + [(tail, right) for tail in tails for right in after]
    merges = BYTE_IDS[np.array(pairs)].astype(np.int32)
    vocabulary = Vocabulary(pattern or Pattern("custom", ()), merges, specials=())
    model = orjson.loads(tokenizer_json(vocabulary))["model"]
    return Source(without_added_tokens({**raw, "model": model}), vocabulary if pattern else None)


def probe_texts() -> Iterable[tuple[NDArray[np.int64], pa.LargeStringArray]]:
    """(code points, a text for each) in batches."""
    points = np.concatenate([np.arange(part.start, part.stop) for part in PROBED])
    for start in range(0, len(points), BATCH):
        part = points[start : start + BATCH]
        yield part, pa.array([CONTEXTS.format(chr(point)) for point in part.tolist()], pa.large_string())


def risk_points(engine: Encode, reference: Encode) -> NDArray[np.int64]:
    """The code points, ascending, whose probe the two encode differently.

    Both must be built from `probe_source`.  About 3 s of CPU time, nearly all of it the reference's.
    """
    found = []
    for points, texts in probe_texts():
        (ids, ends), (wanted, wanted_ends) = engine(texts), reference(texts)
        if np.array_equal(ends, wanted_ends):
            different = np.flatnonzero(ids != wanted)
            found.append(points[np.unique(np.searchsorted(ends, different, "right") - 1)])
        else:
            same = [
                np.array_equal(ids[ends[i] : ends[i + 1]], wanted[wanted_ends[i] : wanted_ends[i + 1]])
                for i in range(len(points))
            ]
            found.append(points[~np.array(same)])
    return np.concatenate(found)


class RiskyRows:
    """Finds the rows that hold one of `points`: 0.9 GB/s on mixed scripts, 3–7 GB/s where most is ASCII."""

    def __init__(self, points: NDArray[np.int64]) -> None:
        self.points = points
        self._heads = np.zeros(1 << 16, np.bool_)  # by the first two bytes: nearly every character ends here
        self._members = np.zeros(0x110000, np.bool_)
        self._members[points] = True
        for point in points.tolist():
            first, second = chr(point).encode()[:2]
            self._heads[first << 8 | second] = True

    def __call__(self, texts: pa.LargeStringArray) -> NDArray[np.bool_]:
        """bool per row.  `texts`: valid UTF-8."""
        rows = np.zeros(len(texts), np.bool_)
        if len(self.points):
            offsets, data = text_buffers(texts)
            _flag(offsets, data, self._heads, self._members, rows)
        return rows


def risky_rows_reference(texts: Iterable[str], points: Iterable[int]) -> list[bool]:
    """What RiskyRows finds, in plain Python."""
    risky = {chr(point) for point in points}
    return [not risky.isdisjoint(text) for text in texts]


def _kernel(*modules: ModuleType) -> Any:
    digest = source_digest(*modules)

    def flag(offsets, data, heads, members, rows):  # type: ignore[no-untyped-def]
        _ = digest
        for row in range(len(rows)):
            i, end = offsets[row], offsets[row + 1]
            while i < end - 1:
                if i + 8 <= end and load_block(data, i) & HIGH_BITS == 0:
                    i += 8
                    continue
                lead, second = np.int64(data[i]), np.int64(data[i + 1])
                if lead >= 0xC2 and heads[lead << 8 | second]:
                    point = (lead & 0x1F) << 6 | (second & 0x3F)
                    if lead >= 0xE0:
                        point = (lead & 0x0F) << 12 | (second & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F)
                    if lead >= 0xF0:
                        high = (lead & 0x07) << 18 | (second & 0x3F) << 12
                        point = high | (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F)
                    if members[point]:
                        rows[row] = True
                        break
                i += 1

    return cached_kernel(flag)


_flag = _kernel(hashing)
