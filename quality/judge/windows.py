"""What of a document is sent: all of it, or three windows (begin, a middle chosen by the text's hash, end).

Personal data is found around each window and masked, also where a window's edge would cut it.  The bundled labels
were made from at most 2,200 characters: a judge compared with them should see as much.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from curation.pipeline.hashing import hash64
from curation.text.personal_data import KINDS, find
from quality.rubric.prompt import Excerpt

WINDOW_CHARS = (
    2_200  # of the document, in all windows together; a mask such as <email> may be longer than what it hides
)
WINDOWS = 3
MARGIN = 256  # characters looked at on both sides of a window: longer than any personal datum that is found
JOINED = 32  # an edge moves by at most so many characters to keep a character's marks with it
_JOINERS = "\u200d\ufe0e\ufe0f"


def excerpt(text: str, *, limit: int = WINDOW_CHARS, mask: bool = True) -> Excerpt:
    """Windows of at most `limit` characters in all.  Deterministic; cost does not grow with the text but for a hash."""
    if len(text) <= limit:
        return Excerpt((_window(text, 0, len(text), mask),), (), len(text))
    each = limit // WINDOWS
    space = len(text) - 3 * each  # the middle window begins between the end of the first and …
    begin = each + hash64(text, seed=0) % (space + 1)
    spans = [_safe(text, *span) for span in ((0, each), (begin, begin + each), (len(text) - each, len(text)))]
    gaps = [b[0] - a[1] for a, b in pairwise(spans)]
    return Excerpt(tuple(_window(text, a, b, mask) for a, b in spans), tuple(gaps), len(text))


def _safe(text: str, begin: int, end: int) -> tuple[int, int]:
    """The span made smaller so that neither edge parts a character from its combining marks."""
    for _ in range(JOINED):
        if begin < end and begin > 0 and _joined(text, begin):
            begin += 1
    for _ in range(JOINED):
        if begin < end < len(text) and _joined(text, end):
            end -= 1
    return begin, end


def _joined(text: str, at: int) -> bool:
    """Whether text[at] belongs to the character before it."""
    return bool(unicodedata.combining(text[at])) or text[at] in _JOINERS or text[at - 1] == "\u200d"


def _window(text: str, begin: int, end: int, mask: bool) -> str:
    if not mask:
        return text[begin:end]
    start = max(0, begin - MARGIN)
    around = text[start : end + MARGIN].encode()
    first = len(text[start:begin].encode())
    last = first + len(text[begin:end].encode())
    parts, at = [], first
    for one in find(around, KINDS):
        if one.end <= first or one.start >= last:
            continue
        parts += [around[at : max(at, one.start)], f"<{one.kind}>".encode()]
        at = max(at, one.end)
    return b"".join([*parts, around[at:last] if at < last else b""]).decode()
