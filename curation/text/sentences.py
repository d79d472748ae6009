"""How many sentences a line has: spaCy's rule-based sentencizer over the words of the segmenter.

A sentence ends with a word that is one mark of `LineClass.SENTENCE_END`, and the punctuation that
follows; the next word begins another.  White space other than a single space is a word
(as in spaCy).  Only stretches without white space that hold such a mark are segmented, which
is what makes it cheap.  Source: spaCy 3.8, pipeline/sentencizer.pyx (MIT), as datatrove 0.10 calls it.
"""

from __future__ import annotations

import numpy as np

from curation.text.edit_log import merged_function
from curation.text.kernel import kernel_function
from curation.text.line_classes import LineClass, abbreviation_slot
from curation.text.segment import LONGEST_RUN, WORDS, segment_document
from curation.text.utf8 import decode, previous

SPACE = np.uint8(LineClass.SPACE)
PUNCTUATION = np.uint8(LineClass.PUNCTUATION)
SENTENCE_END = np.uint8(LineClass.SENTENCE_END)
BLANK, FOLD, SMALL_A, SMALL_Z = ord(" "), 0x20, ord("a"), ord("z")


@merged_function
def count_sentences(buffer, start, end, lines, tables, work):  # type: ignore[no-untyped-def]
    """Sentences in buffer[start:end], at least 1.

    lines: line_classes.LineTables; tables and work: the segmenter's, with room for LONGEST_RUN words.
    """
    count = 1
    ended = False  # a mark has ended the sentence; the next word that is not punctuation begins another
    i = start
    while i < end:
        if ended:
            j = i
            while j < end:
                c, step = decode(buffer, j, end)
                if not lines.classes[c] & SPACE:
                    break
                j += step
            if j > i and not (j == i + 1 and buffer[i] == BLANK):
                count += 1
                ended = False
            elif j < end:
                c, _ = decode(buffer, j, end)
                if not lines.classes[c] & (PUNCTUATION | SENTENCE_END):
                    count += 1
                    ended = False
            i = j
            if not ended:
                continue
        else:
            first = i
            while i < end:
                if lines.ends[buffer[i]]:
                    c, _ = decode(buffer, i, end)
                    if lines.classes[c] & SENTENCE_END:
                        break
                i += 1
            if i < end and _ends_plain_word(buffer, first, i, end, lines):
                ended = True
                i += 1
                continue
            while first < i < end:
                before = previous(buffer, first, i)
                c, _ = decode(buffer, before, end)
                if lines.classes[c] & SPACE:
                    break
                i = before
        if i < end:
            stop = _run_end(buffer, i, end, lines.classes)
            segment_document(buffer, i, stop, tables, work)
            count, ended = _count_words(buffer, i, stop, lines.classes, work, count, ended)
            i = stop
    return count


@kernel_function
def _ends_plain_word(buffer, first, mark, end, lines):  # type: ignore[no-untyped-def]
    """Whether the run is ASCII letters and then the mark, and surely two words: most are, so it has to be quick."""
    if buffer[mark] >= 0x80 or (mark + 1 < end and not lines.spaces[buffer[mark + 1]] & SPACE):
        return False
    i = mark
    while i > first and SMALL_A <= buffer[i - 1] | FOLD <= SMALL_Z:
        i -= 1
    if i == mark or buffer[mark - 1] < SMALL_A or (i > first and not lines.spaces[buffer[i - 1]] & SPACE):
        return False
    slot = abbreviation_slot(np.int64(buffer[i]), np.int64(buffer[mark - 1]), mark + 1 - i)
    return not lines.abbreviations[slot]


@kernel_function
def _run_end(buffer, i, end, classes):  # type: ignore[no-untyped-def]
    """The next white space after byte i, but at most LONGEST_RUN code points on."""
    for _ in range(LONGEST_RUN):
        if i >= end:
            break
        c, step = decode(buffer, i, end)
        if classes[c] & SPACE:
            break
        i += step
    return i


@kernel_function
def _count_words(buffer, i, stop, classes, work, count, ended):  # type: ignore[no-untyped-def]
    """(count, ended) after the words in `work`, which fill buffer[i:stop]."""
    for w in range(work.counts[WORDS]):
        mark, punctuation = False, True
        for _ in range(work.word_length[w]):
            c, step = decode(buffer, i, stop)
            mark = classes[c] & SENTENCE_END != 0
            punctuation &= classes[c] & PUNCTUATION != 0
            i += step
        mark &= work.word_length[w] == 1
        if mark:
            ended = True
        elif ended and not punctuation:
            count += 1
            ended = False
    return count, ended
