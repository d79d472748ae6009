"""Writes `data/case_folding.tsv`: one code point to one code point, from the running Python's Unicode.

    python -m curation.text.make_case_folding

A development tool: changing the table is a new SHINGLE_VERSION.  Folding is the simple kind of
Unicode's CaseFolding.txt (no character becomes two): lower case, then case folding where it is one
code point, so that final and medial sigma agree; dotted capital I becomes i.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

from curation.text.character_classes import CODE_POINTS

PATH = Path(__file__).parent / "data" / "case_folding.tsv"
DOTTED_I = 0x130  # its lower case is `i` and a combining dot


def fold(code: int) -> int:
    """The simple case folding of one code point."""
    if 0xD800 <= code < 0xE000:
        return code
    if code == DOTTED_I:
        return ord("i")
    lower = chr(code).lower()
    lower = lower if len(lower) == 1 else chr(code)
    folded = lower.casefold()
    return ord(folded) if len(folded) == 1 else ord(lower)


def main() -> None:
    lines = [f"# Unicode {unicodedata.unidata_version}: code point, its case folding; hexadecimal; absent: itself"]
    lines += [f"{code:X}\t{fold(code):X}" for code in range(CODE_POINTS) if fold(code) != code]
    PATH.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
