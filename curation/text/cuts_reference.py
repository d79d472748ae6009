"""`cuts.cut` for one document in plain Python, the oracle of its tests."""

from __future__ import annotations

from curation.text.character_classes import CharacterClass, class_table
from curation.text.cuts import IN_WORD, JOINER, REACH

Edit = tuple[int, int, str, str]  # start, length (UTF-8 bytes), before, after


def cut_reference(text: str, ranges: list[tuple[int, int]], *, at_words: bool) -> tuple[str, list[Edit], bool]:
    """(new text, edits, nothing visible left); `ranges` are bytes of the UTF-8 text, or with `at_words` any bytes."""
    at = [0]  # byte where each code point begins, and the end
    for character in text:
        at.append(at[-1] + len(character.encode()))
    index = {byte: i for i, byte in enumerate(at)}
    merged: list[list[int]] = []
    for low, high in ranges:
        while low not in index:
            low += 1
        while high not in index:
            high -= 1
        a, b = index[min(low, max(high, low))], index[max(high, low)]
        if at_words:
            near = range(a, min(a + REACH, b + 1))
            a = next((i for i in near if i >= b or _word_end(text, i)), a)
            near = range(b, max(b - REACH, a - 1), -1)
            b = next((i for i in near if i <= a or _word_end(text, i)), b)
        passage = text[a:b]
        a, b = a + len(passage) - len(passage.lstrip()), b - len(passage) + len(passage.rstrip())
        if a >= b:
            continue
        if merged and not text[merged[-1][1] : a].strip():
            merged[-1][1] = b
        else:
            merged.append([a, b])
    edits: list[Edit] = []
    new, done = "", 0
    for a, b in merged:
        low, high, after = _stitched(text, a, b)
        edits.append((at[low], at[high] - at[low], text[low:high], after))
        new += text[done:low] + after
        done = high
    new += text[done:]
    hidden = CharacterClass.SPACE | CharacterClass.INVISIBLE
    return new, edits, not any(not _class(c) & hidden for c in new)


def _class(character: str) -> int:
    return int(class_table()[ord(character)])


def _word_end(text: str, i: int) -> bool:
    if i in (0, len(text)):
        return True
    f, g = _class(text[i]), _class(text[i - 1])
    if f & (CharacterClass.MARK | CharacterClass.INVISIBLE) or ord(text[i - 1]) == JOINER:
        return False
    return bool((f | g) & CharacterClass.UNSPACED) or not (f & int(IN_WORD) and g & int(IN_WORD))


def _breaks(spaces: str) -> int:
    return len((spaces + "x").splitlines()) - 1


def _indentation(spaces: str) -> int:
    return len((spaces + "x").splitlines()[-1]) - 1


def _stitched(text: str, a: int, b: int) -> tuple[int, int, str]:
    left = len(text[:a].rstrip())
    right = len(text) - len(text[b:].lstrip())
    before, after = _breaks(text[left:a]), _breaks(text[b:right])
    next_line = right - _indentation(text[b:right])
    if left == 0:
        return 0, (next_line if after and right < len(text) else right), ""
    if right == len(text) or after > before:
        return left, b, ""
    if after:
        return (a - _indentation(text[left:a]) if before else left), next_line, ""
    if left < a:
        return a, right, ""
    f, g = _class(text[a - 1]), _class(text[b])
    fuse = f & int(IN_WORD) and g & int(IN_WORD) and not (f | g) & CharacterClass.UNSPACED
    return a, b, " " if fuse and b == right else ""
