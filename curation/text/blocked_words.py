"""Whether lower-cased text has a word of a list, with one table look-up a byte (Aho and Corasick 1975).

A word, which may be a phrase, counts where a character other than a–z stands on both sides: the
condition of c4_utils.get_clean_page_fn.  "Lower-cased" is Python's str.lower: besides A–Z only two code
points become ASCII letters, the Kelvin sign (`k`) and the capital I with a dot (`i` and a combining dot).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.edit_log import line_function
from curation.text.kernel import kernel_function

MAX_STATES = 60_000  # of uint16
MAX_LENGTH = 255  # bytes of a word
SMALL_A, SMALL_Z, FOLD = ord("a"), ord("z"), 0x20
KELVIN = "\u212a".encode()  # E2 84 AA
DOTTED_I = "\u0130".encode()  # C4 B0


class BlockedWords(NamedTuple):
    """The automaton; states are numbered so that those where some word ends come last."""

    symbols: NDArray[np.uint8]  # [256] symbol of a byte; 0 for bytes that no word has
    follow: NDArray[np.uint16]  # [states, symbols]; one state where there is no word
    first_accepting: int
    length: NDArray[np.uint8]  # [states] bytes of the word that ends here, or 0
    shorter: NDArray[np.uint16]  # [states] where the next shorter word ends, or 0


def compile_blocked_words(words: Iterable[str]) -> BlockedWords:
    """The automaton of some lower-case words.

    Raises ValueError for an empty or very long word, or more than MAX_STATES states.
    """
    patterns = [word.encode() for word in sorted(set(words))]
    if any(not 0 < len(pattern) <= MAX_LENGTH for pattern in patterns):
        raise ValueError(f"a blocked word has 1 to {MAX_LENGTH} bytes")
    alphabet = sorted({byte for pattern in patterns for byte in pattern})
    symbols = np.zeros(256, np.uint8)
    symbols[alphabet] = np.arange(1, len(alphabet) + 1)
    symbols[SMALL_A - FOLD : SMALL_Z + 1 - FOLD] = symbols[SMALL_A : SMALL_Z + 1]

    children: list[dict[int, int]] = [{}]
    lengths = [0]
    for pattern in patterns:
        state = 0
        for byte in pattern:
            state = children[state].setdefault(int(symbols[byte]), len(children))
            if state == len(children):
                children.append({})
                lengths.append(0)
        lengths[state] = len(pattern)
    count = len(children)
    if count > MAX_STATES:
        raise ValueError(f"the blocked words need {count} states, more than {MAX_STATES}")

    follow = np.zeros((count, len(alphabet) + 1), np.int64)
    suffix, shorter = [0] * count, [0] * count
    order = [0]
    for state in order:
        follow[state] = follow[suffix[state]] if state else 0
        for symbol, child in sorted(children[state].items()):
            suffix[child] = int(follow[state, symbol]) if state else 0
            shorter[child] = suffix[child] if lengths[suffix[child]] else shorter[suffix[child]]
            follow[state, symbol] = child
            order.append(child)
    accepting = [lengths[state] > 0 or shorter[state] > 0 for state in range(count)]
    rank = sorted(range(count), key=lambda state: (accepting[state], state))  # state 0 stays 0
    number = np.empty(count, np.uint16)
    number[rank] = np.arange(count, dtype=np.uint16)
    return BlockedWords(
        symbols,
        number[follow[rank]],
        accepting.count(False),
        np.array(lengths, np.uint8)[rank],
        number[np.array(shorter)[rank]],
    )


@line_function
def has_blocked_word(buffer, start, end, words):  # type: ignore[no-untyped-def]
    """Whether the lower-cased buffer[start:end] has a word of the list."""
    state = np.uint16(0)
    i = start
    while i < end:
        byte = buffer[i]
        symbol, step = words.symbols[byte], 1
        if byte >= 0x80:
            if _is_kelvin(buffer, i, end):
                symbol, step = words.symbols[ord("k")], 3
            elif _is_dotted_i(buffer, i, end):
                symbol = words.symbols[ord("i")]
        i += step
        state = words.follow[state, symbol]
        if state >= words.first_accepting:
            one = state if words.length[state] else words.shorter[state]
            while one:
                if _stands_alone(buffer, start, i, end, words.length[one]):
                    return True
                one = words.shorter[one]
    return False


@kernel_function
def _is_kelvin(buffer, i, end):  # type: ignore[no-untyped-def]
    return i + 2 < end and buffer[i] == KELVIN[0] and buffer[i + 1] == KELVIN[1] and buffer[i + 2] == KELVIN[2]


@kernel_function
def _is_dotted_i(buffer, i, end):  # type: ignore[no-untyped-def]
    return i + 1 < end and buffer[i] == DOTTED_I[0] and buffer[i + 1] == DOTTED_I[1]


@kernel_function
def _is_letter(byte):  # type: ignore[no-untyped-def]
    return SMALL_A <= byte | FOLD <= SMALL_Z


@kernel_function
def _stands_alone(buffer, start, i, end, length):  # type: ignore[no-untyped-def]
    """Whether the word of `length` bytes before byte i has a character other than a–z on each side."""
    if i >= end or _is_letter(buffer[i]) or _is_kelvin(buffer, i, end) or _is_dotted_i(buffer, i, end):
        return False
    for _ in range(length):
        i -= 3 if i - 3 >= start and _is_kelvin(buffer, i - 3, i) else 1
    if i <= start or _is_letter(buffer[i - 1]):
        return False
    return not (i - 3 >= start and _is_kelvin(buffer, i - 3, i))
