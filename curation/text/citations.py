"""Taking marks of citations out of a line: `[12]`, `[]`, `[edit]`, `[citation needed]`.

Part of the kernel of `c4.edit`; the marks are those of C4's c4_utils.get_clean_page_fn.
"""

from __future__ import annotations

import numpy as np

from curation.text.edit_log import add_edit, line_function
from curation.text.kernel import kernel_function
from curation.text.line_classes import LineClass
from curation.text.utf8 import decode, previous

SPACE, DECIMAL = np.uint8(LineClass.SPACE), np.uint8(LineClass.DECIMAL)
OPENING_BRACKET, CLOSING_BRACKET = ord("["), ord("]")
_EDIT, _CITATION_NEEDED = (np.frombuffer(mark, np.uint8) for mark in (b"[edit]", b"[citation needed]"))


@kernel_function
def _citation_length(buffer, i, end, classes):  # type: ignore[no-untyped-def]
    """Bytes of the citation mark at byte i, or 0: `[12]`, `[]`, `[edit]`, `[citation needed]`."""
    j = i + 1
    while j < end:
        c, step = decode(buffer, j, end)
        if c == CLOSING_BRACKET:
            return j + 1 - i
        if not classes[c] & DECIMAL:
            break
        j += step
    if _starts_with(buffer, i, end, _EDIT):
        return len(_EDIT)
    if _starts_with(buffer, i, end, _CITATION_NEEDED):
        return len(_CITATION_NEEDED)
    return 0


@kernel_function
def _starts_with(buffer, i, end, mark):  # type: ignore[no-untyped-def]
    if i + len(mark) > end:
        return False
    k = 0
    while k < len(mark) and buffer[i + k] == mark[k]:
        k += 1
    return k == len(mark)


@line_function
def copy_without_citations(buffer, document, first, last, out, o, leading, classes, log, rule):  # type: ignore[no-untyped-def]
    """Copy a line without citation marks, logging each; returns (end in out, citations).

    leading: the line would be the document's first, so white space behind a mark at its front goes too.
    """
    begin = o
    citations = 0
    i = first
    while i < last:
        length = _citation_length(buffer, i, last, classes) if buffer[i] == OPENING_BRACKET else 0
        if length == 0:
            out[o] = buffer[i]
            o += 1
            i += 1
            continue
        stop = i + length
        while leading and o == begin and stop < last:
            c, step = decode(buffer, stop, last)
            if not classes[c] & SPACE:
                break
            stop += step
        add_edit(log, rule, i - document, stop - document, False)
        citations += 1
        i = stop
    return o, citations


@line_function
def trim_citations(buffer, document, first, last, stop, classes, log, used, rule):  # type: ignore[no-untyped-def]
    """The end in out of a line whose last citation marks left white space, which goes with them.

    The marks at the line's end become one edit; those of the line begin at log entry `used`.
    """
    i = last
    while i > first:
        n = log.used[0] - 1
        if n >= used and log.start[n] + log.length[n] == i - document:
            i = document + log.start[n]
            log.used[0] = n
            continue
        before = previous(buffer, first, i)
        c, _ = decode(buffer, before, i)
        if not classes[c] & SPACE:
            break
        stop -= i - before
        i = before
    if i < last:
        add_edit(log, rule, i - document, last - document, False)
    return stop
