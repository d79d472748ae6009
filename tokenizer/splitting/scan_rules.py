r"""A preset's regular expression as data: eight bits a code point and three switches, for one scanner.

The presets are one machine with different alphabets:

    contraction | PREFIX? FIRST* REST+ contraction? | PREFIX? FIRST+ REST* contraction?
    | NUMBER{1,digits} | ' '? MARKING+ TAIL* | SPACE* BREAK+ | SPACE+(?!\S) | SPACE+

With FIRST = REST the two word alternatives are one `PREFIX? LETTER+` (Llama 3, Qwen, GPT-2); an empty
BREAK or TAIL removes its part (GPT-2).  deepseek-v3 (three stages) and free expressions have no rules.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tokenizer.splitting.patterns import Pattern
from tokenizer.splitting.unicode_table import UnicodeClass, unicode_classes

FIRST, REST, NUMBER, MARKING, SPACE, PREFIX, TAIL, BREAK = (np.uint8(1 << k) for k in range(8))

# Where `'s 't 're 've 'm 'll 'd` stand: after a word and in either case, before all else, or so in lower case only.
CONTRACTION_AFTER, CONTRACTION_BEFORE, CONTRACTION_LOWER = 0, 1, 2

ANY_NUMBER_OF_DIGITS = 1 << 62


class Rules(NamedTuple):
    """What the kernel gets; all presets have the same types, so it is compiled once."""

    bits: NDArray[np.uint8]  # [0x110000]
    contraction: int
    digits: int  # longest run of NUMBER in one word
    spaced_digits: int  # 1 if a space may stand before the digits


U = UnicodeClass
_CASED = {U.UPPER: FIRST, U.LOWER: REST, U.CASELESS: FIRST | REST}
_LETTERS = dict.fromkeys(_CASED, FIRST | REST)


def _bits(
    letters: dict[UnicodeClass, np.uint8],
    *,
    marks: np.uint8,
    prefixes: tuple[UnicodeClass, ...] = (U.OTHER, U.MARK, U.SPACE),
    breaks: str = "\r\n",
    tail: str = "\r\n",
) -> NDArray[np.uint8]:
    """The bits of every code point: those of its class, then those of single characters."""
    of_class = np.zeros(len(U), np.uint8)
    for kind, bits in {**letters, U.MARK: marks, U.NUMBER: NUMBER, U.OTHER: MARKING, U.SPACE: SPACE}.items():
        of_class[kind] = bits
    of_class[list(prefixes)] |= PREFIX
    table: NDArray[np.uint8] = of_class[unicode_classes()]
    for character in breaks:
        table[ord(character)] = (table[ord(character)] | BREAK) & ~PREFIX
    for character in tail:
        table[ord(character)] |= TAIL
    return table


def _with_space_prefix(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bits[ord(" ")] |= PREFIX
    return bits


@cache
def rules_of(pattern: Pattern) -> Rules | None:
    """The rules of a preset, or None where there are none and the regular expression itself must be run."""
    match pattern.name:
        case "o200k" | "o200k-1digit":
            bits = _bits(_CASED, marks=FIRST | REST | MARKING, tail="\r\n/")
            rules = Rules(bits, CONTRACTION_AFTER, 3 if pattern.name == "o200k" else 1, 0)
        case "llama3" | "qwen2.5":
            bits = _bits(_LETTERS, marks=MARKING)
            rules = Rules(bits, CONTRACTION_BEFORE, 3 if pattern.name == "llama3" else 1, 0)
        case "qwen3.5":
            rules = Rules(_bits(_LETTERS, marks=FIRST | REST), CONTRACTION_BEFORE, 1, 0)
        case "gpt2":
            bits = _with_space_prefix(_bits(_LETTERS, marks=MARKING, prefixes=(), breaks="", tail=""))
            rules = Rules(bits, CONTRACTION_LOWER, ANY_NUMBER_OF_DIGITS, 1)
        case _:
            return None
    rules.bits.setflags(write=False)
    return rules
