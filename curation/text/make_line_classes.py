"""Writes data/line_classes.tsv from its published sources.

A maintainer's tool, not part of any run: `python -m curation.text.make_line_classes` in an environment
with `unicodedata2` (general categories) and `spacy` 3.8 (MIT: the sentencizer's characters).
A new source version may change decisions: raise the editors' versions.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import spacy  # type: ignore[import-not-found]
import unicodedata2 as ucd  # type: ignore[import-not-found]
from spacy.pipeline import Sentencizer  # type: ignore[import-not-found]

from curation.text.character_classes import CODE_POINTS
from curation.text.line_classes import LineClass

PATH = Path(__file__).parent / "data" / "line_classes.tsv"
# Capital letters of other general categories (Unicode property Other_Uppercase): str.isupper counts them.
OTHER_UPPERCASE = [(0x2160, 0x216F), (0x24B6, 0x24CF), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]


def bits(code: int) -> int:
    character = chr(code)
    category = ucd.category(character)
    found = 0
    if category[0] == "P":
        found |= LineClass.PUNCTUATION
    if character in Sentencizer.default_punct_chars:
        found |= LineClass.SENTENCE_END
    if category == "Lu" or any(first <= code <= last for first, last in OTHER_UPPERCASE):
        found |= LineClass.UPPERCASE
    if ucd.digit(character, None) is not None:
        found |= LineClass.DIGIT
    if category == "Nd":
        found |= LineClass.DECIMAL
    return found


def main() -> None:
    lines = [
        f"# Unicode {ucd.unidata_version} general categories; sentence ends of spaCy {spacy.__version__} (MIT).",
        "# first code point, last code point, bits of LineClass; all hexadecimal; absent: 0",
    ]
    for value, run in groupby(range(CODE_POINTS), key=bits):
        codes = list(run)
        if value:
            lines.append(f"{codes[0]:X}\t{codes[-1]:X}\t{value:X}")
    PATH.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
