"""The open elements and the active formatting elements, as arrays of hashes: numba functions.

`stack` holds the open elements, `active` the formatting elements that would be
reopened (the specification's list of active formatting elements), `n` the counters.
Terms and rules: https://html.spec.whatwg.org/multipage/parsing.html#parse-state
"""

from __future__ import annotations

from curation.sources import html_elements as el
from curation.text.kernel import kernel_function

# columns of `stack`
NAME, CLASS, SERIAL, IS_FOREIGN, FOREIGN_INSIDE = range(5)
STACK_COLUMNS = 5
# columns of `active`; a marker has name 0
ACTIVE_NAME, TAG, ACTIVE_SERIAL, ON_STACK = range(4)
ACTIVE_COLUMNS = 4
# counters
HEIGHT, ACTIVE, NODES, DEPTH, WORK, TABLES, NEXT_SERIAL, OPTIONS, FORM_OPEN = range(9)
COUNTERS = 9

ADOPTIONS = 8  # blocks that one end tag takes a formatting element through
NOAHS_ARK = 3  # equal formatting elements that are reopened at most


@kernel_function
def push(stack, n, name, kind, serial, is_foreign, foreign_inside):  # type: ignore[no-untyped-def]
    """Open an element.  Past the depth limit only the depth is recorded: the caller stops there."""
    height = n[HEIGHT]
    n[NODES] += 1
    n[WORK] += height + 1
    n[DEPTH] = max(n[DEPTH], height + 1)
    if height < len(stack):
        stack[height, NAME] = name
        stack[height, CLASS] = kind
        stack[height, SERIAL] = serial
        stack[height, IS_FOREIGN] = is_foreign
        stack[height, FOREIGN_INSIDE] = foreign_inside
        n[HEIGHT] = height + 1
        if kind & el.TABLE:
            n[TABLES] += 1


@kernel_function
def leaf(n):  # type: ignore[no-untyped-def]
    """Count an element that has no children."""
    n[NODES] += 1
    n[WORK] += n[HEIGHT] + 1
    n[DEPTH] = max(n[DEPTH], n[HEIGHT] + 1)


@kernel_function
def closed(stack, active, n, i):  # type: ignore[no-untyped-def]
    """Bookkeeping for the open element i, which is about to leave the stack."""
    kind = stack[i, CLASS]
    if kind & el.TABLE:
        n[TABLES] -= 1
    if kind & el.FORMATTING:
        k = n[ACTIVE] - 1
        while k >= 0:
            if active[k, ACTIVE_SERIAL] == stack[i, SERIAL]:
                active[k, ON_STACK] = 0
                break
            k -= 1
        n[WORK] += n[ACTIVE] - 1 - k
    if kind & el.MARKER:
        while n[ACTIVE] > 0:
            n[ACTIVE] -= 1
            if active[n[ACTIVE], ACTIVE_NAME] == 0:
                break


@kernel_function
def pop_to(stack, active, n, height):  # type: ignore[no-untyped-def]
    while n[HEIGHT] > height:
        closed(stack, active, n, n[HEIGHT] - 1)
        n[HEIGHT] -= 1


@kernel_function
def remove(stack, active, n, i):  # type: ignore[no-untyped-def]
    """Take the open element i out of the middle of the stack."""
    closed(stack, active, n, i)
    for k in range(i, n[HEIGHT] - 1):
        for column in range(STACK_COLUMNS):
            stack[k, column] = stack[k + 1, column]
    n[WORK] += n[HEIGHT] - i
    n[HEIGHT] -= 1


@kernel_function
def find_class(stack, n, wanted, boundary):  # type: ignore[no-untyped-def]
    """Topmost open element of a class, −1 when a boundary (or the bottom) comes first."""
    i = n[HEIGHT] - 1
    while i >= 0:
        if stack[i, CLASS] & wanted:
            break
        if stack[i, CLASS] & boundary:
            i = -1
            break
        i -= 1
    n[WORK] += (n[HEIGHT] - 1 - i) // 4
    return i


