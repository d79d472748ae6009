r"""Writes `data/unicode_classes.tsv` by asking the installed `tokenizers` which class each code point is in.

    python -m tokenizer.make_unicode_table

A development tool.  The classes differ between libraries and years (Python's `unicodedata`, `regex`,
encoding engines), so the table follows the one library that every exported vocabulary must agree with.
A changed table is a new UNICODE_TABLE_VERSION: count tables made with another one are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, pre_tokenizers
from tokenizers import __version__ as tokenizers_version

from tokenizer.splitting.unicode_table import CODE_POINTS, SURROGATES, TABLE_PATH, UnicodeClass

# One regular expression a class; the classes do not overlap (asserted) and OTHER is the rest.
EXPRESSIONS = {
    UnicodeClass.UPPER: r"[\p{Lu}\p{Lt}]",
    UnicodeClass.LOWER: r"\p{Ll}",
    UnicodeClass.CASELESS: r"[\p{Lm}\p{Lo}]",
    UnicodeClass.MARK: r"\p{M}",
    UnicodeClass.NUMBER: r"\p{N}",
    UnicodeClass.SPACE: r"\s",
}
LETTERS = (UnicodeClass.UPPER, UnicodeClass.LOWER, UnicodeClass.CASELESS)

# The first code points of each Unicode version that are letters, numbers or marks: which are known tells the version.
MILESTONES = {"14.0": 0x10570, "15.0": 0x11F02, "15.1": 0x2EBF0, "16.0": 0x10D40, "17.0": 0x0C5C}


def members(expression: str, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of `codes` (ascending) that `expression` matches as a text of their own."""
    inside = np.ones(len(codes), bool)
    splitter = pre_tokenizers.Split(Regex(expression), "removed")  # leaves what does not match
    for _, (begin, end) in splitter.pre_tokenize_str("".join(map(chr, codes.tolist()))):  # offsets in characters
        inside[begin:end] = False
    return codes[inside]


def probe() -> NDArray[np.uint8]:
    """uint8[0x110000]: the class of every code point in the installed `tokenizers`."""
    codes = np.array([code for code in range(CODE_POINTS) if code not in SURROGATES], np.int64)
    codes = members("|".join(EXPRESSIONS.values()), codes)  # the others need no second look
    table = np.zeros(CODE_POINTS, np.uint8)
    for kind, expression in EXPRESSIONS.items():
        inside = members(expression, codes)
        if np.any(table[inside]):
            raise ValueError(f"{kind.name} overlaps another class")
        table[inside] = kind
    if not np.array_equal(members(r"\p{L}", codes), codes[np.isin(table[codes], LETTERS)]):
        raise ValueError(r"\p{L} is not the union of its parts")
    return table


def unicode_version(table: NDArray[np.uint8]) -> str:
    """The newest Unicode version of which `table` knows the milestone."""
    return max(
        (version for version, code in MILESTONES.items() if table[code]), key=lambda v: tuple(map(int, v.split(".")))
    )


def ranges(table: NDArray[np.uint8]) -> Iterator[tuple[int, int, int]]:
    """(first, last, class) of every run of code points of one class but OTHER."""
    first = 0
    for kind, run in groupby(table.tolist()):
        last = first + len(list(run)) - 1
        if kind:
            yield first, last, kind
        first = last + 1


def main() -> None:
    table = probe()
    version = f"{unicode_version(table)}/tokenizers-{tokenizers_version}"
    lines = [f"# {version}", "# first, last code point (hexadecimal), class; absent: OTHER"]
    lines += [f"{first:X}\t{last:X}\t{UnicodeClass(kind).name}" for first, last, kind in ranges(table)]
    Path(TABLE_PATH).write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{TABLE_PATH}: {version}, {len(lines) - 2} ranges; set UNICODE_TABLE_VERSION in patterns.py to it")


if __name__ == "__main__":
    main()
