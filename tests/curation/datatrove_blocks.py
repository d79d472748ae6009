"""Blocks of a user's own, as the tests' configs name them."""

from __future__ import annotations

from collections.abc import Iterator

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter


def says_fifteen(doc: Document) -> bool:
    return "number 15 " not in doc.text


class Judge(BaseFilter):  # type: ignore[misc]
    """Drops with a name, with a sentence, or without a reason; notes something; fails on one word."""

    name = "judge"

    def __init__(self, word: str = "BOOM", batch_size: int = 1) -> None:
        super().__init__(batch_size=batch_size)
        self.word, self.seen = word, 0

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        self.seen += 1
        if self.word in doc.text:
            raise ValueError("I do not like this")
        doc.metadata["url_seen"] = doc.metadata.get("url")
        if "named" in doc.text:
            return False, "bad_name"
        if "sentence" in doc.text:
            return False, f"This document has {len(doc.text)} characters."
        return "silent" not in doc.text


class Forgetful(PipelineStep):  # type: ignore[misc]
    """A step with a loop of its own: lets some documents go, gives others on as new objects."""

    type, name = "OWN", "forgetful"

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for doc in data:
            if "forget" not in doc.text:
                yield Document(text=doc.text.upper(), id=doc.id, metadata={})


class Unordered(PipelineStep):  # type: ignore[misc]
    """Reads everything before it gives anything on, last first; the first comes `times` times."""

    type, name = "OWN", "unordered"

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        first, *others = data
        yield from reversed(others)
        for _ in range(self.times):
            yield first


class Renamer(PipelineStep):  # type: ignore[misc]
    """Gives documents other ids, in place or as new objects."""

    type, name = "OWN", "renamer"

    def __init__(self, new: bool = False) -> None:
        super().__init__()
        self.new = new

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for doc in data:
            if self.new:
                yield Document(text=doc.text, id=f"new {doc.id}")
            else:
                doc.id = f"new {doc.id}"
                yield doc


class Broken(PipelineStep):  # type: ignore[misc]
    """Gives what is no text."""

    type, name = "OWN", "broken"

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for doc in data:
            doc.text = doc.text + "\ud800"
            yield doc