@kernel_function
def find_name(stack, n, name, boundary):  # type: ignore[no-untyped-def]
    """Topmost open HTML element of a name, −1 when a boundary (or the bottom) comes first."""
    i = n[HEIGHT] - 1
    while i >= 0:
        if stack[i, NAME] == name and not stack[i, IS_FOREIGN]:
            break
        if stack[i, CLASS] & boundary:
            i = -1
            break
        i -= 1
    n[WORK] += (n[HEIGHT] - 1 - i) // 4
    return i


@kernel_function
def reconstruct(stack, active, n):  # type: ignore[no-untyped-def]
    """Reopen the formatting elements that a block's end has closed."""
    first = n[ACTIVE]
    while first > 0 and active[first - 1, ACTIVE_NAME] != 0 and not active[first - 1, ON_STACK]:
        first -= 1
    for k in range(first, n[ACTIVE]):
        n[NEXT_SERIAL] += 1
        active[k, ACTIVE_SERIAL] = n[NEXT_SERIAL]
        active[k, ON_STACK] = 1
        push(stack, n, active[k, ACTIVE_NAME], el.FORMATTING, n[NEXT_SERIAL], 0, 0)


@kernel_function
def find_active(active, n, name):  # type: ignore[no-untyped-def]
    """Last active formatting element of a name after the last marker, else −1."""
    k = n[ACTIVE] - 1
    while k >= 0 and active[k, ACTIVE_NAME] != name:
        if active[k, ACTIVE_NAME] == 0:
            return -1
        k -= 1
    return k


@kernel_function
def forget_active(active, n, k):  # type: ignore[no-untyped-def]
    for j in range(k, n[ACTIVE] - 1):
        for column in range(ACTIVE_COLUMNS):
            active[j, column] = active[j + 1, column]
    n[ACTIVE] -= 1


@kernel_function
def activate(active, n, name, tag, serial):  # type: ignore[no-untyped-def]
    """Add a formatting element to the active ones; of more than three equal ones the first goes."""
    equal, first, k = 0, -1, n[ACTIVE] - 1
    while k >= 0 and active[k, ACTIVE_NAME] != 0:
        if active[k, TAG] == tag:
            equal, first = equal + 1, k
        k -= 1
    n[WORK] += (n[ACTIVE] - 1 - k) // 4
    if equal >= NOAHS_ARK:
        forget_active(active, n, first)
    if n[ACTIVE] == len(active):  # more than the depth limit: reopening them will exceed it
        forget_active(active, n, 0)
    active[n[ACTIVE], ACTIVE_NAME] = name
    active[n[ACTIVE], TAG] = tag
    active[n[ACTIVE], ACTIVE_SERIAL] = serial
    active[n[ACTIVE], ON_STACK] = 1
    n[ACTIVE] += 1


@kernel_function
def adopt(stack, active, n, name):  # type: ignore[no-untyped-def]
    """The adoption agency: end a formatting element, also one that a block stands in.

    Returns False when no such element is active (then it is an ordinary end tag).
    """
    k = find_active(active, n, name)
    if k < 0:
        return False
    if not active[k, ON_STACK]:
        forget_active(active, n, k)
        return True
    i, blocks = n[HEIGHT] - 1, 0
    while i >= 0 and stack[i, SERIAL] != active[k, ACTIVE_SERIAL]:
        if stack[i, CLASS] & el.SCOPE:
            return True
        if stack[i, CLASS] & el.SPECIAL:
            blocks += 1
        i -= 1
    n[WORK] += n[HEIGHT] - i
    n[NODES] += blocks
    if blocks == 0:
        forget_active(active, n, k)
        pop_to(stack, active, n, i)
    elif blocks < ADOPTIONS:  # it is cloned into each block, and ends in the last
        forget_active(active, n, k)
        remove(stack, active, n, i)
    return True
