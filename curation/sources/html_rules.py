"""What a start tag or an end tag opens and closes: numba functions over the arrays of `html_stack`.

The "in body", "in table", "in select" and foreign-content rules of
https://html.spec.whatwg.org/multipage/parsing.html#tree-construction, as far as they
change which elements are open.  Where they simplify, more elements stay open.
"""

from __future__ import annotations

import numpy as np

from curation.sources import html_elements as el
from curation.sources.html_stack import (
    ACTIVE,
    ACTIVE_NAME,
    CLASS,
    FOREIGN_INSIDE,
    FORM_OPEN,
    HEIGHT,
    IS_FOREIGN,
    NAME,
    NEXT_SERIAL,
    OPTIONS,
    TABLES,
    WORK,
    activate,
    adopt,
    find_active,
    find_class,
    find_name,
    leaf,
    pop_to,
    push,
    reconstruct,
)
from curation.text.kernel import kernel_function

_RUBY, _MATH = np.int64(el.name_hash("ruby")), np.int64(el.name_hash("math"))
_IMPLIED_END = el.P | el.LI | el.DD | el.OPTION | el.OPTGROUP | el.RUBY_TEXT
_TBODY, _TR = np.int64(el.name_hash("tbody")), np.int64(el.name_hash("tr"))

SVG, MATH = 1, 2  # what the content of an element is (`FOREIGN_INSIDE`); 0 is HTML


@kernel_function
def class_of(name, hashes, classes):  # type: ignore[no-untyped-def]
    low, high = 0, len(hashes)
    while low < high:
        middle = (low + high) // 2
        if hashes[middle] < name:
            low = middle + 1
        else:
            high = middle
    return classes[low] if low < len(hashes) and hashes[low] == name else np.int64(0)


@kernel_function
def table_place(stack, n, kind):  # type: ignore[no-untyped-def]
    """Height at which a part of the innermost table is put, after what it implicitly closes."""
    table = find_class(stack, n, el.TABLE, 0)
    if kind & (el.ROW | el.CELL):
        wanted = el.ROW | el.SECTION if kind & el.CELL else el.SECTION
        inside = find_class(stack, n, wanted, el.TABLE)
        return max(inside, table) + 1
    return table + 1


@kernel_function
def enter_table(stack, active, n, kind):  # type: ignore[no-untyped-def]
    """Close and imply what puts a part of a table, or a table in a table, into its place."""
    if kind & el.TABLE:
        outer = find_class(stack, n, el.TABLE, el.CELL | el.CAPTION | el.TEMPLATE)
        if outer >= 0:
            pop_to(stack, active, n, outer)
        return
    pop_to(stack, active, n, table_place(stack, n, kind))
    if kind & (el.ROW | el.CELL) and stack[n[HEIGHT] - 1, CLASS] & el.TABLE:
        push(stack, n, _TBODY, el.SECTION | el.SPECIAL, 0, 0, 0)
    if kind & el.CELL and not stack[n[HEIGHT] - 1, CLASS] & el.ROW:
        push(stack, n, _TR, el.ROW | el.SPECIAL, 0, 0, 0)


@kernel_function
def end_previous_item(stack, active, n, kind):  # type: ignore[no-untyped-def]
    """An li, dd or dt ends the one before it in the same list."""
    i = n[HEIGHT] - 1
    while i >= 0:
        if stack[i, CLASS] & kind & (el.LI | el.DD):
            n[WORK] += (n[HEIGHT] - i) // 4
            pop_to(stack, active, n, i)
            break
        if stack[i, CLASS] & el.SPECIAL and not stack[i, CLASS] & el.TRANSPARENT:
            n[WORK] += (n[HEIGHT] - i) // 4
            break
        i -= 1


@kernel_function
def end_implied(stack, active, n, name, kind):  # type: ignore[no-untyped-def]
    """Close what a start tag ends: an item, a paragraph, a heading, an option, a ruby text, a button."""
    if kind & (el.LI | el.DD):
        end_previous_item(stack, active, n, kind)
    if kind & el.CLOSES_P:
        paragraph = find_class(stack, n, el.P, el.SCOPE | el.BUTTON)
        if paragraph >= 0:
            pop_to(stack, active, n, paragraph)
    top = stack[n[HEIGHT] - 1, CLASS]
    if kind & (el.OPTION | el.OPTGROUP) and find_class(stack, n, el.SELECT, el.SCOPE) >= 0:
        ended = _IMPLIED_END & ~el.OPTGROUP if kind & el.OPTION else _IMPLIED_END
        while stack[n[HEIGHT] - 1, CLASS] & ended:
            pop_to(stack, active, n, n[HEIGHT] - 1)
    elif top & kind & (el.HEADING | el.OPTION) or (kind & el.OPTGROUP and top & el.OPTION):
        pop_to(stack, active, n, n[HEIGHT] - 1)
    if kind & top & el.RUBY_TEXT and find_name(stack, n, _RUBY, el.SCOPE) >= 0:
        pop_to(stack, active, n, n[HEIGHT] - 1)
    if kind & el.BUTTON:
        outer = find_name(stack, n, name, el.SCOPE)
        if outer >= 0:
            pop_to(stack, active, n, outer)
    if kind & el.ONE_OPEN and find_active(active, n, name) >= 0:
        adopt(stack, active, n, name)


@kernel_function
def is_ignored(stack, active, n, name, kind):  # type: ignore[no-untyped-def]
    """Start tags that open nothing: a second body or form, cells outside a table, a select in a select."""
    if kind & el.IGNORED:
        return True
    if kind & el.FORM:
        second = n[FORM_OPEN] and find_class(stack, n, el.TEMPLATE, 0) < 0
        n[FORM_OPEN] = 1
        return second
    if kind & el.TABLE_PART:
        return n[TABLES] == 0
    if kind & el.SELECT:
        n[OPTIONS] = 0
        outer = find_name(stack, n, name, el.SCOPE)
        if outer >= 0:
            pop_to(stack, active, n, outer)
            return True
    return False


