"""What a command says on stderr while it seems to stand still: compiling, slow paths, checks of engines."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from curation.pipeline.compiling import NOTE, listen
from curation.pipeline.progress import printable

Note = Callable[[str], None]
NOTE_EVERY_S = 10.0


def silent(text: str) -> None:
    """The note of a library call, which prints nothing."""


def note_to(quiet: bool) -> Note:
    """Lines on stderr, or nothing."""
    return silent if quiet else lambda text: print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def explained(note: Note) -> Iterator[None]:
    """Inside the block compiling (once) and Python's warnings are told by `note`."""
    told = False

    def on_compiling(active: bool) -> None:
        nonlocal told
        if active and not told:
            told = True
            note(NOTE)

    listen(on_compiling)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *place, **more: note(f"warning: {message}")
            yield
    finally:
        listen(lambda active: None)


def noted(batches: Iterable[pa.RecordBatch], note: Note) -> Iterator[pa.RecordBatch]:
    """`batches`; every ten seconds, and after the last, how many documents and MB of text have passed."""
    documents = size = 0
    last = time.monotonic()
    for batch in batches:
        yield batch
        documents += batch.num_rows
        size += pc.sum(pc.binary_length(batch["text"])).as_py() or 0
        if time.monotonic() - last >= NOTE_EVERY_S:
            last = time.monotonic()
            note(f"{documents:,} documents, {size / 1e6:,.1f} MB")
    note(f"{documents:,} documents, {size / 1e6:,.1f} MB: all; now intervals and audits")
