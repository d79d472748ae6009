"""From the bytes of a page to start tags, end tags and texts, handed to the rules of `html_rules`.

The tokenizer of https://html.spec.whatwg.org/multipage/parsing.html#tokenization as
far as it decides what is markup: comments, quoted attributes, raw text, foreign content.
"""

from __future__ import annotations

import numpy as np

from curation.sources import html_elements as el
from curation.sources.html_rules import MATH, class_of, end_tag, start_tag
from curation.sources.html_stack import DEPTH, FOREIGN_INSIDE, HEIGHT, IS_FOREIGN, NODES, WORK, leaf, push, reconstruct
from curation.text.kernel import kernel_function

_LESS, _GREATER, _SLASH, _BANG, _QUESTION, _EQUALS, _DASH = 60, 62, 47, 33, 63, 61, 45
_QUOTE, _APOSTROPHE, _CLOSING_BRACKET, _AMPERSAND = 34, 39, 93, 38

_HTML, _BODY = np.int64(el.name_hash("html")), np.int64(el.name_hash("body"))
_FONT = np.int64(el.name_hash("font"))  # ends foreign content when it has one of these attributes
_FONT_ATTRIBUTES = tuple(np.int64(el.name_hash(name)) for name in ("color", "face", "size"))
_SCRIPT = np.int64(el.name_hash("script"))
_ANNOTATION = np.int64(el.name_hash("annotation-xml"))  # holds HTML when its encoding is one of two
_HTML_ANNOTATIONS = tuple(
    np.int64(el.name_hash(f" encoding={quote}{value}{quote}>"))
    for value in ("text/html", "application/xhtml+xml")
    for quote in ("", '"', "'")
)
_CDATA, _HTML_WORD = tuple(b"<![CDATA["), tuple(b"html")
_OFFSET = np.uint64(el.FNV_OFFSET)
_PRIME = np.uint64(el.FNV_PRIME)


@kernel_function
def is_space(byte):  # type: ignore[no-untyped-def]
    return byte == 32 or (9 <= byte <= 13 and byte != 11)


@kernel_function
def is_letter(byte):  # type: ignore[no-untyped-def]
    return 97 <= (byte | 32) <= 122


@kernel_function
def lower(byte):  # type: ignore[no-untyped-def]
    return byte | 32 if 65 <= byte <= 90 else byte


@kernel_function
def read_name(buffer, i):  # type: ignore[no-untyped-def]
    """(hash of the lower-case name that starts at i, position after it)."""
    name = _OFFSET
    while i < len(buffer):
        byte = buffer[i]
        if is_space(byte) or byte in (_GREATER, _SLASH):
            break
        name = (name ^ np.uint64(lower(byte))) * _PRIME
        i += 1
    return np.int64(name), i


# states of a tag behind its name, as in the specification
_BEFORE_NAME, _IN_NAME, _AFTER_NAME, _BEFORE_VALUE, _UNQUOTED = range(5)


@kernel_function
def read_attributes(buffer, i, n):  # type: ignore[no-untyped-def]
    """(position after the tag's `>`, or −1 when the page ends first; hash of what is between; self-closing; of a font).

    Each attribute is compared with those before it in the tag, which `work` pays for.  The last value says
    whether one of them is color, face or size.
    """
    tag, count, self_closing, state = _OFFSET, 0, False, _BEFORE_NAME
    attribute, of_a_font = _OFFSET, False
    while i < len(buffer):
        byte = buffer[i]
        tag = (tag ^ np.uint64(byte)) * _PRIME
        if state == _IN_NAME and (byte in (_GREATER, _SLASH, _EQUALS) or is_space(byte)):
            of_a_font = of_a_font or np.int64(attribute) in _FONT_ATTRIBUTES
        if byte == _GREATER:
            return i + 1, np.int64(tag), self_closing, of_a_font
        self_closing = byte == _SLASH and state < _BEFORE_VALUE
        if state >= _BEFORE_VALUE:
            if state == _BEFORE_VALUE and byte in (_QUOTE, _APOSTROPHE):
                i += 1
                while i < len(buffer) and buffer[i] != byte:
                    tag = (tag ^ np.uint64(buffer[i])) * _PRIME
                    i += 1
                tag = (tag ^ np.uint64(byte)) * _PRIME
                state = _BEFORE_NAME
            elif not is_space(byte):
                state = _UNQUOTED
            elif state == _UNQUOTED:
                state = _BEFORE_NAME
        elif byte == _SLASH:
            state = _BEFORE_NAME
        elif is_space(byte):
            state = _AFTER_NAME if state == _IN_NAME else state
        elif byte == _EQUALS and state != _BEFORE_NAME:
            state = _BEFORE_VALUE
        elif state != _IN_NAME:
            state = _IN_NAME
            attribute = (_OFFSET ^ np.uint64(lower(byte))) * _PRIME
            count += 1
            n[WORK] += count // 4
        else:
            attribute = (attribute ^ np.uint64(lower(byte))) * _PRIME
        i += 1
    return -1, np.int64(tag), False, of_a_font


@kernel_function
def after_comment(buffer, i):  # type: ignore[no-untyped-def]
    """Position after the comment whose text starts at i (behind `<!--`); the page's end when it is open."""
    if i < len(buffer) and buffer[i] == _GREATER:
        return i + 1
    if i + 1 < len(buffer) and buffer[i] == _DASH and buffer[i + 1] == _GREATER:
        return i + 2
    while i + 2 < len(buffer):
        if buffer[i] == _DASH and buffer[i + 1] == _DASH:
            if buffer[i + 2] == _GREATER:
                return i + 3
            if buffer[i + 2] == _BANG and i + 3 < len(buffer) and buffer[i + 3] == _GREATER:
                return i + 4
        i += 1
    return len(buffer)


