"""The exact integers that one pass over a text leaves behind; `style.py` turns them into ratios.

The first 128 count each ASCII character as it stands; the others have names.
"""

from __future__ import annotations

from itertools import count

_next = count(128)

# Characters (code points).
CHARS = next(_next)
FOREIGN = next(_next)  # letters, numbers and marks beyond ASCII, of spaced scripts
UNSPACED = next(_next)  # letters of scripts written without spaces
OTHER_SIGNS = next(_next)  # punctuation and symbols beyond ASCII
INVISIBLE = next(_next)  # control and format characters
UPPERS = next(_next)  # changed by case folding
DIGITS = next(_next)
MONEY = next(_next)  # currency signs
# Words: tokens that begin with a letter of a spaced script, a digit, an underscore or a mark.
WORDS = next(_next)
WORD_CHARS = next(_next)
WORD_SQUARES = next(_next)  # sum of squared lengths
LONG = next(_next)
VERY_LONG = next(_next)
LONGEST = next(_next)
CAPITALISED = next(_next)  # the first character is upper case
SHOUTED = next(_next)  # two or more characters, all upper case
WITH_DIGIT = next(_next)
NUMBERS = next(_next)  # nothing but digits
YEARS = next(_next)  # four digits that begin with 19 or 20
# Words of the lists in markers.py, in its order.
MARKERS = next(_next)
STOP_WORDS = MARKERS
FOREIGN_STOP_WORDS = next(_next)
SECOND_PERSON = next(_next)
FIRST_PERSON = next(_next)
CONNECTIVES = next(_next)
INSTRUCTIONS = next(_next)
QUESTION_WORDS = next(_next)
MONTHS = next(_next)
HEDGES = next(_next)
SALES = next(_next)
# Repetition, over the first SKETCHED tokens and lines; distinct in SKETCH_BITS of their hashes.
TOKENS = next(_next)  # words, unspaced letters and signs: all of the text's
NEW_TOKENS = next(_next)
NEW_PAIRS = next(_next)
NEW_LINES = next(_next)
# Sentences end at a terminal mark before anything but a word, at a blank line and at the end; without words: none.
SENTENCES = next(_next)
SENTENCE_WORDS = next(_next)  # words and unspaced letters
SENTENCE_SQUARES = next(_next)
QUESTIONS = next(_next)
EXCLAMATIONS = next(_next)
# Lines end at "\n" and at the end of the text.
LINES = next(_next)  # with a visible character
BLANK_LINES = next(_next)
LINE_CHARS = next(_next)  # visible characters: neither white space nor control
LINE_SQUARES = next(_next)
SHORT = next(_next)
BULLETED = next(_next)  # one bullet, then white space
NUMBERED = next(_next)  # up to three digits and `.` or `)`, then white space
HEADED = next(_next)  # the first visible character is #
INDENTED = next(_next)
TABLES = next(_next)
ENDED = next(_next)  # the last visible character is terminal punctuation
COLONS = next(_next)  # the last visible character is a colon
CODED = next(_next)  # the last visible character is ; { or }
LINKS = next(_next)  # `://` and `www.`
WIDTH = next(_next)

SKETCHED = 4096  # the share of distinct tokens falls with the length of a text: so looked at for a fixed length
SKETCH_BITS = 16
LONG_WORD, VERY_LONG_WORD = 6, 9  # longer than this many code points
SHORT_LINE = 30  # visible characters at most
INDENT = 4  # blanks before the first character of an indented line, at least; a tab counts as four
TABLE_MARKS = 2  # tabs and vertical bars after the first visible character of a table's line, at least
