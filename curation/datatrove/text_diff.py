"""What a foreign block did to a text, as a log of edits: by lines, and within changed lines by what differs.

A block gives back a whole new text.  Lines that stay are found by the longest common subsequence
(bit-parallel, RapidFuzz); texts with very many lines are told as one edit, since its cost is quadratic.
"""

from __future__ import annotations

from rapidfuzz.distance import Indel, Postfix, Prefix

from curation.text.edit_rows import EditRows

LINE_PAIRS = 25_000_000  # 5,000 × 5,000 lines: 3 MB of bit matrix


def log_difference(log: EditRows, rule: str, before: str, after: str) -> None:
    """Add the edits that turn one text into the other; places are UTF-8 bytes in `before`."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) * len(new) > LINE_PAIRS:
        old, new = [before], [after]
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line.encode()))
    for first, last, text in _replaced(old, new):
        _add(log, rule, starts[first], "".join(old[first:last]), text)


def _replaced(old: list[str], new: list[str]) -> list[tuple[int, int, str]]:
    """(first line, line after the last, what stands there now), neighbours joined."""
    found: list[tuple[int, int, str]] = []
    for code in Indel.opcodes(old, new):
        if code.tag == "equal":
            continue
        text = "".join(new[code.dest_start : code.dest_end])
        if found and found[-1][1] == code.src_start:
            found[-1] = (found[-1][0], code.src_end, found[-1][2] + text)
        else:
            found.append((code.src_start, code.src_end, text))
    return found


def _add(log: EditRows, rule: str, start: int, before: str, after: str) -> None:
    """One edit without what the two texts share at both ends."""
    same = Prefix.similarity(before, after)
    start += len(before[:same].encode())
    before, after = before[same:], after[same:]
    tail = Postfix.similarity(before, after)
    before, after = before[: len(before) - tail], after[: len(after) - tail]
    log.add(rule, start, len(before.encode()), before, after)
