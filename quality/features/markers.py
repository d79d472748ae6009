"""Words that style statistics count, and the table by which the scanner finds them from a word's hash.

Closed lists of function words; other languages than English only by their commonest words, so that the
statistics of English words can be told from the absence of English.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curation.text.hashing import MASK, MIX, STEP

MARKERS: dict[str, str] = {
    "stop_words": (
        "the of and to in a is that it for was on as with be by at this had not are but from or have an they which one "
        "were all there would their been has when who will no more if out so what up about them can into only some "
        "could other than then its these those such also may any do does did he she his her him our how where"
    ),
    "foreign_stop_words": (
        "der die das und ist nicht ein eine mit von den auf für dem sich le la les des et est une dans que qui pour "
        "pas el los las una por con para del se en su il che di non per sono della o os um uma não com het een van op "
        "voor och att som det på w nie jest na i в и не на что что с я на это как bir ve bu için yang dan di untuk"
    ),
    "second_person": "you your yours yourself yourselves",
    "first_person": "i me my mine myself we us our ours ourselves",
    "connectives": (
        "because therefore thus hence however although whereas since consequently moreover furthermore nevertheless "
        "accordingly namely similarly conversely otherwise unless whether while instead despite"
    ),
    "instructions": (
        "should must need ensure make sure use using click select open run install add remove set check step steps "
        "follow try press enter choose turn place cut mix avoid"
    ),
    "question_words": "what why how when where which who whom whose",
    "months": (
        "january february march april june july august september october november december "
        "jan feb apr jun jul aug sep sept oct nov dec"
    ),
    "hedges": "may might perhaps possibly likely suggests suggest appears appear seems seem probably could generally",
    "terms_of_sale": (
        "price prices buy sale shop cart shipping order free offer discount deal deals delivery copyright subscribe "
        "login privacy cookies newsletter rights reserved"
    ),
}
SLOTS = 2048
SLOT_SHIFT = np.uint64(64 - 11)
ONE = np.uint64(1)


class MarkerTable(NamedTuple):
    """Open addressing by word hash; a hash of 0 is an empty slot."""

    hashes: NDArray[np.uint64]  # [SLOTS]
    masks: NDArray[np.uint16]  # [SLOTS], bit i: the word stands in the i-th list of MARKERS


def word_hash_reference(codes: list[int]) -> int:
    """The hash of a token from its case-folded code points: a polynomial, finished (`curation.text.hashing.finish`)."""
    value = 0
    for code in codes:
        value = (value * int(STEP) + code + 1) & MASK
    for _ in range(2):
        value = (value ^ (value >> 32)) * int(MIX) & MASK
    return value ^ (value >> 32)


@cache
def marker_table() -> MarkerTable:
    """The table of all lists; a word may stand in several."""
    hashes, masks = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.uint16)
    for i, words in enumerate(MARKERS.values()):
        for word in words.split():
            value = word_hash_reference([ord(c) for c in word])
            slot = value >> int(SLOT_SHIFT)
            while hashes[slot] and int(hashes[slot]) != value:
                slot = (slot + 1) % SLOTS
            hashes[slot] = value
            masks[slot] |= 1 << i
    for array in (hashes, masks):
        array.setflags(write=False)
    return MarkerTable(hashes, masks)