@kernel_function
def start_html(stack, active, n, name, kind, tag):  # type: ignore[no-untyped-def]
    """A start tag in HTML content."""
    if is_ignored(stack, active, n, name, kind):
        return
    if kind & (el.TABLE | el.TABLE_PART):
        enter_table(stack, active, n, kind)
    else:
        end_implied(stack, active, n, name, kind)
        if kind & el.OPTION:
            n[OPTIONS] += 1
            n[WORK] += n[OPTIONS] // 4
        if not kind & (el.CLOSES_P | el.RUBY_TEXT | el.TEMPLATE):
            reconstruct(stack, active, n)
    if kind & el.VOID:
        leaf(n)
        return
    serial = np.int64(0)
    if kind & el.FORMATTING:
        n[NEXT_SERIAL] += 1
        serial = n[NEXT_SERIAL]
        activate(active, n, name, tag, serial)
    if kind & el.MARKER and n[ACTIVE] < len(active):
        active[n[ACTIVE], ACTIVE_NAME] = 0
        n[ACTIVE] += 1
    push(stack, n, name, kind, serial, 0, 0)


@kernel_function
def end_form(stack, active, n, i):  # type: ignore[no-untyped-def]
    """A form ends although other elements in it are open: they stay in it, and it counts until they close."""
    while n[HEIGHT] - 1 > i and stack[n[HEIGHT] - 1, CLASS] & _IMPLIED_END:
        pop_to(stack, active, n, n[HEIGHT] - 1)
    if n[HEIGHT] - 1 == i:
        pop_to(stack, active, n, i)
    else:
        stack[i, NAME] = 0
        stack[i, CLASS] = 0


@kernel_function
def end_html(stack, active, n, name, kind):  # type: ignore[no-untyped-def]
    """An end tag in HTML content."""
    if kind & el.IGNORED:
        return
    if kind & (el.P | el.BR):
        i = find_class(stack, n, el.P, el.SCOPE | el.BUTTON) if kind & el.P else -1
        if i < 0:
            leaf(n)  # both end tags make an element of their own
            return
    elif kind & el.FORMATTING:
        if adopt(stack, active, n, name):
            return
        i = find_name(stack, n, name, el.SPECIAL)
    elif kind & el.HEADING:
        i = find_class(stack, n, el.HEADING, el.SCOPE)
    elif kind & el.TABLE_PART:
        i = find_name(stack, n, name, el.TABLE | el.TEMPLATE)
    elif kind & (el.TABLE | el.TEMPLATE):
        i = find_name(stack, n, name, el.TEMPLATE)
    elif kind & el.LI:
        i = find_class(stack, n, el.LI, el.SCOPE | el.LIST)
    elif kind & el.SPECIAL:
        i = find_name(stack, n, name, el.SCOPE)
        if kind & el.FORM:
            n[FORM_OPEN] = 0
            if i >= 0:
                end_form(stack, active, n, i)
            return
    else:
        i = find_name(stack, n, name, el.SPECIAL)
    if i >= 0:
        pop_to(stack, active, n, i)


@kernel_function
def end_foreign(stack, active, n, name):  # type: ignore[no-untyped-def]
    """An end tag in svg or math: True when a foreign element of that name was open."""
    i = n[HEIGHT] - 1
    while i >= 0 and stack[i, IS_FOREIGN]:
        if stack[i, NAME] == name:
            pop_to(stack, active, n, i)
            return True
        i -= 1
    return False


@kernel_function
def leave_foreign(stack, active, n):  # type: ignore[no-untyped-def]
    while n[HEIGHT] and stack[n[HEIGHT] - 1, FOREIGN_INSIDE]:
        pop_to(stack, active, n, n[HEIGHT] - 1)


@kernel_function
def start_tag(stack, active, n, name, kind, tag, self_closing):  # type: ignore[no-untyped-def]
    """A start tag, in HTML or in foreign content."""
    inside = stack[n[HEIGHT] - 1, FOREIGN_INSIDE] if n[HEIGHT] else np.int64(0)
    if inside and kind & el.BREAKOUT:
        leave_foreign(stack, active, n)
        start_html(stack, active, n, name, kind, tag)
    elif inside and self_closing:
        leaf(n)
    elif inside and kind & (el.SVG_INTEGRATION if inside == SVG else el.MATH_INTEGRATION):
        push(stack, n, name, el.SCOPE | el.SPECIAL, 0, 1, 0)
    elif inside:
        push(stack, n, name, 0, 0, 1, inside)
    elif kind & el.FOREIGN:
        reconstruct(stack, active, n)
        if self_closing:
            leaf(n)
        else:
            push(stack, n, name, 0, 0, 1, MATH if name == _MATH else SVG)
    else:
        start_html(stack, active, n, name, kind, tag)


@kernel_function
def end_tag(stack, active, n, name, kind):  # type: ignore[no-untyped-def]
    """An end tag, in HTML or in foreign content."""
    inside = stack[n[HEIGHT] - 1, FOREIGN_INSIDE] if n[HEIGHT] else np.int64(0)
    if inside and kind & (el.P | el.BR):
        leave_foreign(stack, active, n)
    elif n[HEIGHT] and stack[n[HEIGHT] - 1, IS_FOREIGN] and end_foreign(stack, active, n, name):
        return
    end_html(stack, active, n, name, kind)
