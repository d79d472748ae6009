"""HTML elements by how the tree builder treats them: the table that `html_shape` works from.

Classes follow https://html.spec.whatwg.org/multipage/parsing.html; elements that are
in no class are "ordinary" there (span, unknown names).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

VOID = 1 << 0  # never has content
FORMATTING = 1 << 1  # reopened after a block that closed it
SPECIAL = 1 << 2  # an ordinary end tag does not reach beyond it
SCOPE = 1 << 3  # a block's end tag does not reach beyond it
CLOSES_P = 1 << 4  # its start tag ends an open paragraph
RAW = 1 << 5  # content is text up to its own end tag
HEADING = 1 << 6
CELL = 1 << 7
ROW = 1 << 8
SECTION = 1 << 9
CAPTION = 1 << 10  # caption, colgroup, col: directly in a table
MARKER = 1 << 11  # formatting elements outside are not reopened inside
LI = 1 << 12
DD = 1 << 13
OPTION = 1 << 14
OPTGROUP = 1 << 15
IGNORED = 1 << 16  # at most one of them, made by the parser itself
TABLE = 1 << 17
P = 1 << 18
FOREIGN = 1 << 19  # svg, math
SVG_INTEGRATION = 1 << 20  # foreign elements whose content is HTML again
BREAKOUT = 1 << 21  # HTML elements that end foreign content
ONE_OPEN = 1 << 22  # a, nobr: a second start tag ends the first
BUTTON = 1 << 23
SELECT = 1 << 24
FORM = 1 << 25
RUBY_TEXT = 1 << 26
TRANSPARENT = 1 << 27  # address, div, p: an li looks for its predecessor beyond them
LIST = 1 << 28  # ol, ul: a boundary for the end tag of li
TEMPLATE = 1 << 29
PLAINTEXT = 1 << 30
BR = 1 << 31
MATH_INTEGRATION = 1 << 32

TABLE_PART = CELL | ROW | SECTION | CAPTION

_MEMBERS = {
    VOID: "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr",
    FORMATTING: "a b big code em font i nobr s small strike strong tt u",
    SPECIAL: """address applet area article aside base basefont bgsound blockquote body br button caption center col
        colgroup dd details dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5
        h6 head header hgroup hr html iframe img input keygen li link listing main marquee menu meta nav noembed
        noframes noscript object ol p param plaintext pre script search section select source style summary table
        tbody td template textarea tfoot th thead title tr track ul wbr xmp""",
    SCOPE: "applet caption html marquee object select table td template th",
    CLOSES_P: """address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure
        footer form h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section
        summary ul xmp""",
    RAW: "iframe noembed noframes script style textarea title xmp",
    HEADING: "h1 h2 h3 h4 h5 h6",
    CELL: "td th",
    ROW: "tr",
    SECTION: "tbody thead tfoot",
    CAPTION: "caption col colgroup",
    MARKER: "applet caption marquee object td template th",
    LI: "li",
    DD: "dd dt",
    OPTION: "option",
    OPTGROUP: "optgroup",
    IGNORED: "body frame frameset head html",
    TABLE: "table",
    P: "p",
    FOREIGN: "math svg",
    SVG_INTEGRATION: "desc foreignobject title",
    MATH_INTEGRATION: "mi mn mo ms mtext",
    BREAKOUT: """b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing
        menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var""",
    ONE_OPEN: "a nobr",
    BUTTON: "button",
    SELECT: "select",
    FORM: "form",
    RUBY_TEXT: "rb rp rt rtc",
    TRANSPARENT: "address div p",
    LIST: "ol ul",
    TEMPLATE: "template",
    PLAINTEXT: "plaintext",
    BR: "br",
}

FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def name_hash(name: str) -> int:
    """FNV-1a of a lower-case element name, as int64: what the kernel computes while it reads a tag."""
    value = FNV_OFFSET
    for byte in name.encode("ascii"):
        value = ((value ^ byte) * FNV_PRIME) % 2**64
    return value - 2**64 if value >= 2**63 else value


def element_table() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sorted name hashes and the class bits of each, for a binary search."""
    bits: dict[int, int] = {}
    for flag, names in _MEMBERS.items():
        for name in names.split():
            bits[name_hash(name)] = bits.get(name_hash(name), 0) | flag
    hashes = np.array(sorted(bits), dtype=np.int64)
    return hashes, np.array([bits[int(value)] for value in hashes], dtype=np.int64)
