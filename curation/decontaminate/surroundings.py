"""What stands around a question in a document and belongs to it: labels, the choices, the answer.

Choices are often one word (`Yes`, `tree`), which can be told from ordinary text only here, next to their question.
Everything looks at a bounded stretch of the document.
"""

from __future__ import annotations

import re

import pyarrow as pa

from curation.decontaminate.items import ANSWER_LABELS, LABELS
from curation.text.letters import Letters, letters

SLACK = 256  # bytes for labels and punctuation beside what is looked for
LABELS_IN_A_ROW = 3  # `A:` and then `A)`, with a bullet
_BEFORE = re.compile(
    r"(?:^|(?<=\n))[ \t]{0,8}(?:[-*•+#>]{1,6}[ \t]{1,4})?(?:\(?\d{1,4}[.):]\s{0,4})?"
    rf"(?:(?:{LABELS})\s?\d{{0,4}}\s?[:.]\s{{0,4}})?\Z"
    rf"|(?<!\w)(?:{LABELS})\s?\d{{0,4}}\s?:\s{{0,4}}\Z",
    re.IGNORECASE,
)
_OPENING = re.compile(r"[\"'“‘„«‹(\[¿¡]{1,3}\Z")
_CLOSING = re.compile(r"[?!.…。？！\"'”’»›)\]]{1,4}")
_BEFORE_ANSWER = re.compile(
    rf"[^\w\n]{{0,8}}\s{{0,8}}(?<!\w)(?:{ANSWER_LABELS}|[a-z]|\d{{1,2}})\s?[:.)\]]{{1,3}}\s{{0,8}}\Z", re.IGNORECASE
)
_EMPTY_ANSWER = re.compile(rf"[^\w\n]{{0,8}}\s{{0,4}}(?:{ANSWER_LABELS})\s?:", re.IGNORECASE)
_AFTER = re.compile(
    r"[^\w\n]{0,8}\s{0,8}[-*•+(\[]{0,2}\s?"
    rf"(?:{ANSWER_LABELS}|choices|options|[a-z]|\d{{1,2}})\s?[:.)\]]{{1,3}}\s{{0,8}}",
    re.IGNORECASE,
)


def label_before(text: bytes, start: int) -> int:
    """Where the span begins with the label right before it (`- `, `3. `, `Question: `) and opening marks."""
    before = text[max(0, start - 64) : start].decode("utf-8", "ignore")
    if opening := _OPENING.search(before):
        before = before[: opening.start()]
        start -= len(opening.group().encode())
    if found := _BEFORE.search(before):
        return start - len(before[found.start() :].encode())
    return start


def follow(text: bytes, stop: int, parts: list[str]) -> tuple[int, set[int]]:
    """(end of the choices and answers that follow byte `stop` and of closing marks, which of `parts` they are)."""
    stretch = text[stop : stop + 2 * sum(len(part.encode()) for part in parts) + SLACK].decode("utf-8", "ignore")
    tail, of = stretch.encode(), _one(stretch)
    wanted = {i: bytes(_one(part).data) for i, part in enumerate(parts)}
    wanted = {i: part for i, part in wanted.items() if part}
    at, labels = 0, 0  # `at` counts bytes of letters
    end, seen = 0, set[int]()  # `end` counts bytes of the tail
    while wanted:
        label = _label_size(tail, of, at)
        after = _standing(of, at + label, wanted) if label else None  # first: `A) A` is a label and a choice
        found = _standing(of, at, wanted) if after is None else after
        if found is not None:
            at += len(wanted.pop(found)) + (label if after is not None else 0)
            end, labels = int(of.stop[at - 1]), 0
            seen.add(found)
        elif label and labels < LABELS_IN_A_ROW:
            at, labels = at + label, labels + 1
        else:
            break
    if not seen and (empty := _EMPTY_ANSWER.match(stretch)):  # `Answer:` with nothing behind it goes with the question
        end = len(empty.group().encode())
    return stop + _closed(tail, end), seen


def _closed(tail: bytes, end: int) -> int:
    """The place behind the closing marks that stand at byte `end`."""
    closing = _CLOSING.match(tail[end : end + 16].decode("utf-8", "ignore"))
    return end + len(closing.group().encode()) if closing else end


def _label_size(tail: bytes, of: Letters, at: int) -> int:
    """Bytes of letters of the label at byte `at` of the letters, 0 where there is none."""
    place = int(of.stop[at - 1]) if at else 0
    label = _AFTER.match(tail[place : place + 64].decode("utf-8", "ignore"))
    return len(_one(label.group()).data) if label else 0


def _standing(of: Letters, at: int, wanted: dict[int, bytes]) -> int | None:
    """The longest of the wanted parts that stands at byte `at`, between two ends of words."""
    fitting = [i for i, part in wanted.items() if _stands(of, at, part)]
    return max(fitting, key=lambda i: len(wanted[i]), default=None)


def question_before(text: bytes, start: int, question: str) -> int | None:
    """Where `question` begins when nothing but labels stands between it and byte `start`; None if it does not."""
    low = max(0, start - 2 * len(question.encode()) - SLACK)
    head = text[low:start].decode("utf-8", "ignore")
    low = start - len(head.encode())
    wanted = bytes(_one(question).data)
    while wanted:
        of = _one(head)
        data = bytes(of.data)
        at = len(data) - len(wanted)
        if at >= 0 and data.endswith(wanted) and of.begins[at]:
            return low + int(of.start[at])
        label = _BEFORE_ANSWER.search(head[-64:])
        if label is None:
            return None
        head = head[: len(head) - len(label.group())]
    return None


def _one(text: str) -> Letters:
    return letters(pa.array([text], pa.large_string()))


def _stands(of: Letters, at: int, part: bytes) -> bool:
    end = at + len(part)
    if end > len(of.data) or of.data[at:end].tobytes() != part:
        return False
    return bool(of.begins[at]) and (end == len(of.data) or bool(of.begins[end]))
