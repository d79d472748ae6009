"""The `unicode` item: texts that were decoded wrongly repaired (library ftfy), controls dropped, then NFC.

Works line by line: a line that is ASCII without controls cannot change and is never looked at, and every
changed line is one edit, cut to what differs.  What changes only the look of a text stays as it is:
curly quotes, ligatures, full-width forms, line breaks, HTML entities.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.pipeline.errors import UsageError
from curation.pipeline.task import Json
from curation.rules.item import CleanItem, Columns, Limited
from curation.text.edit_rows import EditRows
from curation.text.edits import EditedText
from curation.text.replace import replace_rows

UNICODE_VERSION = 1
FIX, NORMALIZE = "unicode.fix", "unicode.normalize"
COUNTS = pa.struct([("fixed_lines", pa.int64()), ("normalized_lines", pa.int64()), ("skipped_lines", pa.int64())])

LINE_CHARACTERS = 1_000_000  # a longer line is not prose, and stays as it is
# Runs of combining marks beyond UAX 15's Stream-Safe format (30) cost quadratic time to order; such lines stay.
MARKS = 30

_SUSPECT = r"[\x00-\x08\x0b\x0e-\x1f\x7f]|[^\x00-\x7f]"  # RE2: a line without these is its own repair
_ALWAYS_FIXED = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u206a-\u206f\ufeff\ufff9-\ufffc]")
# All that ftfy's badness heuristic reacts to has two neighbours beyond ASCII or one of these letters.
_MAYBE_BAD = re.compile("[^\x00-\x7f]{2}|[ŒœÃÂ]")


class UnicodeConfig(Limited):
    """Repair wrongly decoded text and normalise it."""

    normalize: Literal["NFC", "none"] = Field("NFC", description="Unicode normal form")
    fix: bool = Field(True, description="repair mojibake and drop control characters, by ftfy")


@dataclass(frozen=True)
class _Line:
    """start, end: characters of the text, without the line break; after: the repaired line."""

    start: int
    end: int
    after: str
    rule: str


def missing() -> str | None:
    """What to do when ftfy cannot be imported; None when it can."""
    if find_spec("ftfy") is not None:
        return None
    return "clean: unicode: fix: true needs ftfy: pip install 'curate-lm[ftfy]' (or set fix: false)"


def _located(config: UnicodeConfig, base: Path) -> UnicodeConfig:
    """A missing extra is refused before the run."""
    problem = missing() if config.fix else None
    if problem is not None:
        raise UsageError(problem)
    return config


def repair(text: pa.LargeStringArray, fix: bool, normalize: bool) -> EditedText:
    """n texts repaired and in NFC.

    text: large_string, null rows stay null.  Edits: one a changed line, rule `unicode.fix` where ftfy
    changed it, otherwise `unicode.normalize`; before and after without the ends that agree.
    Column `unicode`: lines by what was done, `skipped_lines` for those beyond the limits.
    """
    counts = np.zeros((3, len(text)), np.int64)
    suspect = pc.fill_null(pc.match_substring_regex(text, _SUSPECT), False).to_numpy(zero_copy_only=False)
    edits = EditRows()
    changed: dict[int, str] = {}
    for i in range(len(text)):
        original = text[i].as_py() if suspect[i] else ""
        if (fix and _maybe_bad(original)) or (normalize and _worth_normalizing(original)):
            lines, counts[:, i] = _repaired_lines(original, fix, normalize)
            if lines:
                changed[i] = _rewritten(original, lines, edits)
        edits.next_document()
    column = pa.StructArray.from_arrays([pa.array(row) for row in counts], fields=list(COUNTS), mask=text.is_null())
    return EditedText(replace_rows(text, changed), edits.to_array(), {"unicode": column})


def _maybe_bad(text: str) -> bool:
    """Whether ftfy could change the text: it must hold something that ftfy drops or takes for mojibake."""
    return _ALWAYS_FIXED.search(text) is not None or _MAYBE_BAD.search(text) is not None


def _worth_fixing(line: str) -> bool:
    """Whether ftfy would look for a repair: it says so itself, but much later."""
    import ftfy.badness

    return _ALWAYS_FIXED.search(line) is not None or (_MAYBE_BAD.search(line) is not None and ftfy.badness.is_bad(line))


def _worth_normalizing(text: str) -> bool:
    return not text.isascii() and (_many_marks().search(text) is not None or not unicodedata.is_normalized("NFC", text))


def _repaired_lines(text: str, fix: bool, normalize: bool) -> tuple[list[_Line], list[int]]:
    """The lines that change, in order, and the counts of column `unicode`."""
    lines: list[_Line] = []
    counts = [0, 0, 0]
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        before = text[start:end]
        if not before.isascii() or _ALWAYS_FIXED.search(before):
            if len(before) > LINE_CHARACTERS or _many_marks().search(before):
                counts[2] += 1
            else:
                fixed = _fixer()(before) if fix and _worth_fixing(before) else before
                after = unicodedata.normalize("NFC", fixed) if normalize else fixed
                if after != before:
                    counts[fixed == before] += 1
                    lines.append(_Line(start, end, after, NORMALIZE if fixed == before else FIX))
        start = end + 1
    return lines, counts


@cache
def _many_marks() -> re.Pattern[str]:
    """More than MARKS characters in a row whose canonical combining class is not 0."""
    points = [point for point in range(0x300, 0x110000) if unicodedata.combining(chr(point))]
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in ranges) + f"]{{{MARKS + 1}}}")


@cache
def _fixer() -> Callable[[str], str]:
    """ftfy on one line, with the settings that repair and those only."""
    import ftfy

    config = ftfy.TextFixerConfig(
        unescape_html=False,
        uncurl_quotes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        fix_line_breaks=False,
        normalization=None,
        explain=False,
    )

    def fix(line: str) -> str:
        fixed: str = ftfy.fix_text(line, config)
        return fixed

    return fix


def _rewritten(text: str, lines: list[_Line], edits: EditRows) -> str:
    """The new text; its edits are logged.  Byte offsets are counted on, so the cost is linear."""
    parts: list[str] = []
    position, offset = 0, 0  # the same place in characters and in bytes of the given text
    for line in lines:
        before = text[line.start : line.end]
        head = _common(before, line.after)
        tail = _common(before[head:][::-1], line.after[head:][::-1])
        start, end = line.start + head, line.end - tail
        offset += len(text[position:start].encode())
        removed, added = text[start:end], line.after[head : len(line.after) - tail]
        length = len(removed.encode())
        edits.add(line.rule, offset, length, removed, added)
        parts += [text[position:start], added]
        position, offset = end, offset + length
    return "".join([*parts, text[position:]])


def _common(a: str, b: str) -> int:
    """Length of the common beginning of two strings, by halving."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _edit(text: pa.LargeStringArray, columns: Columns, edited: Json) -> EditedText:
    return repair(text, edited["fix"], edited["normalize"] == "NFC")


def _versions(edited: Json) -> dict[str, str]:
    return {"unicode": unicodedata.unidata_version} | ({"ftfy": version("ftfy")} if edited["fix"] else {})


UNICODE = CleanItem(
    key="unicode",
    version=UNICODE_VERSION,
    config=UnicodeConfig,
    located=_located,
    edited=lambda config: {"fix": config.fix, "normalize": config.normalize},
    edit=_edit,
    columns=lambda edited: [pa.field("unicode", COUNTS)],
    versions=_versions,
)
