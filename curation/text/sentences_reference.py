"""`sentences.count_sentences` in plain Python, after spaCy's sentencizer; for the property tests."""

from __future__ import annotations

from itertools import groupby

from curation.text.line_classes import LineClass, line_tables
from curation.text.segment import LONGEST_RUN
from curation.text.segment_reference import segment


def count_sentences_reference(line: str) -> int:
    """Sentences in a line, at least 1."""
    classes = line_tables().classes
    count, ended = 1, False
    for word in _words(line):
        bits = [int(classes[ord(character)]) for character in word]
        if len(word) == 1 and bits[0] & LineClass.SENTENCE_END:
            ended = True
        elif ended and not all(b & LineClass.PUNCTUATION for b in bits):
            count, ended = count + 1, False
    return count


def _words(line: str) -> list[str]:
    """The segmenter's words, and every white space that is not a single blank after a word."""
    words: list[str] = []
    classes = line_tables().classes
    for space, group in groupby(line, key=lambda c: bool(classes[ord(c)] & LineClass.SPACE)):
        run = "".join(group)
        if space:
            words += [run] if run != " " or not words else []
        else:
            for begin in range(0, len(run), LONGEST_RUN):
                piece = run[begin : begin + LONGEST_RUN]
                words += [piece[start:end] for start, end in segment(piece)]
    return words