@kernel_function
def after_declaration(buffer, i):  # type: ignore[no-untyped-def]
    """Position after a doctype, processing instruction or bogus comment."""
    while i < len(buffer) and buffer[i] != _GREATER:
        i += 1
    return i + 1


@kernel_function
def after_cdata(buffer, i):  # type: ignore[no-untyped-def]
    """Position after the `]]>` that ends a CDATA section of foreign content; the page's end when it is open."""
    while i + 2 < len(buffer):
        if buffer[i] == _CLOSING_BRACKET and buffer[i + 1] == _CLOSING_BRACKET and buffer[i + 2] == _GREATER:
            return i + 3
        i += 1
    return len(buffer)


@kernel_function
def raw_end(buffer, i, name):  # type: ignore[no-untyped-def]
    """Position of the `</name` that ends a raw text starting at i; the page's end when there is none.

    In a script, `<!--` … `<script>` … `</script>` … `-->` is part of the text ("double escaped").
    """
    in_comment, in_inner_script = False, False
    while i + 2 < len(buffer):
        byte, following = buffer[i], buffer[i + 1]
        if byte == _LESS and following == _SLASH and is_letter(buffer[i + 2]):
            found, after = read_name(buffer, i + 2)
            if found == name and after < len(buffer):
                if not in_inner_script:
                    return i
                in_inner_script = False
            i += 2
        elif name == _SCRIPT and byte == _LESS and is_letter(following) and in_comment:
            found, after = read_name(buffer, i + 1)
            in_inner_script = in_inner_script or (found == name and after < len(buffer))
            i += 1
        elif name == _SCRIPT and byte == _LESS and following == _BANG and not in_comment:
            in_comment = i + 3 < len(buffer) and buffer[i + 2] == _DASH and buffer[i + 3] == _DASH
            i += 2
        elif in_comment and byte == _DASH and following == _DASH and buffer[i + 2] == _GREATER:
            in_comment, in_inner_script = False, False
            i += 3
        else:
            i += 1
    return len(buffer)


@kernel_function
def mentions_html(buffer, i, end):  # type: ignore[no-untyped-def]
    """May an attribute between i and end say "html", plainly or by a character reference?"""
    while i < end:
        if buffer[i] == _AMPERSAND:
            return True
        k = 0
        while k < len(_HTML_WORD) and i + k < end and buffer[i + k] | 32 == _HTML_WORD[k]:
            k += 1
        if k == len(_HTML_WORD):
            return True
        i += 1
    return False


@kernel_function
def starts_cdata(buffer, i):  # type: ignore[no-untyped-def]
    """Does `<![CDATA[` stand at i?"""
    k = 0
    while k < len(_CDATA) and i + k < len(buffer) and buffer[i + k] == _CDATA[k]:
        k += 1
    return k == len(_CDATA)


@kernel_function
def follow(buffer, hashes, classes, stack, active, n, nodes, depth, work):  # type: ignore[no-untyped-def]
    """Count nodes, depth and work of a page in `n`, up to where one of them exceeds its bound."""
    i, size = 0, len(buffer)
    n[NODES] += 1  # <head>
    push(stack, n, _HTML, el.SCOPE | el.SPECIAL, 0, 0, 0)
    push(stack, n, _BODY, el.SPECIAL, 0, 0, 0)
    while i < size and n[NODES] <= nodes and n[DEPTH] <= depth and n[WORK] <= work:
        if buffer[i] != _LESS or i + 1 >= size:
            reconstruct(stack, active, n)
            n[NODES] += 1
            i += 1
            while i < size and buffer[i] != _LESS:
                i += 1
        elif is_letter(buffer[i + 1]):
            name, begin = read_name(buffer, i + 1)
            i, tag, self_closing, of_a_font = read_attributes(buffer, begin, n)
            if i < 0:
                break
            kind = class_of(name, hashes, classes)
            inside = stack[n[HEIGHT] - 1, FOREIGN_INSIDE]
            if name == _ANNOTATION and inside == MATH and mentions_html(buffer, begin, i):
                if tag not in _HTML_ANNOTATIONS:  # written in a way that only a parser can tell: refused
                    n[WORK] = work + 1
                    break
                kind |= el.MATH_INTEGRATION
            if kind & el.PLAINTEXT and not inside:
                break
            if kind & el.RAW and not inside:
                leaf(n)
                n[NODES] += 1
                i = raw_end(buffer, i, name)
                if i < size:
                    _, i = read_name(buffer, i + 2)
                    i, _, _, _ = read_attributes(buffer, i, n)
                    if i < 0:
                        break
            else:
                if name == _FONT and of_a_font:
                    kind |= el.BREAKOUT
                start_tag(stack, active, n, name, kind, tag ^ name, self_closing)
        elif buffer[i + 1] == _SLASH and i + 2 < size and is_letter(buffer[i + 2]):
            name, i = read_name(buffer, i + 2)
            i, _, _, _ = read_attributes(buffer, i, n)
            if i < 0:
                break
            end_tag(stack, active, n, name, class_of(name, hashes, classes))
        elif i + 3 < size and buffer[i + 1] == _BANG and buffer[i + 2] == _DASH and buffer[i + 3] == _DASH:
            n[NODES] += 1
            i = after_comment(buffer, i + 4)
        elif n[HEIGHT] and stack[n[HEIGHT] - 1, IS_FOREIGN] and starts_cdata(buffer, i):
            n[NODES] += 1
            i = after_cdata(buffer, i + len(_CDATA))
        elif buffer[i + 1] in (_BANG, _QUESTION, _SLASH):
            n[NODES] += 1
            i = after_declaration(buffer, i + 1)
        else:  # a lone `<` is text
            i += 1
