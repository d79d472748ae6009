"""Dialogue and question-answer structure of texts that mark it themselves: `Question: …`, `user: …`.

Only where the config names the labels: in other texts a line that begins with `Q:` is prose.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, Self

from pydantic import Field, model_validator

from curation.pipeline.config import Frozen
from curation.rules.format_records import Structure


class MarkedText(Frozen):
    """Labels that begin a line, before a colon; the text before the first label is the context."""

    kind: Literal["qa", "dialogue"]
    labels: list[str] = Field(min_length=2, description="qa: the question's and the answer's; dialogue: the speakers'")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "qa" and len(self.labels) != 2:
            raise ValueError("labels of qa: one for questions, one for answers")
        if any(not label or label != label.strip() or "\n" in label for label in self.labels):
            raise ValueError("a label is a text of one line without white space at its ends")
        return self


def read_marked(text: str, marked: MarkedText) -> Structure | None:
    """The structure of a text, or None: no label, an empty part, questions and answers out of turn."""
    pieces = _pattern(tuple(marked.labels)).split(text)
    context, labels, parts = pieces[0].strip(), pieces[1::2], [part.strip() for part in pieces[2::2]]
    if len(parts) < 2 or not all(parts):
        return None
    fields = {"context": context} if context else {}
    if marked.kind == "dialogue":
        turns = [{"speaker": label, "text": part} for label, part in zip(labels, parts, strict=True)]
        return Structure("dialogue", fields, turns)
    if labels != marked.labels * (len(labels) // 2):
        return None
    pairs = zip(parts[::2], parts[1::2], strict=True)
    items = [{"number": str(number), "question": q, "answer": a} for number, (q, a) in enumerate(pairs, 1)]
    return Structure("qa", fields, items)


@lru_cache(maxsize=32)
def _pattern(labels: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(labels, key=len, reverse=True)
    return re.compile(f"^({'|'.join(map(re.escape, longest_first))}):[ \\t]?", re.MULTILINE)
