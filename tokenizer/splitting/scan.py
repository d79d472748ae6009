r"""The scanner: where each word of a UTF-8 text ends, for the presets that `scan_rules` describes.

Every alternative of the regular expressions is found in one pass with at most one look back, so the time
is linear in the text whatever it is.  Its reference is Hugging Face's `Split` with the verbatim expression
(`pretokenize.word_ends_reference`).  Bytes that are no UTF-8 count as U+FFFD one by one, never a crash.
"""

from __future__ import annotations

from curation.text.kernel import kernel_function
from curation.text.utf8 import decode
from tokenizer.splitting.scan_rules import (
    BREAK,
    CONTRACTION_AFTER,
    CONTRACTION_LOWER,
    FIRST,
    MARKING,
    NUMBER,
    PREFIX,
    REST,
    SPACE,
    TAIL,
)

APOSTROPHE, BLANK, LOWER_CASE = 0x27, 0x20, 0x20
S, T, M, D, R, E, V, L = (ord(letter) for letter in "stmdrevl")


@kernel_function
def scan_rows(buffer, offsets, rules, ends, first, state):  # type: ignore[no-untyped-def]
    """Append to `ends` the byte end of every word of texts state[0]… ; returns whether all texts are done.

    buffer uint8, offsets int64[n + 1], ends int64 (filled up to state[2]), first int64[n + 1], state int64[3]:
    text, byte in the buffer, words so far.  Stops when `ends` is full: call again with a longer one.
    """
    row, i, n = state[0], state[1], state[2]
    while row < len(offsets) - 1:
        end = offsets[row + 1]
        while i < end:
            if n == len(ends):
                state[0], state[1], state[2] = row, i, n
                return False
            i = word_end(buffer, i, end, rules)
            ends[n] = i
            n += 1
        row += 1
        i = end
        first[row] = n
    state[0], state[1], state[2] = row, i, n
    return True


@kernel_function
def word_end(buffer, i, end, rules):  # type: ignore[no-untyped-def]
    """The byte end of the word that begins at byte i (i < end)."""
    code, step = decode(buffer, i, end)
    kind = rules.bits[code]
    if rules.contraction != CONTRACTION_AFTER and code == APOSTROPHE:
        k = contraction_end(buffer, i, end, rules.contraction)
        if k > i:
            return k
    if kind & (FIRST | REST):
        return letters_end(buffer, i, end, rules)
    if kind & PREFIX:  # a mark is both: `letters_end` from it finds what the prefixed alternative would
        k = letters_end(buffer, i + step, end, rules)
        if k > i + step:
            return k
    start = i
    if code == BLANK and i + 1 < end:
        start = i + 1
        code, step = decode(buffer, start, end)
        kind = rules.bits[code]
    if kind & NUMBER and (start == i or rules.spaced_digits):
        return run_end(buffer, start + step, end, rules.bits, NUMBER, rules.digits - 1)
    if kind & MARKING:
        k = run_end(buffer, start + step, end, rules.bits, MARKING, end)
        return run_end(buffer, k, end, rules.bits, TAIL, end)
    return space_end(buffer, i, end, rules.bits)


@kernel_function
def letters_end(buffer, start, end, rules):  # type: ignore[no-untyped-def]
    r"""End of `FIRST* REST+` or else `FIRST+ REST*` from `start`, with its contraction; `start` if there is none."""
    bits = rules.bits
    k, last, kind = start, start, FIRST
    while k < end:
        code, step = decode(buffer, k, end)
        kind = bits[code]
        if not kind & FIRST:
            break
        k += step
        if kind & REST:
            last = k
    if k < end and kind & REST:
        k = run_end(buffer, k, end, bits, REST, end)
    elif last > start:  # FIRST* gives back what follows its last member of REST
        k = last
    if rules.contraction == CONTRACTION_AFTER and k > start:
        k = contraction_end(buffer, k, end, CONTRACTION_AFTER)
    return k


@kernel_function
def run_end(buffer, k, end, bits, wanted, most):  # type: ignore[no-untyped-def]
    """End of the run of at most `most` code points with the bit `wanted`, from byte k."""
    while k < end and most > 0:
        code, step = decode(buffer, k, end)
        if not bits[code] & wanted:
            break
        k += step
        most -= 1
    return k


@kernel_function
def space_end(buffer, i, end, bits):  # type: ignore[no-untyped-def]
    r"""End of `SPACE* BREAK+ | SPACE+(?!\S) | SPACE+`: after the last break, else before the last space, else all."""
    k, last, after_break = i, i, i
    while k < end:
        code, step = decode(buffer, k, end)
        kind = bits[code]
        if not kind & SPACE:
            break
        last = k
        k += step
        if kind & BREAK:
            after_break = k
    if after_break > i:
        return after_break
    return last if k < end and last > i else k


@kernel_function
def contraction_end(buffer, k, end, kind):  # type: ignore[no-untyped-def]
    """End of 's 't 'm 'd 're 've 'll at byte k, or k; ſ (U+017F) folds to s where case does not matter."""
    if k + 1 >= end or buffer[k] != APOSTROPHE:
        return k
    fold = 0 if kind == CONTRACTION_LOWER else LOWER_CASE
    letter = buffer[k + 1] | fold
    if letter == S or letter == T or letter == M or letter == D:  # noqa: SIM109 (a tuple is slower here)
        return k + 2
    if k + 2 < end:
        if fold and buffer[k + 1] == 0xC5 and buffer[k + 2] == 0xBF:
            return k + 3
        second = buffer[k + 2] | fold
        if (second == E and (letter == R or letter == V)) or (second == L and letter == L):  # noqa: SIM109
            return k + 3
    return k
